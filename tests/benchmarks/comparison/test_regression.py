"""The gate passes and fails on the right side, for speed and for what is counted."""

import pytest
from tests.benchmarks.comparison.gate import lines, onnx
from tests.synthetic_reports.answers import accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import (
    ENVIRONMENT,
    coverage,
    synthetic_report,
    verification,
)

from eightbit.benchmarks.comparison.regression import (
    Tolerance,
    Verdict,
    find_regressions,
    regression_lines,
    regression_table,
)
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import ModelSection
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture, ModelSpec


def test_a_report_passes_against_itself():
    report = synthetic_report()

    findings = find_regressions(report, report)

    assert {finding.verdict for finding in findings} == {Verdict.PASSED}
    assert regression_lines(findings) == ()
    assert [finding.what for finding in findings] == [
        "verification",
        "top-1 drop, ONNX",
        "speedup, model.int8.onnx in onnxruntime, 2 threads",
        "size, model.int8.onnx",
        "in integers, conv",
        "in integers, add",
        "in integers, linear",
    ]


# Speed.


@pytest.mark.parametrize(
    ("speedup", "interval", "fails"),
    [
        pytest.param(3.0, (2.9, 3.1), False, id="the same"),
        pytest.param(2.75, (2.7, 2.8), False, id="proven but allowed: 8 %"),
        pytest.param(2.6, (2.55, 2.65), True, id="proven and more than allowed: 13 %"),
        pytest.param(2.6, (2.2, 3.1), False, id="more than allowed, but may be chance"),
        pytest.param(4.0, (3.9, 4.1), False, id="faster"),
        pytest.param(2.6, None, True, id="more than allowed, and nothing is known of chance"),
    ],
)
def test_speed_is_lost_if_proven_and_more_than_allowed(speedup, interval, fails):
    report = synthetic_report(latency=latencies(speedup, interval))
    baseline = synthetic_report(latency=latencies(3.0, (2.95, 3.05)))

    assert bool(lines(report, baseline)) is fails


def test_a_machine_that_is_slower_at_everything_is_no_regression():
    report = synthetic_report(latency=latencies(3.0, (2.9, 3.1), int8_ms=70.0))

    assert lines(report, synthetic_report()) == ()


def test_the_allowed_loss_of_speed_can_be_chosen():
    report = synthetic_report(latency=latencies(2.6, (2.55, 2.65)))
    baseline = synthetic_report(latency=latencies(3.0, (2.95, 3.05)))

    assert lines(report, baseline, speed=0.13) != ()
    assert lines(report, baseline, speed=0.14) == ()


def test_speed_on_a_cpu_with_other_instructions_is_not_compared():
    elsewhere = ENVIRONMENT.model_copy(update={"isa": ("avx2",)})
    report = synthetic_report(latency=latencies(1.5, (1.4, 1.6)), environment=elsewhere)

    findings = find_regressions(report, synthetic_report())

    assert [f.what for f in findings if f.verdict is Verdict.NOT_COMPARED] == [
        "speedup, model.int8.onnx in onnxruntime, 2 threads"
    ]
    assert regression_lines(findings) == ()
    assert "instruction sets" in regression_table(findings, "now").note


def test_the_cpu_that_counts_is_where_the_latency_was_measured():
    elsewhere = ENVIRONMENT.model_copy(update={"isa": ("avx2",)})
    benchmark = BenchmarkSection(
        products_per_image=1_000_000, launches=5, rounds=4, environment=ENVIRONMENT
    )
    report = synthetic_report(
        latency=latencies(1.5, (1.4, 1.6)), environment=elsewhere, benchmark=benchmark
    )

    assert lines(report, synthetic_report()) != ()


def test_a_speed_that_could_not_be_measured_is_missing_and_the_line_says_why():
    name = "model.int8.onnx in onnxruntime (batch 1, 2 threads)"
    section = BenchmarkSection(
        products_per_image=1_000_000, launches=5, rounds=4, not_measured={name: "it is broken"}
    )
    (line,) = lines(synthetic_report(latency=(), benchmark=section), synthetic_report())

    assert line.endswith("2 threads: 3.00x before, not measured now: it is broken")


@pytest.mark.parametrize("conditions", [{"threads": 1}, {"batch": 8}])
def test_speed_under_other_conditions_is_missing(conditions):
    report = synthetic_report(latency=latencies(9.0, (8.9, 9.1), **conditions))

    (line,) = lines(report, synthetic_report())

    assert line.endswith("2 threads: 3.00x before, not measured now")


# Size, coverage, verification.


@pytest.mark.parametrize(
    ("size", "fails"),
    [(1_000_000, False), (1_010_000, False), (1_010_001, True), (500_000, False)],
)
def test_an_int8_file_may_grow_by_one_percent(size, fails):
    report = synthetic_report(size_bytes={"model.int8.onnx": size})

    assert bool(lines(report, synthetic_report())) is fails
    assert lines(report, synthetic_report(), size=0.02) == ()


def test_a_file_that_grew_is_told_in_bytes():
    (line,) = lines(synthetic_report(size_bytes={"model.int8.onnx": 1_012_000}), synthetic_report())

    assert line == (
        "regression: size, model.int8.onnx: 1,012,000 bytes, 1,000,000 before: worse by 1.2 %, "
        "1.0 % allowed"
    )


def test_the_size_of_other_files_does_not_count():
    report = synthetic_report(size_bytes={"model.int8.onnx": 1_000_000, "recipe.json": 9_000_000})
    baseline = synthetic_report(size_bytes={"model.int8.onnx": 1_000_000, "recipe.json": 90_000})

    assert lines(report, baseline) == ()


def test_fewer_operators_in_integers_fail():
    (line,) = lines(synthetic_report(coverage=coverage(19)), synthetic_report())
    assert line == "regression: in integers, conv: 19 of 20, 20 of 20 before"

    assert lines(synthetic_report(), synthetic_report(coverage=coverage(19))) == ()


@pytest.mark.parametrize("before", [verification(), verification(passed=False), None])
def test_a_failed_verification_fails_whatever_the_baseline_says(before):
    section = VerificationSection(
        images=64,
        passed=False,
        checks=(
            Check(name="same integers", passed=False, detail="12 %"),
            Check(name="finite logits", passed=True, detail="all"),
        ),
    )

    (line,) = lines(synthetic_report(verification=section), synthetic_report(verification=before))

    assert line == "regression: verification: failed checks: same integers"


# What is there and what is not.

MISSING = {
    "verification": ({"verification": None}, "verification"),
    "accuracy": ({"accuracy": None, "evaluation": None}, "top-1 drop, ONNX"),
    "latency": ({"latency": ()}, "speedup, model.int8.onnx in onnxruntime, 2 threads"),
    "sizes": ({"size_bytes": {}}, "size, model.int8.onnx"),
    "coverage": ({"coverage": None}, "in integers, conv"),
}


@pytest.mark.parametrize(("nothing", "what"), MISSING.values(), ids=MISSING)
def test_what_only_the_baseline_measured_fails_and_is_named(nothing, what):
    found = lines(synthetic_report(**nothing), synthetic_report())

    assert found
    assert found[0].startswith(f"regression: {what}: ")
    assert all(line.endswith(" before, not measured now") for line in found)


@pytest.mark.parametrize(("nothing", "_"), MISSING.values(), ids=MISSING)
def test_what_only_the_report_measured_does_not_count(nothing, _):
    assert lines(synthetic_report(), synthetic_report(**nothing)) == ()


def test_an_artefact_that_is_no_longer_made_is_missing():
    both = accuracy(onnx=answers(), torchscript=answers())

    (line,) = lines(synthetic_report(accuracy=onnx(())), synthetic_report(accuracy=both))

    assert "TorchScript" in line


def test_a_baseline_without_any_finding_gates_nothing_and_is_refused():
    empty = {key: value for nothing, _ in MISSING.values() for key, value in nothing.items()}
    with pytest.raises(InputError, match="measured something"):
        find_regressions(synthetic_report(**empty), synthetic_report(**empty))


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(architecture=Architecture.RESNET34, num_classes=10),
        ModelSpec(architecture=Architecture.RESNET18, num_classes=100),
    ],
)
def test_a_baseline_of_another_network_is_refused(spec):
    other = synthetic_report(model=ModelSection(spec=spec, weights="x", weights_sha256="cd" * 32))
    with pytest.raises(InputError, match="baseline: expected a report of resnet18 with 10 classes"):
        find_regressions(synthetic_report(), other)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_is_a_number_from_zero_on(value):
    with pytest.raises(ValueError, match="accuracy_pp"):
        Tolerance(accuracy_pp=value)
