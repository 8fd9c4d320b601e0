import pytest

from eightbit.benchmarks.accuracy.paired import drop_interval_pp, mcnemar_p
from eightbit.benchmarks.report.headline import headline


def test_the_headline_says_accuracy_speed_and_size_of_one_artifact(full_report):
    assert headline(full_report) == (
        "INT8 (ONNX) keeps 81.0 % of 81.2 % top-1 (drop 0.10 pp [-0.28, 0.48], "
        "indistinguishable from zero on 4,000 images), "
        "3.0x faster [2.9, 3.2], 3.8x smaller."
    )


def test_without_onnx_the_headline_is_about_torchscript(full_report):
    accuracy = full_report.accuracy.model_copy(update={"onnx": None})
    latency = tuple(entry for entry in full_report.latency if entry.runtime.name == "torchscript")
    sizes = {"model.int8.pt": 12_000_000, "model.fp32.onnx": 44_700_000}
    report = full_report.model_copy(
        update={"accuracy": accuracy, "latency": latency, "size_bytes": sizes}
    )
    assert headline(report) == (
        "INT8 (TorchScript) keeps 81.0 % of 81.2 % top-1 (drop 0.15 pp [-0.23, 0.54], "
        "indistinguishable from zero on 4,000 images), "
        "3.0x faster [2.9, 3.2], 3.7x smaller."
    )


def test_without_labels_the_headline_is_about_agreement(full_report):
    unlabelled = full_report.accuracy.onnx.model_copy(
        update={"top1": None, "top5": None, "drop_pp": None, "broke": None, "fixed": None}
    )
    accuracy = full_report.accuracy.model_copy(update={"onnx": unlabelled})
    report = full_report.model_copy(update={"accuracy": accuracy})
    assert headline(report).startswith(
        "INT8 (ONNX) gives the float model's class to 98.35 % of 4,000 images, 3.0x faster"
    )


@pytest.mark.parametrize(
    ("broke", "fixed", "words"),
    [
        (90, 40, "(drop 1.25 pp [0.70, 1.83], a real drop on 4,000 images)"),
        (40, 90, "(drop -1.25 pp [-1.83, -0.70], a real gain on 4,000 images)"),
        (5, 0, "(drop 0.12 pp [0.03, 0.29], too close to call on 4,000 images)"),
    ],
)
def test_the_headline_tells_a_drop_from_noise(broke, fixed, words, full_report):
    onnx = full_report.accuracy.onnx.model_copy(
        update={
            "drop_pp": 100 * (broke - fixed) / 4000,
            "drop_ci95_pp": drop_interval_pp(broke, fixed, 4000),
            "mcnemar_p": mcnemar_p(broke, fixed),
        }
    )
    accuracy = full_report.accuracy.model_copy(update={"onnx": onnx})
    assert words in headline(full_report.model_copy(update={"accuracy": accuracy}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "Nothing was measured."),
        ({"size_bytes": {"recipe.json": 5}}, "Nothing was measured."),
        (
            {"size_bytes": {"model.fp32.onnx": 50, "model.int8.onnx": 100}},
            "INT8 (ONNX) 2.0x bigger.",
        ),
    ],
)
def test_the_headline_says_only_what_was_measured(changes, expected, almost_empty_report):
    assert headline(almost_empty_report.model_copy(update=changes)) == expected


def test_a_slower_artifact_is_called_slower(full_report):
    slow = full_report.latency[1].model_copy(update={"speedup": 0.5, "speedup_ci95": None})
    report = full_report.model_copy(update={"latency": (full_report.latency[0], slow)})
    assert "2.0x slower" in headline(report)


@pytest.mark.parametrize(
    ("factor", "ends", "words"),
    [
        (2.61, (2.58, 2.66), ", 2.6x faster [2.5, 2.7], "),
        (2.6, (2.5, 2.7), ", 2.6x faster [2.5, 2.7], "),
        (1.04, (0.98, 1.12), ", as fast as float [0.9, 1.2], "),
        (0.97, (0.91, 1.04), ", as fast as float [0.9, 1.1], "),
        (0.5, (0.41, 0.62), ", 2.0x slower [1.6, 2.5], "),
        (2.61, None, ", 2.6x faster, "),
    ],
)
def test_the_speedup_has_its_interval_and_rounding_makes_it_no_narrower(
    factor, ends, words, full_report
):
    onnx = full_report.latency[1].model_copy(update={"speedup": factor, "speedup_ci95": ends})
    report = full_report.model_copy(update={"latency": (full_report.latency[0], onnx)})
    assert words in headline(report)


def test_a_failed_verification_comes_first(full_report):
    verification = full_report.verification.model_copy(update={"passed": False})
    report = full_report.model_copy(update={"verification": verification})
    assert headline(report).startswith("VERIFICATION FAILED. INT8 (ONNX) keeps")


def test_without_a_float_model_nothing_is_said_of_speed(full_report):
    alone = full_report.latency[1].model_copy(update={"speedup": None})
    report = full_report.model_copy(update={"latency": (alone,)})
    assert "faster" not in headline(report)


def test_artifacts_that_nobody_verified_are_called_so(full_report):
    report = full_report.model_copy(update={"verification": None})
    assert headline(report).startswith("NOT VERIFIED (no images were given). INT8 (ONNX)")


def test_a_mere_measurement_is_not_called_unverified(full_report):
    report = full_report.model_copy(update={"verification": None, "coverage": None})
    assert headline(report).startswith("INT8 (ONNX) keeps")
