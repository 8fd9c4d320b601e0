"""The tiles on top of the page."""

from tests.synthetic_reports.reports import full

from eightbit.benchmarks.report.headline import key_figures


def test_a_small_drop_has_as_many_digits_as_its_interval_and_no_minus_zero() -> None:
    accuracy = full().accuracy
    assert accuracy is not None
    assert accuracy.onnx is not None
    update = {"drop_pp": -0.0004, "drop_ci95_pp": (-0.0024, 0.0016)}
    onnx = accuracy.onnx.model_copy(update=update)
    report = full().model_copy(update={"accuracy": accuracy.model_copy(update={"onnx": onnx})})
    whose, tiles = key_figures(report)
    (drop,) = (tile for tile in tiles if tile.label == "Top-1 drop")
    assert whose == "ONNX"
    assert drop.value == "-0.0004 pp"
    assert drop.detail == "95 % interval -0.0024 to 0.0016, 4,000 images"
