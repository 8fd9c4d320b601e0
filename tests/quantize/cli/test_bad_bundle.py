"""Bundles, artefacts and data that the commands after `eightbit quantize` refuse."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import onnx
from tests.quantize.cli.refusal import Case, Eightbit, Place, cases, check_refused

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.quantize import bundle


def _diagnose_no_bundle(place: Place) -> tuple[object, ...]:
    return ("diagnose", place.photos, "--data", place.photos)


def _diagnose_without_images(place: Place) -> tuple[object, ...]:
    empty = place.root / "empty"
    empty.mkdir()
    return ("diagnose", place.bundle, "--data", empty)


def _evaluate_no_bundle(place: Place) -> tuple[object, ...]:
    return ("evaluate", place.photos, "--data", place.photos)


def _evaluate_without_data(place: Place) -> tuple[object, ...]:
    return ("evaluate", place.bundle)


def _evaluate_gate_without_labels(place: Place) -> tuple[object, ...]:
    return ("evaluate", place.bundle, "--data", place.photos / "0", "--max-drop", 1)


def _evaluate_with_class_names(place: Place) -> tuple[object, ...]:
    Path("names.txt").write_text("\n".join(map(str, range(10))))
    return ("evaluate", place.bundle, "--data", place.photos, "--labels", "names.txt")


def _evaluate_a_bundle_of_garbage(place: Place) -> tuple[object, ...]:
    shutil.copytree(place.bundle, "bundle")
    Path("bundle", bundle.ONNX).write_bytes(b"garbage")
    return ("evaluate", "bundle", "--data", place.photos)


def _benchmark_no_bundle(place: Place) -> tuple[object, ...]:
    return ("benchmark", place.photos)


def _benchmark_nothing(place: Place) -> tuple[object, ...]:
    return ("benchmark", place.root / "gone")


def _inspect_text(place: Place) -> tuple[object, ...]:
    Path("notes.txt").write_text("hello")
    return ("inspect", "notes.txt")


def _inspect_text_called_onnx(place: Place) -> tuple[object, ...]:
    Path("notes.onnx").write_text("hello")
    return ("inspect", "notes.onnx")


def _inspect_a_checkpoint(place: Place) -> tuple[object, ...]:
    shutil.copy(place.checkpoint, "tiny.pt")
    return ("inspect", "tiny.pt")


def _inspect_nothing(place: Place) -> tuple[object, ...]:
    return ("inspect", "gone.onnx")


def _classify_with_text(place: Place) -> tuple[object, ...]:
    Path("notes.txt").write_text("hello")
    return ("classify", "notes.txt", place.photos / "0" / "0.png")


def _classify_without_metadata(place: Place) -> tuple[object, ...]:
    model = onnx.load(place.bundle / bundle.ONNX)
    del model.metadata_props[:]
    onnx.save(model, "stranger.onnx")
    return ("classify", "stranger.onnx", place.photos / "0" / "0.png")


def _classify_a_missing_image(place: Place) -> tuple[object, ...]:
    return ("classify", place.bundle / bundle.ONNX, "gone.png")


def _classify_a_folder(place: Place) -> tuple[object, ...]:
    return ("classify", place.bundle / bundle.ONNX, place.photos)


def _classify_text(place: Place) -> tuple[object, ...]:
    Path("notes.png").write_text("hello")
    return ("classify", place.bundle / bundle.ONNX, "notes.png")


def _classify_nothing(place: Place) -> tuple[object, ...]:
    return ("classify", place.bundle / bundle.ONNX)


def _for_another_engine(place: Place) -> Path:
    """The TorchScript artefact, but asking for an engine that no machine has."""
    path = Path("another_engine.pt")
    with (
        zipfile.ZipFile(place.bundle / TORCHSCRIPT.file()) as source,
        zipfile.ZipFile(path, "w") as target,
    ):
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("/extra/eightbit.json"):
                metadata = json.loads(content)
                metadata["engine"] = "abacus"
                content = json.dumps(metadata).encode()
            target.writestr(member.filename, content)
    return path


def _inspect_for_another_engine(place: Place) -> tuple[object, ...]:
    return ("inspect", _for_another_engine(place))


def _classify_for_another_engine(place: Place) -> tuple[object, ...]:
    return ("classify", _for_another_engine(place), place.photos / "0" / "0.png")


# What the line must say, besides beginning with the program's name.
CASES: Mapping[Case, tuple[str, ...]] = {
    _diagnose_no_bundle: ("photos", "`eightbit quantize`"),
    _diagnose_without_images: ("empty", "images"),
    _evaluate_no_bundle: ("photos", "`eightbit quantize`", bundle.FLOAT_ONNX),
    _evaluate_without_data: ("--data",),
    _evaluate_gate_without_labels: ("class folders or a CSV", "no --max-drop"),
    _evaluate_with_class_names: ("names.txt", ".csv"),
    _evaluate_a_bundle_of_garbage: (bundle.ONNX, "expected an ONNX model"),
    _benchmark_no_bundle: ("photos", "`eightbit quantize`"),
    _benchmark_nothing: ("gone", "`eightbit quantize`"),
    _inspect_text: ("notes.txt", ".onnx or .pt or .pt2 or .tflite"),
    _inspect_text_called_onnx: ("notes.onnx", "expected an ONNX model"),
    _inspect_a_checkpoint: ("tiny.pt", "quantize it first"),
    _inspect_nothing: ("gone.onnx", "check the path"),
    _classify_with_text: ("notes.txt", ".onnx or .pt or .pt2 or .tflite"),
    _classify_without_metadata: ("stranger.onnx", "without eightbit metadata"),
    _classify_a_missing_image: ("gone.png", "found no such file"),
    _classify_a_folder: ("photos", "found a folder"),
    _classify_text: ("notes.png", "expected an image"),
    _classify_nothing: ("IMAGE",),
    _inspect_for_another_engine: ("another_engine.pt", "abacus", "ONNX artefact"),
    _classify_for_another_engine: ("another_engine.pt", "abacus", "ONNX artefact"),
}


@cases(CASES)
def test_bad_input_is_refused_in_one_line_and_nothing_is_left_behind(
    case: Case, said: tuple[str, ...], place: Place, eightbit: Eightbit
) -> None:
    check_refused(case, said, place, eightbit)
