"""The rows of the table of formats."""

from pkgutil import resolve_name

import pydantic
import pytest

from eightbit.benchmarks.artifact.formats import (
    FORMATS,
    ONNX,
    OPENVINO,
    TORCHSCRIPT,
    Precision,
    executed_by,
    preferred,
    runtimes,
    written,
)
from eightbit.benchmarks.runtimes.execution import Execution

every_runtime = pytest.mark.parametrize("runtime", runtimes().values(), ids=str)


def test_files_are_named_by_precision_and_format():
    assert [format.file() for format in FORMATS.values()] == ["model.int8.pt", "model.int8.onnx"]
    assert ONNX.file(Precision.FP32) == "model.fp32.onnx"


def test_no_two_formats_share_a_suffix_and_no_two_runtimes_a_word():
    rows = FORMATS.values()
    assert len({format.suffix for format in rows}) == len(rows)
    assert len(runtimes()) == sum(len(format.runtimes) for format in rows)
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
    assert preferred() == (ONNX, TORCHSCRIPT)
    assert executed_by(OPENVINO) is ONNX
    assert written(["model.fp32.onnx", "a.int8.pt", "b.int8.onnx"]) == (ONNX, TORCHSCRIPT)
    assert written(["model.fp32.onnx", "recipe.json"]) == ()
