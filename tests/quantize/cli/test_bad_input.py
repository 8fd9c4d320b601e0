"""Weights, images, labels, places and options that `eightbit quantize` refuses."""

import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.quantize.cli.refusal import Case, Eightbit, Place, cases, check_refused

from eightbit.models import Architecture, build_model


def _unknown_architecture(place: Place) -> tuple[object, ...]:
    return place.quantize(architecture="resnet19")


def _missing_weights_file(place: Place) -> tuple[object, ...]:
    return place.quantize(weights=place.root / "gone.pth")


def _unknown_weights_name(place: Place) -> tuple[object, ...]:
    return place.quantize(architecture="resnet18", weights="IMAGENET1K_V9")


def _named_weights_for_a_cifar_network(place: Place) -> tuple[object, ...]:
    return place.quantize(weights="DEFAULT")


def _checkpoint_of_another_architecture(place: Place) -> tuple[object, ...]:
    return place.quantize(architecture="cifar_resnet32")


def _checkpoint_of_another_width(place: Place) -> tuple[object, ...]:
    torch.save(build_model(Architecture.RESNET18, num_classes=3).state_dict(), "resnet18.pth")
    return place.quantize(architecture="resnet50", weights="resnet18.pth")


def _pickle_with_code(place: Place) -> tuple[object, ...]:
    torch.save(build_model(Architecture.CIFAR_RESNET20), "whole.pth")
    return place.quantize(weights="whole.pth")


def _truncated_checkpoint(place: Place) -> tuple[object, ...]:
    Path("half.pth").write_bytes(place.checkpoint.read_bytes()[:100_000])
    return place.quantize(weights="half.pth")


def _text_as_checkpoint(place: Place) -> tuple[object, ...]:
    Path("text.pth").write_text("not weights\n" * 99)
    return place.quantize(weights="text.pth")


def _empty_checkpoint(place: Place) -> tuple[object, ...]:
    Path("empty.pth").touch()
    return place.quantize(weights="empty.pth")


def _damaged_safetensors(place: Place) -> tuple[object, ...]:
    Path("damaged.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{garbage")
    return place.quantize(weights="damaged.safetensors")


def _weights_that_are_no_number(place: Place) -> tuple[object, ...]:
    state = torch.load(place.checkpoint)
    state["fc.bias"][0] = float("nan")
    torch.save(state, "nan.pth")
    return place.quantize(weights="nan.pth")


def _missing_calibration(place: Place) -> tuple[object, ...]:
    return place.quantize(calibrate=place.root / "gone")


def _folder_without_images(place: Place) -> tuple[object, ...]:
    Path("empty").mkdir()
    Path("empty", "readme.txt").write_text("no image")
    return place.quantize(calibrate="empty")


def _only_unusable_images(place: Place) -> tuple[object, ...]:
    Path("bad").mkdir()
    for name in ("a.png", "b.jpg"):
        Path("bad", name).write_bytes(b"no image")
    return place.quantize(calibrate="bad")


def _broken_zip(place: Place) -> tuple[object, ...]:
    with zipfile.ZipFile("whole.zip", "w") as archive:
        archive.write(place.photos / "0" / "0.png", "0.png")
    Path("broken.zip").write_bytes(Path("whole.zip").read_bytes()[:-30])
    return place.quantize(calibrate="broken.zip")


def _broken_tar(place: Place) -> tuple[object, ...]:
    with tarfile.open("whole.tar", "w") as archive:
        archive.add(place.photos, "photos")
    content = bytearray(Path("whole.tar").read_bytes())
    content[:512] = b"\xff" * 512
    Path("broken.tar").write_bytes(content)
    return place.quantize(calibrate="broken.tar")


def _other_archive(place: Place) -> tuple[object, ...]:
    Path("photos.tar.gz").write_bytes(b"\x1f\x8b")
    return place.quantize(calibrate="photos.tar.gz")


def _folders_of_other_classes(place: Place) -> tuple[object, ...]:
    for name in ("cat", "dog"):
        shutil.copytree(place.photos / "0", Path("others", name))
    return place.quantize(evaluate="others")


def _missing_evaluation(place: Place) -> tuple[object, ...]:
    return place.quantize(evaluate="gone.tar")


def _gate_without_images(place: Place) -> tuple[object, ...]:
    return place.quantize(max_drop=1)


def _gate_without_labels(place: Place) -> tuple[object, ...]:
    return place.quantize(max_drop=1, evaluate=place.photos / "0")


def _gate_that_is_no_number(place: Place) -> tuple[object, ...]:
    return place.quantize(max_drop="nan", evaluate=place.photos)


def _gate_that_nothing_could_fail(place: Place) -> tuple[object, ...]:
    return place.quantize(max_drop=100.5, evaluate=place.photos)


def _gate_that_nothing_could_pass(place: Place) -> tuple[object, ...]:
    return place.quantize(max_drop=-101, evaluate=place.photos)


def _fallback_without_a_target(place: Place) -> tuple[object, ...]:
    return place.quantize(fallback=True, evaluate=place.photos)


def _fallback_without_images(place: Place) -> tuple[object, ...]:
    return place.quantize(fallback=True, max_drop=1)


def _fallback_without_labels(place: Place) -> tuple[object, ...]:
    return place.quantize(fallback=True, max_drop=1, evaluate=place.photos / "0")


def _labels_of_no_images(place: Place) -> tuple[object, ...]:
    Path("labels.csv").write_text("file,label\n0.png,0\n")
    return place.quantize(labels="labels.csv")


def _too_few_class_names(place: Place) -> tuple[object, ...]:
    Path("names.txt").write_text("cat\ndog\n")
    return place.quantize(labels="names.txt")


def _missing_labels(place: Place) -> tuple[object, ...]:
    return place.quantize(labels="gone.txt")


def _out_is_not_empty(place: Place) -> tuple[object, ...]:
    place.out.mkdir()
    (place.out / "mine.txt").write_text("keep me")
    return place.quantize()


def _out_is_a_file(place: Place) -> tuple[object, ...]:
    place.out.write_text("keep me")
    return place.quantize(overwrite=True)


def _out_is_below_a_file(place: Place) -> tuple[object, ...]:
    Path("file").write_text("keep me")
    return place.quantize(out=Path("file", "out"))


def _unknown_format(place: Place) -> tuple[object, ...]:
    return place.quantize(formats="onnx,tflite")


def _no_samples(place: Place) -> tuple[object, ...]:
    return place.quantize(samples=0)


def _samples_in_words(place: Place) -> tuple[object, ...]:
    return place.quantize(samples="many")


def _no_crop(place: Place) -> tuple[object, ...]:
    return place.quantize(crop=0)


def _unknown_method(place: Place) -> tuple[object, ...]:
    return place.quantize(method="magic")


def _no_out(place: Place) -> tuple[object, ...]:
    return place.quantize(out=None)


def _no_weights(place: Place) -> tuple[object, ...]:
    return place.quantize(weights=None)


def _no_calibration(place: Place) -> tuple[object, ...]:
    return place.quantize(calibrate=None)


def _unknown_option(place: Place) -> tuple[object, ...]:
    return (*place.quantize(), "--fast")


def _unknown_command(place: Place) -> tuple[object, ...]:
    return ("quantise", place.photos)


# What the line must say, besides beginning with the program's name.
CASES: Mapping[Case, tuple[str, ...]] = {
    _unknown_architecture: ("'resnet19'", "hf:FOLDER", "did you mean resnet18"),
    _missing_weights_file: ("gone.pth", "no such file"),
    _unknown_weights_name: ("IMAGENET1K_V9", "IMAGENET1K_V1", "path of a file"),
    _named_weights_for_a_cifar_network: ("'DEFAULT'", "path of a .pth"),
    _checkpoint_of_another_architecture: ("tiny.pth", "layer1.3.", "cifar_resnet20"),
    _checkpoint_of_another_width: (
        *("resnet18.pth: layer1.0.conv1.weight", "(64, 64, 3, 3)", "(64, 64, 1, 1)"),
        "resnet18",
    ),
    _pickle_with_code: ("whole.pth", "needs code", "torch.save(model.state_dict()"),
    _truncated_checkpoint: ("half.pth", "download it again"),
    _text_as_checkpoint: ("text.pth", "expected a PyTorch checkpoint"),
    _empty_checkpoint: ("empty.pth", "found an empty file"),
    _damaged_safetensors: ("damaged.safetensors", "cannot be parsed"),
    _weights_that_are_no_number: ("nan.pth", "fc.bias"),
    _missing_calibration: ("gone", "expected a folder, .tar or .zip", "found nothing"),
    _folder_without_images: ("empty", "expected images"),
    _only_unusable_images: ("bad: expected a usable image, found none", "a.png"),
    _broken_zip: ("broken.zip", "cannot be read", "again"),
    _broken_tar: ("broken.tar", "cannot be read", "again"),
    _other_archive: ("photos.tar.gz", "unpack other archives"),
    _folders_of_other_classes: ("others: ", "2 for 10 classes", "index (0 to 9)"),
    _missing_evaluation: ("gone.tar", "found nothing"),
    _gate_without_images: ("max drop", "--evaluate"),
    _gate_without_labels: ("class folders or a CSV", "no --max-drop"),
    _gate_that_is_no_number: ("max drop: expected percentage points from -100 to 100, found nan",),
    _gate_that_nothing_could_fail: ("max drop", "from -100 to 100", "found 100.5"),
    _gate_that_nothing_could_pass: ("max drop", "from -100 to 100", "found -101"),
    _fallback_without_a_target: ("fallback: expected a drop", "give --max-drop"),
    _fallback_without_images: ("max drop", "give --evaluate"),
    _fallback_without_labels: ("class folders or a CSV", "no --max-drop"),
    _labels_of_no_images: ("labels", "--evaluate"),
    _too_few_class_names: ("labels: expected 10 names", "found 2"),
    _missing_labels: ("gone.txt", "found no such file"),
    _out_is_not_empty: ("out: ", "--overwrite"),
    _out_is_a_file: ("out: expected a folder, found a file", "--out"),
    _out_is_below_a_file: ("cannot be written", "--out"),
    _unknown_format: ("--formats", "torchscript, onnx", "'tflite'"),
    _no_samples: ("--samples", "expected a number from 1 to", "found 0"),
    _samples_in_words: ("--samples", "or auto", "found many"),
    _no_crop: ("--crop", "found '0'"),
    _unknown_method: ("--method", "magic", "percentile"),
    _no_out: ("--out",),
    _no_weights: ("--weights",),
    _no_calibration: ("--calibrate SRC", "--recipe FILE"),
    _unknown_option: ("--fast",),
    _unknown_command: ("quantise",),
}


@cases(CASES)
def test_bad_input_is_refused_in_one_line_and_nothing_is_left_behind(
    case: Case, said: tuple[str, ...], place: Place, eightbit: Eightbit
) -> None:
    check_refused(case, said, place, eightbit)


def test_huge_and_strange_images_are_refused_by_name(place: Place, eightbit: Eightbit) -> None:
    Path("odd").mkdir()
    Image.new("1", (30_000, 30_000)).save("odd/bomb.png")
    line = eightbit(*place.quantize(calibrate="odd")).error
    assert "odd: expected a usable image, found none; the first, bomb.png: " in line


@pytest.mark.parametrize("command", ["quantize", "verify", "evaluate", "benchmark", "classify"])
def test_more_threads_than_any_machine_can_start_are_refused(
    eightbit: Eightbit, command: str
) -> None:
    outcome = eightbit(command, "x", "--threads", 1025)
    assert outcome.code == 2
    assert "'--threads': Input should be less than or equal to 1024" in outcome.err
