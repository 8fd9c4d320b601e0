from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.images import ConvergencePoint, WithoutImages
from eightbit.benchmarks.report.tables.results import images_table
from eightbit.models.images.passed_over import Ending, PassedOver


def test_what_was_left_out_is_said_below_the_images(full_report: Report) -> None:
    assert full_report.calibration is not None
    assert full_report.evaluation is not None
    passed_over = PassedOver(
        endings=(Ending(ending=".heic", files=1200, example="dog/1.heic"),), hidden=2
    )
    without = WithoutImages.of([f"class {index}" for index in range(150)])
    assert (without.count, len(without.names)) == (150, 100)
    calibration = full_report.calibration.model_copy(
        update={"passed_over": passed_over, "without_images": WithoutImages.of(["dog"])}
    )
    evaluation = full_report.evaluation.model_copy(
        update={"without_images": without, "labels_without_image": 3}
    )
    note = images_table(calibration, evaluation).note
    assert (
        "Passed over for calibration, since they are no images: 1,200 .heic (such as 'dog/1.heic'),"
        " 2 hidden files." in note
    )
    assert "No image for calibration of 1 class: 'dog'." in note
    assert "No image for evaluation of 150 classes: 'class 0', 'class 1', " in note
    assert "'class 4' and 145 more." in note
    assert "The label file has 3 labels of images that are not there." in note


def test_nothing_is_said_where_nothing_was_left_out(full_report: Report) -> None:
    note = images_table(full_report.calibration, full_report.evaluation).note
    assert "Passed over" not in note
    assert "No image" not in note


def test_whether_more_images_would_pay_is_said(full_report: Report) -> None:
    assert full_report.calibration is not None

    def said(**update: object) -> str:
        section = full_report.calibration
        assert section is not None
        return images_table(section.model_copy(update=update), None).note

    def curve(*changes: float) -> tuple[ConvergencePoint, ...]:
        return tuple(
            ConvergencePoint(images=64 + 32 * place, tensor="layer1.0.conv1", largest_change=change)
            for place, change in enumerate(changes)
        )

    moving = said(settled=None, convergence=curve(0.01, 0.05))
    assert "may pay: the range of layer1.0.conv1 still moved by 5% over the last of them" in moving
    assert "would change little" in said(settled=None, convergence=curve(0.05, 0.01))
    assert "Too few calibration images (8)" in said(settled=None, convergence=(), images=8)
    assert "more" not in said(settled=True, convergence=curve(0.01, 0.01)).lower()
