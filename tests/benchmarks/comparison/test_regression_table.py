"""What the gate shows: a table, and a page of a comparison."""

from tests.benchmarks.comparison.gate import onnx
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import ENVIRONMENT, synthetic_report

from eightbit.benchmarks.comparison.comparison import compare_reports
from eightbit.benchmarks.comparison.page import render_comparison
from eightbit.benchmarks.comparison.regression import (
    Tolerance,
    find_regressions,
    regression_lines,
    regression_table,
)


def test_the_table_shows_every_comparison_with_its_verdict():
    report = synthetic_report(accuracy=onnx(range(60)), latency=latencies(3.1, (3.0, 3.2)))
    baseline = synthetic_report(accuracy=onnx(()))

    table = regression_table(find_regressions(report, baseline), "branch")

    assert table.title == "branch against the baseline: FAILED"
    rows = {row[0]: row[1:] for row in table.rows}
    verdict, before, now, worse, allowed = rows["top-1 drop, ONNX"]
    assert (verdict, before, now, allowed) == ("FAILED", "0.00 pp", "1.50 pp", "0.5 pp")
    assert worse.startswith("1.50 pp [")
    speed = rows["speedup, model.int8.onnx in onnxruntime, 2 threads"]
    assert speed[:3] == ("passed", "3.00x", "3.10x")
    assert speed[3].startswith("-3.3 % [")
    assert speed[4] == "10.0 %"
    assert rows["size, model.int8.onnx"] == ("passed", "1.0 MB", "1.0 MB", "0.0 %", "1.0 %")


def test_the_title_of_a_table_without_a_regression_says_passed():
    report = synthetic_report()
    assert regression_table(find_regressions(report, report), "now").title.endswith(": passed")


def test_the_table_names_what_was_measured_too_roughly_to_fail():
    sure, rough = (
        synthetic_report(accuracy=onnx(range(10)), latency=latencies(3.0, interval))
        for interval in ((2.95, 3.05), (2.0, 4.5))
    )

    assert "Too uncertain" not in regression_table(find_regressions(sure, sure), "now").note
    note = regression_table(find_regressions(rough, sure), "now").note
    assert (
        "Too uncertain to show a loss that is just not allowed: speedup, model.int8.onnx in "
        "onnxruntime, 2 threads. Measure" in note
    )


def test_what_failed_was_measured_well_enough():
    slow = synthetic_report(latency=latencies(1.5, (1.3, 1.8)))
    findings = find_regressions(slow, synthetic_report())
    assert regression_lines(findings) != ()
    assert "Too uncertain" not in regression_table(findings, "now").note


def test_few_images_are_too_rough_as_well():
    tolerance = Tolerance(accuracy_pp=0.05)
    report = synthetic_report(accuracy=onnx(range(10)))
    unsure = [found.what for found in find_regressions(report, report, tolerance) if found.unsure]
    assert unsure == ["top-1 drop, ONNX"]


def test_what_compared_nothing_has_not_passed():
    nothing = ("verification", "accuracy", "evaluation", "fidelity", "coverage")
    speed_alone = dict.fromkeys(nothing)
    elsewhere = ENVIRONMENT.model_copy(update={"isa": ("avx2",)})
    baseline = synthetic_report(**speed_alone, size_bytes={})
    report = baseline.model_copy(update={"environment": elsewhere})
    findings = find_regressions(report, baseline)
    assert regression_lines(findings) == ()
    assert regression_table(findings, "now").title == "now against the baseline: not compared"

    page = render_comparison(compare_reports({"main": baseline, "now": report}), {"now": findings})
    assert "nothing is known of a regression: speed, as the two CPUs have other" in page
    assert "No regression" not in page
    assert "now, against the baseline main" in page


def test_a_page_without_a_baseline_names_none():
    reports = {"a": synthetic_report(latency=()), "b": synthetic_report(latency=())}
    page = render_comparison(compare_reports(reports))
    assert '<p class="about">a, b</p>' in page
    assert "the baseline" not in page
