"""What is no checkpoint of PyTorch's is called by its name, with what to do."""

import zipfile
from pathlib import Path

import onnx
import pytest
import torch

from eightbit.models.doors.checkpoints import read_checkpoint
from eightbit.models.doors.file_kinds import described, is_safetensors
from eightbit.models.doors.weight_files import read_weight_file
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture

OWN_CODE = r"in your own code, .*FILE\.py:CALLABLE"


def tiny_graph() -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["x"])
    graph = onnx.helper.make_graph([node], "g", [value], [value])
    return onnx.helper.make_model(graph).SerializeToString()


def tiny_graph_without_producer() -> bytes:
    model = onnx.load_from_string(tiny_graph())
    model.ClearField("producer_name")
    return model.SerializeToString()


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.h5"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"\x89HDF\r\n\x1a\n" + bytes(90),
            "found an HDF5 file, as Keras .* keras:FILE, without --weights",
        ),
        (tiny_graph(), "found an ONNX graph; give it alone, as --weights without SOURCE"),
        (tiny_graph_without_producer(), "found an ONNX graph"),
        (b"\x08\x01\x12\xf0\x0a" + bytes(90), rf"found a TensorFlow SavedModel; .*{OWN_CODE}"),
        (b"\x1c\0\0\0TFL3" + bytes(90), rf"found a TensorFlow Lite model .*{OWN_CODE}"),
        (b"GGUF\x03\0\0\0" + bytes(90), "found a GGUF file"),
        (b"\x93NUMPY\x01\0" + bytes(90), "found a NumPy array"),
        (b"\x1f\x8b\x08" + bytes(90), "found a gzip archive; unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS .* git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "found a web page; download the file itself"),
        (b'<?xml version="1.0"?><net name="x">', "found an XML file"),
    ],
    ids=[
        *("HDF5", "ONNX", "ONNX, no producer", "SavedModel", "TFLite", "GGUF", "npy", "gzip"),
        *("LFS", "HTML", "XML"),
    ],
)
def test_a_file_is_called_what_its_bytes_say_whatever_its_name(
    name: str, data: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_weight_file(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            ("metadata.json", "config.json", "model.weights.h5"),
            "a Keras archive .* keras:FILE, without --weights",
        ),
        (("a.npy", "b.npy"), "NumPy arrays"),
        (("m/data.pkl", "m/constants.pkl"), r"a TorchScript archive; .*torch\.jit\.load"),
        (("m/archive_format", "m/data/weights/w"), r"torch\.export .*torch\.export\.load"),
    ],
    ids=["Keras", "npz", "TorchScript", "torch.export"],
)
def test_an_archive_is_called_what_its_members_say(
    members: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for member in members:
            archive.writestr(member, b"x")
    with pytest.raises(InputError, match=message):
        read_weight_file(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"found a folder of Hugging Face's; give it as SOURCE, hf:FOLDER"),
        ("saved_model.pb", "found a TensorFlow SavedModel"),
        ("notes.txt", "found a directory"),
    ],
)
def test_a_folder_is_called_what_it_holds(file: str, message: str, tmp_path: Path) -> None:
    (tmp_path / file).write_text("{}")
    with pytest.raises(InputError, match=message):
        read_weight_file(tmp_path)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("fastcore.foundation.L", r"with its optimiser; learn\.save\(NAME, with_opt=False\)"),
        ("fastai.learner.Learner", r"exported fastai learner.*with_opt=False"),
        ("sklearn.svm.SVC", r"needs code \(sklearn\.svm\.SVC\)"),
    ],
)
def test_a_pickle_is_called_after_the_code_that_it_needs(
    code: str, message: str, tmp_path: Path
) -> None:
    module, _, name = code.rpartition(".")
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", f"\x80\x02c{module}\n{name}\n)R.".encode("latin-1"))
        archive.writestr("x/version", "3\n")
        archive.writestr("x/byteorder", "little")
    with pytest.raises(InputError, match=message):
        read_weight_file(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight",
            "as Hugging Face writes it: .* hf:FOLDER",
        ),
        ("logit_scale", "a CLIP model as open_clip writes it"),
        ("stem.conv.weight", r"timm's \(timm:NAME\), .*\(hf:FOLDER\) .*\(FILE\.py:CALLABLE\)"),
    ],
)
def test_weights_of_no_architecture_are_sent_to_their_door(
    key: str, message: str, tmp_path: Path
) -> None:
    torch.save({key: torch.zeros(2)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=message):
        read_checkpoint(tmp_path / "x.pth", Architecture.RESNET18)


def test_a_safetensors_file_of_another_name_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes((2).to_bytes(8, "little") + b'{"')
    with pytest.raises(InputError, match="found a safetensors file; name it"):
        read_weight_file(tmp_path / "x.bin")


@pytest.mark.parametrize(
    "content",
    [{"a": torch.zeros(3)}, torch.zeros(3), {}],
    ids=["mapping", "tensor", "empty mapping"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_what_torch_saves_is_taken_for_nothing_else(
    content: object, zipped: bool, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    head = (tmp_path / "x.pth").read_bytes()[:64]
    assert not described(head)
    assert not is_safetensors(head)
    read_weight_file(tmp_path / "x.pth")


def test_no_bytes_are_no_kind() -> None:
    assert described(b"") == described(b"\x08") == described(b"hello") == ""
