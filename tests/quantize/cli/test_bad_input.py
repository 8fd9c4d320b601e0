"""What is refused: exit code 2, one line that says what to do, and the disk as it was."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from PIL import Image

from eightbit.models import Architecture, build_model
from eightbit.quantize import bundle

Eightbit = Callable[..., Any]

COMMAND = Path(sys.executable).parent / "eightbit"


@dataclass(frozen=True)
class Place:
    """A folder to spoil, beside good inputs.

    Attributes:
        root: Empty and writable; the current folder.
        out: What --out is; does not exist.
        checkpoint: Good weights.
        photos: Good images in class folders.
        bundle: A good bundle; to be copied, not changed.
    """

    root: Path
    out: Path
    checkpoint: Path
    photos: Path
    bundle: Path

    def quantize(self, **options: object) -> tuple[object, ...]:
        """A good command, but for the given options; None leaves one out."""
        values: dict[str, object] = {
            "weights": self.checkpoint,
            "calibrate": self.photos,
            "out": self.out,
            "threads": 1,
            **options,
        }
        architecture = values.pop("architecture", "cifar_resnet20")
        given = {name: value for name, value in values.items() if value is not None}
        typed = [word for name, value in given.items() for word in _option(name, value)]
        return ("quantize", *(() if architecture is None else (architecture,)), *typed)

    def rebuild(self, recipe: Path, **options: object) -> tuple[object, ...]:
        """A good command that follows a recipe, but for the given options."""
        return self.quantize(architecture=None, calibrate=None, recipe=recipe, **options)


def _option(name: str, value: object) -> tuple[object, ...]:
    flag = f"--{name.replace('_', '-')}"
    return (flag,) if value is True else (flag, value)


@pytest.fixture
def place(
    tmp_path: Path,
    checkpoint: Path,
    photos: Path,
    bundle_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, tmp_path / "out", checkpoint, photos, bundle_folder)


def _on_disk(root: Path) -> dict[str, bytes | None]:
    """Everything below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


# ---- Each case spoils one thing and returns the command -----------------------------------------

Case = Callable[[Place], tuple[object, ...]]


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


def _fallback_without_a_target(place: Place) -> tuple[object, ...]:
    return place.quantize(fallback=True, evaluate=place.photos)


def _fallback_without_images(place: Place) -> tuple[object, ...]:
    return place.quantize(fallback=True, max_drop=1)


def _fallback_without_labels(place: Place) -> tuple[object, ...]:
    return place.quantize(fallback=True, max_drop=1, evaluate=place.photos / "0")


def _fallback_with_recipe(place: Place) -> tuple[object, ...]:
    recipe = place.bundle / bundle.RECIPE
    return place.rebuild(recipe, fallback=True, max_drop=1, evaluate=place.photos)


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


def _changed_recipe(place: Place, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads((place.bundle / bundle.RECIPE).read_text())
    change(content)
    Path(bundle.RECIPE).write_text(json.dumps(content))
    shutil.copy(place.bundle / bundle.TABLES, bundle.TABLES)
    return Path(bundle.RECIPE)


def _recipe_for_other_weights(place: Place) -> tuple[object, ...]:
    state = torch.load(place.checkpoint)
    state["fc.bias"] += 1
    torch.save(state, "other.pth")
    return place.rebuild(place.bundle / bundle.RECIPE, weights="other.pth")


def _recipe_of_a_newer_version(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe.update(format_version=99)))


def _recipe_with_an_unknown_key(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe.update(temperature=1)))


def _recipe_without_an_activation(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe["activations"].pop("conv1")))


def _recipe_without_a_layer(place: Place) -> tuple[object, ...]:
    def change(recipe: dict[str, Any]) -> None:
        recipe["layers"].pop("conv1")
        # Else a table of a layer that is not there is what is refused.
        recipe["tables_sha256"] = None

    return place.rebuild(_changed_recipe(place, change))


def _recipe_with_a_bias_beyond_int32(place: Place) -> tuple[object, ...]:
    def change(recipe: dict[str, Any]) -> None:
        recipe["layers"]["conv1"]["bias"][0] = 2**40

    return place.rebuild(_changed_recipe(place, change))


def _recipe_with_another_output(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe.update(output="conv1")))


def _recipe_with_too_few_scales(place: Place) -> tuple[object, ...]:
    def change(recipe: dict[str, Any]) -> None:
        for numbers in ("scale", "zero_point"):
            recipe["layers"]["conv1"]["weight"][numbers].pop()

    return place.rebuild(_changed_recipe(place, change))


def _recipe_is_garbage(place: Place) -> tuple[object, ...]:
    Path("recipe.json").write_bytes(b"\xff\xfe garbage")
    return place.rebuild(Path("recipe.json"))


def _recipe_is_missing(place: Place) -> tuple[object, ...]:
    return place.rebuild(Path("gone.json"))


def _recipe_of_another_architecture(place: Place) -> tuple[object, ...]:
    recipe = place.bundle / bundle.RECIPE
    return place.quantize(architecture="resnet18", calibrate=None, recipe=recipe)


def _resize_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, resize=32)


def _calibrate_with_recipe(place: Place) -> tuple[object, ...]:
    return (*place.rebuild(place.bundle / bundle.RECIPE), "--calibrate", place.photos)


def _samples_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, samples=8)


def _unknown_format(place: Place) -> tuple[object, ...]:
    return place.quantize(formats="onnx,tflite")


def _no_samples(place: Place) -> tuple[object, ...]:
    return place.quantize(samples=0)


def _samples_in_words(place: Place) -> tuple[object, ...]:
    return place.quantize(samples="many")


def _rounding_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, rounding="gptq")


def _weight_method_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, weight_method="mse")


def _diagnose_no_bundle(place: Place) -> tuple[object, ...]:
    return ("diagnose", place.photos, "--data", place.photos)


def _diagnose_without_images(place: Place) -> tuple[object, ...]:
    empty = place.root / "empty"
    empty.mkdir()
    return ("diagnose", place.bundle, "--data", empty)


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
    path = Path("elsewhere.pt")
    with (
        zipfile.ZipFile(place.bundle / bundle.TORCHSCRIPT) as source,
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
    _unknown_architecture: ("resnet19", "resnet18", "cifar_resnet110"),
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
    _folder_without_images: ("empty", "expected images", "found none"),
    _only_unusable_images: ("bad: expected a usable image, found none", "a.png"),
    _broken_zip: ("broken.zip", "cannot be read", "again"),
    _broken_tar: ("broken.tar", "cannot be read", "again"),
    _other_archive: ("photos.tar.gz", "unpack other archives"),
    _folders_of_other_classes: ("others: ", "'cat', 'dog'", "index (0 to 9)"),
    _missing_evaluation: ("gone.tar", "found nothing"),
    _gate_without_images: ("max drop", "--evaluate"),
    _gate_without_labels: ("class folders or a CSV", "no --max-drop"),
    _gate_that_is_no_number: ("max drop: expected percentage points, found nan",),
    _fallback_without_a_target: ("fallback: expected a drop", "give --max-drop"),
    _fallback_without_images: ("max drop", "give --evaluate"),
    _fallback_without_labels: ("class folders or a CSV", "no --max-drop"),
    _fallback_with_recipe: ("--fallback", "leave it out"),
    _labels_of_no_images: ("labels", "--evaluate"),
    _too_few_class_names: ("expected 10 labels", "found 2"),
    _missing_labels: ("gone.txt", "No such file"),
    _out_is_not_empty: ("out: ", "--overwrite"),
    _out_is_a_file: ("out: expected a folder, found a file", "--out"),
    _out_is_below_a_file: ("cannot be written", "--out"),
    _recipe_for_other_weights: ("other.pth", "tiny.pth", "give the same file"),
    _recipe_of_a_newer_version: ("recipe.json", "found 99", "upgrade eightbit"),
    _recipe_with_an_unknown_key: ("recipe.json", "temperature"),
    _recipe_without_an_activation: ("recipe: activations: conv1: expected parameters",),
    _recipe_without_a_layer: ("recipe: conv1: expected 16 output channels, found 0",),
    _recipe_with_a_bias_beyond_int32: ("recipe.json: layers.conv1.bias.0", "2147483647"),
    _recipe_with_another_output: ("recipe: output: expected fc, found conv1",),
    _recipe_with_too_few_scales: ("recipe.json: layers.conv1", "found 16 and 15"),
    _recipe_is_garbage: ("recipe.json", "JSON"),
    _recipe_is_missing: ("gone.json", "found no such file"),
    _recipe_of_another_architecture: ("recipe for resnet18", "cifar_resnet20"),
    _resize_with_recipe: ("--resize", "leave it out"),
    _calibrate_with_recipe: ("--calibrate", "leave it out"),
    _samples_with_recipe: ("--samples", "leave it out"),
    _unknown_format: ("--formats", "torchscript, onnx", "'tflite'"),
    _no_samples: ("--samples", "expected a number from 1 on"),
    _samples_in_words: ("--samples", "or auto", "'many'"),
    _rounding_with_recipe: ("--rounding", "leave it out"),
    _weight_method_with_recipe: ("--weight-method", "leave it out"),
    _diagnose_no_bundle: ("photos", "`eightbit quantize`"),
    _diagnose_without_images: ("empty", "images"),
    _no_crop: ("crop", "found 0"),
    _unknown_method: ("--method", "magic", "percentile"),
    _no_out: ("--out",),
    _no_weights: ("--weights",),
    _no_calibration: ("--calibrate SRC", "--recipe FILE"),
    _unknown_option: ("--fast",),
    _unknown_command: ("quantise",),
    _evaluate_no_bundle: ("photos", "`eightbit quantize`", bundle.FLOAT_ONNX),
    _evaluate_without_data: ("--data",),
    _evaluate_gate_without_labels: ("class folders or a CSV", "no --max-drop"),
    _evaluate_with_class_names: ("names.txt", ".csv"),
    _evaluate_a_bundle_of_garbage: (bundle.ONNX, "expected an ONNX model"),
    _benchmark_no_bundle: ("photos", "`eightbit quantize`"),
    _benchmark_nothing: ("gone", "`eightbit quantize`"),
    _inspect_text: ("notes.txt", ".onnx or .pt"),
    _inspect_text_called_onnx: ("notes.onnx", "expected an ONNX model"),
    _inspect_a_checkpoint: ("tiny.pt", "quantize it first"),
    _inspect_nothing: ("gone.onnx", "check the path"),
    _classify_with_text: ("notes.txt", ".onnx or .pt"),
    _classify_without_metadata: ("stranger.onnx", "without eightbit metadata"),
    _classify_a_missing_image: ("gone.png", "No such file"),
    _classify_a_folder: ("photos", "directory"),
    _classify_text: ("notes.png", "expected an image"),
    _classify_nothing: ("IMAGE",),
    _inspect_for_another_engine: ("elsewhere.pt", "abacus", "ONNX artefact"),
    _classify_for_another_engine: ("elsewhere.pt", "abacus", "ONNX artefact"),
}


def _title(case: Case) -> str:
    return case.__name__.strip("_").replace("_", " ")


@pytest.mark.parametrize(
    ("case", "said"), [pytest.param(*item, id=_title(item[0])) for item in CASES.items()]
)
def test_bad_input_is_refused_in_one_line_and_nothing_is_left_behind(
    case: Case, said: tuple[str, ...], place: Place, eightbit: Eightbit
) -> None:
    command = case(place)
    before = _on_disk(place.root)
    line = eightbit(*command).error
    for words in said:
        assert words in line
    assert _on_disk(place.root) == before


# ---- A handful as the installed command, in a process of its own --------------------------------


def _run(*arguments: object, **environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    "case",
    [
        _unknown_architecture,
        _pickle_with_code,
        _only_unusable_images,
        _recipe_without_an_activation,
        _inspect_for_another_engine,
    ],
    ids=_title,
)
def test_the_installed_command_refuses_it_too(case: Case, place: Place) -> None:
    command = case(place)
    before = _on_disk(place.root)
    code, lines = _run(*command)
    assert code == 2
    (line,) = lines
    assert line.startswith("eightbit: ")
    for words in CASES[case]:
        assert words in line
    assert _on_disk(place.root) == before


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens, kept from others."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_without_a_network_it_says_which_file_goes_where(place: Place, closed_port: int) -> None:
    nowhere = f"http://127.0.0.1:{closed_port}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    cache = place.root / "cache"
    code, lines = _run(
        *place.quantize(architecture="resnet18", weights="IMAGENET1K_V1"),
        **{**proxies, "no_proxy": "", "NO_PROXY": "", "TORCH_HOME": str(cache)},
    )
    assert code == 2
    (line,) = lines
    assert line.startswith("eightbit: ResNet18_Weights.IMAGENET1K_V1: cannot be downloaded from ")
    assert f"put resnet18-f37072fd.pth into {cache / 'hub' / 'checkpoints'}" in line
    assert "or give the path of a local file" in line
    assert not place.out.exists()
    assert not list(place.root.glob(".out.*"))


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
