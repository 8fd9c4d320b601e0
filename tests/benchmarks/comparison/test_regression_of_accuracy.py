"""The gate of accuracy: of 4,000 images 20 are half a point."""

import pytest
from tests.benchmarks.comparison.gate import lines, onnx
from tests.synthetic_reports.answers import IMAGES, RIGHT, accuracy, answers
from tests.synthetic_reports.reports import evaluation, synthetic_report

from eightbit.benchmarks.comparison.regression import (
    find_regressions,
    regression_lines,
    regression_table,
)


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
    elsewhere = report.model_copy(update={"evaluation": evaluation("other.tar")})
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
            evaluation=evaluation(labelled=False),
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
    elsewhere = evaluation("other.tar")
    report = fallen(1600, model=RETRAINED, evaluation=elsewhere)
    findings = find_regressions(report, synthetic_report(accuracy=onnx(())))
    assert regression_lines(findings) == ()
    assert "Not compared: top-1 itself" in regression_table(findings, "now").note
