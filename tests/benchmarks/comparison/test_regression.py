"""The gate passes and fails on the right side, for each thing that it looks at."""

import pytest
from tests.synthetic_reports.answers import IMAGES, RIGHT, accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import ENVIRONMENT, coverage, synthetic_report, verification

from eightbit.benchmarks.comparison.comparison import compare_reports
from eightbit.benchmarks.comparison.page import render_comparison
from eightbit.benchmarks.comparison.regression import (
    Tolerance,
    Verdict,
    find_regressions,
    regression_lines,
    regression_table,
)
from eightbit.benchmarks.latency.machine import BenchmarkSection
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import EvaluationSection, ModelSection
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture, ModelSpec


def lines(report, baseline, **tolerance):
    return regression_lines(find_regressions(report, baseline, Tolerance(**tolerance)))


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


# Accuracy. Of 4,000 images 20 are half a point.


def onnx(broke, fixed=(), **options):
    return accuracy(answers(broke, fixed, **options))


@pytest.mark.parametrize(
    ("broke", "fails"),
    [
        pytest.param(range(12), False, id="the same"),
        pytest.param(range(31), False, id="proven but allowed: 0.475 points"),
        pytest.param(range(33), True, id="proven and more than allowed: 0.525 points"),
        pytest.param(range(2), False, id="better"),
    ],
)
def test_accuracy_is_lost_if_proven_and_more_than_allowed(broke, fails):
    report = synthetic_report(accuracy=onnx(broke))
    baseline = synthetic_report(accuracy=onnx(range(12)))

    assert bool(lines(report, baseline)) is fails


def test_a_loss_larger_than_allowed_passes_where_it_may_be_chance():
    # 100 other images, 60 of them lost: 0.5 points, give or take 0.5.
    report = synthetic_report(accuracy=onnx(range(100, 162), range(RIGHT, RIGHT + 40)))
    baseline = synthetic_report(accuracy=onnx(()))
    assert 100 * 22 / IMAGES > 0.5

    assert lines(report, baseline) != ()
    noisy = synthetic_report(accuracy=onnx(range(100, 192), range(RIGHT, RIGHT + 70)))
    assert lines(noisy, baseline) == ()


def test_only_the_same_images_are_compared_one_by_one():
    """24 images more are lost of 200: proven where they are the same ones, else not."""
    baseline = synthetic_report(accuracy=onnx(range(200)))
    report = synthetic_report(accuracy=onnx(range(224)))
    elsewhere = report.model_copy(
        update={"evaluation": report.evaluation.model_copy(update={"source": "other.tar"})}
    )
    retrained = report.model_copy(
        update={"model": report.model.model_copy(update={"weights_sha256": "ee" * 32})}
    )

    assert lines(report, baseline) != ()
    assert lines(elsewhere, baseline) == ()
    assert lines(retrained, baseline) == ()


def test_the_allowed_loss_of_accuracy_can_be_chosen():
    report, baseline = (
        synthetic_report(accuracy=onnx(range(30))),
        synthetic_report(accuracy=onnx(())),
    )

    assert lines(report, baseline, accuracy_pp=0.7) != ()
    assert lines(report, baseline, accuracy_pp=0.8) == ()


def test_the_line_says_what_was_lost_and_what_is_allowed():
    report, baseline = (
        synthetic_report(accuracy=onnx(range(60))),
        synthetic_report(accuracy=onnx(())),
    )

    (line,) = lines(report, baseline)

    assert line.startswith(
        "regression: top-1 drop, ONNX: 1.50 pp, 0.00 pp before: worse by 1.50 pp"
    )
    assert line.endswith(", 0.5 pp allowed")


def test_each_artefact_is_compared_with_its_like():
    good, bad = answers(range(10)), answers(range(80))
    report = synthetic_report(accuracy=accuracy(onnx=good, torchscript=bad))
    baseline = synthetic_report(accuracy=accuracy(onnx=bad, torchscript=good))

    (line,) = lines(report, baseline)

    assert "TorchScript" in line


def test_without_labels_agreement_counts():
    def unlabelled(broke):
        return synthetic_report(
            accuracy=onnx(broke, labelled=False),
            evaluation=EvaluationSection(source="photos.tar", images=IMAGES, labelled=False),
        )

    assert lines(unlabelled(range(12)), unlabelled(range(12))) == ()
    (line,) = lines(unlabelled(range(60)), unlabelled(range(12)))
    assert line.startswith("regression: agreement, ONNX: 98.50 %, 99.70 % before: worse by 1.20 pp")


def test_labels_that_the_baseline_has_may_not_be_missing():
    report = synthetic_report(accuracy=onnx((), labelled=False))

    (line,) = lines(report, synthetic_report())

    assert line == "regression: top-1 drop, ONNX: 0.10 pp before, not measured now"


def test_labels_that_only_the_report_has_leave_agreement_to_be_compared():
    baseline = synthetic_report(accuracy=onnx(range(12), labelled=False))

    assert lines(synthetic_report(accuracy=onnx(range(12))), baseline) == ()
    (line,) = lines(synthetic_report(accuracy=onnx(range(60))), baseline)
    assert "agreement" in line


# Accuracy itself, where the float model became worse as well.


def fallen(right, **options):
    """Float and INT8 both answer fewer images right, so there is no drop."""
    section = onnx(())
    top1 = right / IMAGES
    return synthetic_report(
        accuracy=section.model_copy(
            update={
                key: getattr(section, key).model_copy(update={"top1": top1})
                for key in ("fp32", "onnx")
            }
        ),
        **options,
    )


RETRAINED = synthetic_report().model.model_copy(update={"weights_sha256": "ee" * 32})


@pytest.mark.parametrize(
    ("right", "fails"),
    [
        pytest.param(1600, True, id="80 to 40 %"),
        pytest.param(RIGHT - 100, True, id="proven: 2.5 points of 4,000 images"),
        pytest.param(RIGHT - 50, False, id="may be chance: 1.25 points"),
        pytest.param(RIGHT + 100, False, id="better"),
    ],
)
def test_a_float_model_that_became_worse_takes_int8_with_it(right, fails):
    baseline = synthetic_report(accuracy=onnx(()))
    found = lines(fallen(right, model=RETRAINED), baseline)
    assert bool(found) is fails
    assert all(line.startswith("regression: top-1, ONNX: ") for line in found)


def test_the_allowed_loss_of_accuracy_holds_for_accuracy_itself():
    report, baseline = fallen(1600, model=RETRAINED), synthetic_report(accuracy=onnx(()))
    assert lines(report, baseline, accuracy_pp=39) != ()
    assert lines(report, baseline, accuracy_pp=40) == ()


def test_accuracy_itself_is_not_compared_on_other_images():
    elsewhere = EvaluationSection(source="other.tar", images=IMAGES, labelled=True)
    report = fallen(1600, model=RETRAINED, evaluation=elsewhere)
    findings = find_regressions(report, synthetic_report(accuracy=onnx(())))
    assert regression_lines(findings) == ()
    assert "Not compared: top-1 itself" in regression_table(findings, "now").note


def test_what_compared_nothing_has_not_passed():
    speed_alone = dict.fromkeys(("verification", "accuracy", "fidelity", "coverage"))
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


def test_a_report_of_an_earlier_version_has_the_ratio_of_its_medians():
    def old(speedup):
        results = latencies(speedup)
        return synthetic_report(
            latency=tuple(entry.model_copy(update={"speedup": None}) for entry in results)
        )

    assert lines(old(2.9), old(3.0)) == ()
    (line,) = lines(old(2.0), old(3.0))
    assert "2.00x, 3.00x before: worse by 33.3 %" in line


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
    "verification": (None, "verification"),
    "accuracy": (None, "top-1 drop, ONNX"),
    "latency": ((), "speedup, model.int8.onnx in onnxruntime, 2 threads"),
    "size_bytes": ({}, "size, model.int8.onnx"),
    "coverage": (None, "in integers, conv"),
}


@pytest.mark.parametrize("section", MISSING)
def test_what_only_the_baseline_measured_fails_and_is_named(section):
    nothing, what = MISSING[section]

    found = lines(synthetic_report(**{section: nothing}), synthetic_report())

    assert found
    assert found[0].startswith(f"regression: {what}: ")
    assert all(line.endswith(" before, not measured now") for line in found)


@pytest.mark.parametrize("section", MISSING)
def test_what_only_the_report_measured_does_not_count(section):
    nothing, _ = MISSING[section]

    assert lines(synthetic_report(), synthetic_report(**{section: nothing})) == ()


def test_an_artefact_that_is_no_longer_made_is_missing():
    both = accuracy(onnx=answers(), torchscript=answers())

    (line,) = lines(synthetic_report(accuracy=onnx(())), synthetic_report(accuracy=both))

    assert "TorchScript" in line


def test_a_baseline_without_any_finding_gates_nothing_and_is_refused():
    empty = {section: nothing for section, (nothing, _) in MISSING.items()}
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


# The table.


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
