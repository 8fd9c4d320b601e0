"""The page that travels with a bundle: this model's own numbers, or that they are not known."""

import re

import pytest
from tests.synthetic_reports.answers import RIGHT, accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import synthetic_report

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.model_input import InputFormat, ModelInput
from eightbit.benchmarks.report.document import ModelSection, Report
from eightbit.benchmarks.report.images import CalibrationSection
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing, Size
from eightbit.quantize.deploy.readme import bundle_readme

HOSTILE = "<script>alert(1)</script> | `x` **y** \x1b[31m\n# z"


SQUARE = Preprocessing(resize=256, crop=224)


def metadata(
    taken: InputFormat = InputFormat.FLOAT32, preprocessing: Preprocessing = SQUARE
) -> ArtifactMetadata:
    spec = ModelSpec(
        architecture=Architecture.RESNET18, num_classes=10, preprocessing=preprocessing
    )
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=spec,
        input=ModelInput.of(taken),
        versions={"onnx": "1.23.2", "torch": "2.13.0"},
    )


def readme(
    report: Report,
    taken: InputFormat = InputFormat.FLOAT32,
    preprocessing: Preprocessing = SQUARE,
) -> str:
    return bundle_readme(
        report,
        metadata(taken, preprocessing),
        last_bit=0.125,
        model_sha256="ab" * 32,
        tried_with=["numpy 2.4.6"],
    )


def numbers(text: str) -> dict[str, str]:
    section = text[text.index("## Numbers") :].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)[2:]
    return dict(rows)


def test_it_has_the_numbers_of_this_very_model() -> None:
    calibration = CalibrationSection(source="photos.tar", images=128, digests=("0" * 16,))
    found = numbers(readme(synthetic_report(calibration=calibration)))
    assert found == {
        "top-1 accuracy": "79.90 % of 4,000 images of photos.tar; float 80.00 %",
        "drop of top-1 against float": "0.10 pp \\[-0.11, 0.33\\], the 95 % interval in brackets",
        "latency": "10.0 ms (p50) in ONNX Runtime, batch 1, 2 threads on Example CPU @ 3 GHz; "
        "3.00x \\[2.80, 3.20\\] as fast as float",
        "size of the model": "1.0 MB, 4.0x smaller than float",
        "calibrated on": "128 images of photos.tar",
    }


def test_what_was_not_measured_is_said_to_be_so() -> None:
    nothing = {"accuracy": None, "evaluation": None}
    found = numbers(
        readme(synthetic_report(latency=(), calibration=None, size_bytes={}, **nothing))
    )
    assert found == {"accuracy": "not measured", "latency": "not measured"}


def test_accuracy_of_torchscript_alone_says_nothing_of_this_model() -> None:
    report = synthetic_report(accuracy=accuracy(None, torchscript=answers(range(10))))
    assert numbers(readme(report))["accuracy"] == "not measured"


def test_without_labels_it_says_how_often_the_class_is_that_of_float() -> None:
    report = synthetic_report(accuracy=accuracy(answers(range(10), (RIGHT,), labelled=False)))
    found = numbers(readme(report))
    assert found["same class as float"] == "99.72 % of 4,000 images of photos.tar"
    assert "drop of top-1 against float" not in found


def test_without_a_float_run_latency_has_no_speedup() -> None:
    (_, int8) = latencies(3.0)
    alone = int8.model_copy(update={"speedup": None})
    found = numbers(readme(synthetic_report(latency=(alone,))))
    said = "10.0 ms (p50) in ONNX Runtime, batch 1, 2 threads on Example CPU @ 3 GHz"
    assert found["latency"] == said


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (InputFormat.FLOAT32, "per channel (x / 255 - mean) / std, shape (N, 3, H, W)."),
        (InputFormat.UINT8, "takes these pixels as uint8, shape (N, 3, H, W), and normalises"),
        (InputFormat.UINT8_NHWC, "takes these pixels as uint8, shape (N, H, W, 3), and normal"),
    ],
)
def test_preprocessing_is_told_in_words_and_numbers(taken: InputFormat, said: str) -> None:
    text = readme(synthetic_report(), taken)
    assert said in text
    assert "the shorter side resized to 256 pixels" in text
    assert "the 224 x 224 pixels in the centre" in text
    assert "| green | 0.456 | 0.224 |" in text


@pytest.mark.parametrize(
    ("squash", "resize", "said"),
    [
        (False, 256, "the shorter side resized to 256 pixels (bilinear, antialiased; the longer"),
        (True, 256, "both sides resized to 256 pixels (bilinear, antialiased)"),
        (False, (96, 160), "resized by one ratio to just cover 96 x 160 pixels (height x width)"),
        (True, (96, 160), "resized to 96 x 160 pixels (height x width) whatever the ratio"),
    ],
)
def test_height_and_width_are_told_apart(squash: bool, resize: Size, said: str) -> None:
    how = Preprocessing(resize=resize, crop=(80, 120), squash=squash)
    text = readme(synthetic_report(), preprocessing=how)
    assert said in text
    assert "the 80 x 120 pixels (height x width) in the centre" in text


def test_it_says_how_to_begin_and_how_to_check() -> None:
    text = readme(synthetic_report())
    assert "    pip install -r requirements.txt\n    python classify.py photo.jpg\n" in text
    assert "`python model.zip photo.jpg`" in text
    assert "    python classify.py --self-test\n" in text
    assert "one last bit is 0.125" in text
    assert "onnx 1.23.2, torch 2.13.0. The self-test's logits: numpy 2.4.6. SHA-256" in text
    assert "SHA-256 of model.int8.onnx: " + "ab" * 32 in text
    assert "licence of the weights is not known" in text


def test_names_of_strangers_stay_words() -> None:
    report = synthetic_report()
    spec = report.model.spec.model_copy(update={"labels": (HOSTILE,) * 10})
    calibration = CalibrationSection(source=HOSTILE, images=1, digests=("0" * 16,))
    model = ModelSection(spec=spec, weights=HOSTILE)
    text = readme(synthetic_report(model=model, calibration=calibration))
    assert "\x1b" not in text
    assert "<script>" not in text
    assert not re.search(r"^# z", text, re.MULTILINE)
    assert numbers(text)["calibrated on"].startswith("1 image of \\<script\\>alert(1)")
    assert "The names of the classes are in labels.txt." in text
