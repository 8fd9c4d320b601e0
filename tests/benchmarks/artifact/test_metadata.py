import json
import zipfile

import onnx
import pytest
import torch
from pydantic import ValidationError

from eightbit.benchmarks.artifact.formats import FORMATS, ONNX, TORCHSCRIPT, Precision, executed_by
from eightbit.benchmarks.artifact.metadata import open_artifact, read_metadata
from eightbit.models.errors import InputError

ROOM = "eightbit.benchmarks.artifact"

runtimes = pytest.mark.parametrize(
    "runtime", [format.runtime for format in FORMATS.values()], ids=str
)


@runtimes
def test_metadata_comes_back_as_written(runtime, write_model, tmp_path, metadata):
    path = write_model(runtime, tmp_path, metadata.to_json())
    assert read_metadata(path) == metadata
    opened = open_artifact(path)
    assert (opened.format, opened.precision) == (executed_by(runtime), Precision.INT8)


@runtimes
def test_a_model_without_metadata_has_none(runtime, write_model, tmp_path):
    opened = open_artifact(write_model(runtime, tmp_path))
    assert (opened.precision, opened.metadata) == (None, None)


def test_equal_metadata_gives_equal_bytes(metadata):
    turned = metadata.model_copy(update={"versions": dict(reversed(metadata.versions.items()))})
    again = type(metadata).model_validate_json(turned.model_dump_json())
    assert again.to_json() == metadata.to_json()
    assert list(json.loads(metadata.to_json())) == sorted(json.loads(metadata.to_json()))


def _changed(metadata, **changes):
    return json.dumps({**json.loads(metadata.to_json()), **changes})


@runtimes
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "expected format_version 1 or lower, found 2.*upgrade"),
        ({"format_version": "1"}, "format_version"),
        ({"precision": "int4"}, "precision"),
        ({"surprise": 1}, "surprise"),
        ({"recipe_sha256": "../../etc"}, "recipe_sha256"),
        ({"line\nbreak": 1}, r"line\\nbreak|line break"),
    ],
)
def test_invalid_metadata_is_one_line_of_error(
    runtime, changes, message, write_model, tmp_path, metadata
):
    path = write_model(runtime, tmp_path, _changed(metadata, **changes))
    with pytest.raises(InputError, match=message) as caught:
        read_metadata(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@runtimes
def test_metadata_that_is_no_json_is_an_error(runtime, write_model, tmp_path):
    with pytest.raises(InputError, match="Invalid JSON"):
        read_metadata(write_model(runtime, tmp_path, "{" + "[" * 100_000))


@runtimes
def test_metadata_that_is_too_big_is_refused(runtime, write_model, tmp_path, metadata, monkeypatch):
    path = write_model(runtime, tmp_path, metadata.to_json())
    monkeypatch.setattr(f"{ROOM}.metadata.METADATA_MAX_BYTES", 100)
    with pytest.raises(InputError, match="at most 100 bytes"):
        read_metadata(path)


def test_a_compressed_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/constants.pkl", b"")
        archive.writestr("bomb/extra/eightbit.json", b"0" * 50_000_000)
    for module in ("formats", "metadata"):
        monkeypatch.setattr(f"{ROOM}.{module}.METADATA_MAX_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000 bytes"):
        read_metadata(path)


@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"<html></html>", b"PK\x03\x04" * 9])
def test_garbage_is_an_error(suffix, content, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected"):
        read_metadata(path)


def test_a_damaged_archive_is_an_error(write_model, tmp_path, metadata):
    path = write_model(TORCHSCRIPT.runtime, tmp_path, metadata.to_json())
    content = path.read_bytes()
    text = metadata.to_json().encode()
    assert content.count(text) == 1
    path.write_bytes(content.replace(text, text[:-2] + b"X}"))
    with pytest.raises(InputError, match="TorchScript archive"):
        read_metadata(path)


def test_a_checkpoint_is_no_torchscript(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="quantize it first"):
        read_metadata(path)


def test_two_metadata_entries_are_refused(write_model, tmp_path, metadata):
    path = write_model(ONNX.runtime, tmp_path, metadata.to_json())
    model = onnx.load(path)
    model.metadata_props.add(key="eightbit", value="{}")
    onnx.save(model, path)
    with pytest.raises(InputError, match="found 2"):
        read_metadata(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="check the path"):
        read_metadata(tmp_path / "none.onnx")


def test_another_suffix_is_an_error(tmp_path):
    with pytest.raises(
        InputError, match=r"ends in \.onnx or \.pt or \.pt2 or \.tflite, found \.h5"
    ):
        open_artifact(tmp_path / "model.h5")


def test_metadata_cannot_be_changed(metadata):
    with pytest.raises(ValidationError, match="frozen"):
        metadata.engine = "fbgemm"
