"""The rows of the table of formats."""

import io
import re
import zipfile
from pkgutil import resolve_name

import pydantic
import pytest

from eightbit.benchmarks.artifact.formats import (
    FORMATS,
    LITERT,
    ONNX,
    OPENVINO,
    PROGRAM,
    TORCHSCRIPT,
    Precision,
    executed_by,
    preferred,
    runtimes,
    written,
)
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.models.errors import InputError

every_runtime = pytest.mark.parametrize("runtime", runtimes().values(), ids=str)


def test_files_are_named_by_precision_and_format():
    assert [format.file() for format in FORMATS.values()] == [
        "model.int8.pt",
        "model.int8.onnx",
        "model.int8.pt2",
        "model.int8.tflite",
    ]
    assert ONNX.file(Precision.FP32) == "model.fp32.onnx"


def test_no_two_formats_share_a_suffix_and_no_two_runtimes_a_word():
    rows = FORMATS.values()
    assert len({format.suffix for format in rows}) == len(rows)
    assert len(runtimes()) == sum(len(one.runtimes) + len(one.others) for one in rows)
    assert len({runtime.word for runtime in runtimes().values()}) == len(runtimes())


def test_the_words_of_executions_can_be_told_from_what_follows_them():
    words = [*FORMATS, *(runtime.word for runtime in runtimes().values())]
    assert all(word.isalnum() for word in words)


@every_runtime
def test_a_runner_is_where_its_row_says_and_every_option_is_an_executions(runtime):
    assert callable(resolve_name(runtime.runner))
    assert set(runtime.options) < Execution.model_fields.keys()


@every_runtime
def test_a_runtime_is_written_as_its_name(runtime):
    execution = Execution(runtime=runtime)
    assert execution.model_dump() == execution.model_dump() | {"runtime": runtime.name}
    assert Execution.model_validate_json(execution.model_dump_json()).runtime is runtime


def test_an_unknown_runtime_is_refused_with_the_known_ones():
    with pytest.raises(pydantic.ValidationError, match="torchscript or onnxruntime or openvino"):
        Execution(runtime="tensorflow")


def test_onnx_is_looked_at_first_and_is_what_openvino_executes():
    assert preferred() == (ONNX, TORCHSCRIPT, PROGRAM, LITERT)
    assert executed_by(OPENVINO) is ONNX
    assert written(["model.fp32.onnx", "a.int8.pt", "b.int8.onnx"]) == (ONNX, TORCHSCRIPT)
    assert written(["model.fp32.onnx", "recipe.json"]) == ()


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x1c\0\0\0TFL3" + bytes(40), "a TFLite model"),
        (b"\x18\0\0\0ORTM" + bytes(40), "a model in ONNX Runtime's own format"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file, as Keras writes them"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"a":{}}', "a safetensors file"),
        (b"\x80\x02}q\0.", "a pickle"),
        (b"\x1f\x8b\x08" + bytes(40), "a gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html>", "a web page"),
        (zipped("archive/data.pkl", "archive/data/0"), "a checkpoint of torch.save"),
        (zipped("metadata.json", "model.weights.h5"), "a Keras model"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("ending", [".onnx", ".pt"])
def test_a_file_of_another_kind_is_called_by_its_kind(content, found, ending, tmp_path):
    path = tmp_path / f"model{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"found {re.escape(found)}"):
        read_metadata(path)
