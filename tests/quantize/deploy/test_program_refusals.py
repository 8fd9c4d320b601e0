"""classify.py refuses what it cannot use: one line that says what to do, and exit code 2."""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import onnx
import onnxruntime
import pytest
from PIL import Image


@pytest.fixture
def program(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """classify.py of that folder, in this process."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "self_test", raising=False)
    spec = importlib.util.spec_from_file_location("classify", unpacked / "classify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "classify", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def refusal(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run it with arguments that it refuses; returns the one line that it says."""

    def refuse(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["classify.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            program.main()
        assert ended.value.code == 2
        # What libraries print from C is captured, too.
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("classify: ")
        assert line.isprintable()
        return line.removeprefix("classify: ")

    return refuse


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "expected photos, or --self-test [--json]"),
        (("--self-test", "x.png"), "expected photos, or --self-test"),
        (("x.png", "--json"), "expected photos, or --self-test"),
        (("x.png", "--top", "0"), "--top: expected at least 1"),
        (("x.png", "--threads", "-1"), "--threads: 0 to 1024"),
        (("x.png", "--threads", "1025"), "--threads: 0 to 1024"),
        (("x.png", "--top", "many"), "invalid int value: 'many'"),
        (("x.png", "--fast"), "unrecognized arguments: --fast"),
        (
            ("/nowhere/x.png",),
            "(JPEG, PNG, BMP, GIF, WEBP, TIFF, PPM, JPEG2000, AVIF), found: No such file",
        ),
        (("/",), "AVIF), found: something that is no file"),
        (("/nowhere/\x1b[31m\n.png",), "/nowhere/\\x1b[31m"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(
    refusal: Callable[..., str], arguments: tuple[str, ...], said: str
) -> None:
    assert said in refusal(*arguments)


def bomb(path: Path) -> None:
    Image.new("1", (12_000, 10_000)).save(path, "PNG")


def narrow(path: Path) -> None:
    Image.new("L", (1, 6_000_000)).save(path, "PNG")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("no image"), "expected an image (JPEG, PNG"),
        (lambda path: path.write_bytes(b""), "cannot identify image file"),
        (lambda path: path.write_bytes(path.read_bytes()[:2000]), "AVIF), found: "),
        (bomb, "more than 100 megapixels"),
        (narrow, "too narrow: 1 x 6000000 pixels"),
        (
            lambda path: Image.new("F", (40, 40)).save(path, "TIFF"),
            "pixels whose range is not known",
        ),
    ],
    ids=["text", "empty", "cut", "huge", "narrow", "float"],
)
def test_what_is_no_photo_is_refused_in_one_line(
    refusal: Callable[..., str],
    photo: Path,
    tmp_path: Path,
    make: Callable[[Path], object],
    said: str,
) -> None:
    path = tmp_path / "photo.jpg"
    shutil.copy(photo, path)
    make(path)
    assert said in refusal(path)


def edit(change: Callable[[onnx.ModelProto], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        model = onnx.load(folder / "model.int8.onnx")
        change(model)
        (folder / "model.int8.onnx").write_bytes(model.SerializeToString())

    return apply


def metadata(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(model: onnx.ModelProto) -> None:
        (entry,) = model.metadata_props
        described = json.loads(entry.value)
        change(described)
        entry.value = json.dumps(described)

    return edit(apply)


def newer_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[5].op_type = "Gelu7"


def other_side(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 64


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4


def not_json(model: onnx.ModelProto) -> None:
    model.metadata_props[0].value = "[" * 5000


KNOWS = f"{onnxruntime.__version__} knows, found 99; pip"

DAMAGES = {
    "newer opset": (edit(newer_opset), f"or lower, which is what ONNX Runtime {KNOWS}"),
    "newer IR": (edit(newer_ir), f"or lower, which is what ONNX Runtime {KNOWS}"),
    "operator": (
        edit(unknown_operator),
        "Error No Op registered for Gelu7 with domain_version of 17; u",
    ),
    "other side": (edit(other_side), "expected one input tensor(float) [1, 3, 32, 32] as its meta"),
    "fixed batch": (edit(fixed_batch), "found [('tensor(float)', [4, 3, 32, 32])]; do not trust"),
    "no metadata": (
        edit(lambda model: model.ClearField("metadata_props")),
        "expected eightbit metadata, found none",
    ),
    "not JSON": (edit(not_json), "or damaged ones (RecursionError: "),
    "version 2": (
        metadata(lambda said: said.update(format_version=2)),
        "found 2; use the classify",
    ),
    "uint8": (
        metadata(lambda said: said.update(input={"dtype": "uint8"})),
        "one input tensor(uint8) [1, 3",
    ),
    "int4": (
        metadata(lambda said: said.update(input={"dtype": "int4"})),
        "damaged ones (KeyError: 'int4')",
    ),
    "no spec": (metadata(lambda said: said.pop("spec")), "or damaged ones (KeyError: 'spec')"),
    "huge": (
        metadata(lambda said: said["spec"]["preprocessing"].update(resize=10**9)),
        "1 to 8192",
    ),
    "std 0": (
        metadata(lambda said: said["spec"]["preprocessing"].update(std=[0, 1, 1])),
        "positive dev",
    ),
    "std of one": (
        metadata(lambda said: said["spec"]["preprocessing"].update(std=[0.5])),
        "or damaged ones (ValueError: ",
    ),
    "mean NaN": (
        metadata(lambda said: said["spec"]["preprocessing"].update(mean=[float("nan"), 0, 0])),
        "positive dev",
    ),
    "mean huge": (
        metadata(lambda said: said["spec"]["preprocessing"].update(mean=[10**400, 0, 0])),
        "or damaged ones (OverflowError: ",
    ),
    "half a pixel": (
        metadata(lambda said: said["spec"]["preprocessing"].update(resize=32.5)),
        "1 to 8192",
    ),
    "true classes": (metadata(lambda said: said["spec"].update(num_classes=True)), "classes"),
    "endless classes": (
        metadata(lambda said: said["spec"].update(num_classes=10**12)),
        "or damaged ones (ValueError: ",
    ),
    "classes": (
        metadata(lambda said: said["spec"].update(num_classes=12)),
        "expected 12 finite logits as",
    ),
    "cut": (
        lambda folder: (folder / "model.int8.onnx").write_bytes(b"\x08\x08abc"),
        "cannot load it: Protobuf parsing failed; unpack the archive again",
    ),
    "absent": (lambda folder: (folder / "model.int8.onnx").unlink(), "expected beside classify.py"),
    "labels": (
        lambda folder: (folder / "labels.txt").write_text("cat\ndog\n"),
        "labels.txt: expected 10 lines, one per class, found 2",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_model_that_cannot_be_used_is_refused_in_one_line(
    refusal: Callable[..., str], unpacked: Path, photo: Path, name: str
) -> None:
    damage, said = DAMAGES[name]
    damage(unpacked)
    assert said in refusal(photo)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda test: test.update(format_version=2), "expected format_version 1, found 2"),
        (lambda test: test.update(model_sha256="0" * 64), "it is not of this model.int8.onnx"),
        (lambda test: test.pop("images"), "cannot be used: KeyError: 'images'"),
        (lambda test: test["images"][0].update(file="../x.png"), "cannot be used: FileNotFound"),
        (lambda test: test.update(images=[]), "cannot be used: ValueError"),
    ],
    ids=["version", "model", "images", "file", "empty"],
)
def test_a_damaged_self_test_is_refused_in_one_line(
    refusal: Callable[..., str], unpacked: Path, change: Callable[[dict], object], said: str
) -> None:
    path = unpacked / "self_test.json"
    test = json.loads(path.read_text())
    change(test)
    path.write_text(json.dumps(test))
    assert said in refusal("--self-test")


@pytest.mark.parametrize("name", ["pipe", "/dev/zero"])
def test_what_is_no_file_is_not_read(name, refusal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert refusal(name).endswith("found: something that is no file")


def test_a_picture_of_many_bytes_is_not_read_to_its_end(refusal, tmp_path):
    (tmp_path / "hole.png").touch()
    os.truncate(tmp_path / "hole.png", 2**40)
    assert refusal(tmp_path / "hole.png").endswith("found: a file of more than 64 MiB")


def test_a_long_name_leaves_room_for_what_is_wrong(refusal, tmp_path):
    line = refusal(tmp_path / ("x" * 250) / ("y" * 250) / "z.png")
    assert len(line) < 490
    assert line.endswith("found: No such file or directory")


def test_what_libtiff_says_of_a_damaged_picture_does_not_stand_before_the_line(refusal, tmp_path):
    path = tmp_path / "damaged.tif"
    Image.new("RGB", (40, 40), "red").save(path, compression="tiff_deflate")
    content = bytearray(path.read_bytes())
    content[20:24] = bytes(4)
    path.write_bytes(content)
    assert "expected an image" in refusal(path)
