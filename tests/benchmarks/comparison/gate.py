"""What the gate says of two reports."""

from tests.synthetic_reports.answers import accuracy, answers

from eightbit.benchmarks.comparison.regression import Tolerance, find_regressions, regression_lines


def lines(report, baseline, **tolerance):
    return regression_lines(find_regressions(report, baseline, Tolerance(**tolerance)))


def onnx(broke, fixed=(), **options):
    """Accuracy of an ONNX artefact, as `answers` makes it."""
    return accuracy(answers(broke, fixed, **options))
