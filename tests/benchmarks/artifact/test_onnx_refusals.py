"""An ONNX model that a runtime refuses: one sentence with what was expected, found, and to do."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto
from tests.benchmarks.refused_models import (
    ChangeModel,
    change_onnx,
    external,
    fixed,
    input_type,
    ir_version,
    no_nodes,
    no_opset,
    operator,
    opset,
    refusal,
    second_input,
    second_output,
)

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, read_metadata
from eightbit.benchmarks.artifact.refusals import onnxruntime_refusal, openvino_refusal
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.models.errors import InputError

ONNXRUNTIME = Execution(runtime=ONNX.runtime)
OPENVINO = Execution(runtime=OPENVINO)
SIDE = 8

WriteModel = Callable[..., Path]


@pytest.fixture
def onnx_file(write_model: WriteModel, small_metadata: ArtifactMetadata, tmp_path: Path) -> Path:
    return write_model(ONNX.runtime, tmp_path, small_metadata.to_json())


UPGRADE = "pip install -U onnxruntime, or export the model again"
LIKE_ANOTHER = "Opset 99 is under development, domain ai.onnx is till opset 3"
ONE_FILE = (
    "expected a model in one file, found tensor 'weight' in another one; "
    "save it with save_as_external_data=False"
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            opset(99),
            f"expected ONNX opset N or lower, which is what ORT knows, found 99; {UPGRADE}",
        ),
        (
            ir_version(99),
            f"expected ONNX IR version N or lower, which is what ORT knows, found 99; {UPGRADE}",
        ),
        (
            operator("ai.onnx.contrib", "Gelu"),
            f"expected operators that ORT knows, found ai.onnx.contrib:Gelu; {UPGRADE}",
        ),
        (
            operator("", "Newer"),
            f"expected operators that ORT knows, found Newer of opset 17; {UPGRADE}",
        ),
        (
            operator("ai.onnx.contrib", "Gelu", imported=False),
            (
                "expected the opset of every operator's domain, found none for ai.onnx.contrib; "
                "export it again"
            ),
        ),
        (no_opset, "expected the opset of its operators, found none; export it again"),
        (external, ONE_FILE),
        (
            operator("", LIKE_ANOTHER),
            f"expected operators that ORT knows, found {LIKE_ANOTHER} of opset 17; {UPGRADE}",
        ),
        (
            operator(LIKE_ANOTHER, "Gelu"),
            f"expected operators that ORT knows, found {LIKE_ANOTHER}:Gelu; {UPGRADE}",
        ),
    ],
    ids=[
        *("opset", "ir", "domain", "operator", "not imported", "no opset", "external"),
        *("like another", "domain like another"),
    ],
)
def test_onnxruntime_says_it_in_one_sentence(
    change: ChangeModel, expected: str, onnx_file: Path
) -> None:
    found = refusal(change_onnx(onnx_file, change), ONNXRUNTIME)
    found = found.replace(f"ONNX Runtime {ort.__version__}", "ORT")
    assert re.sub(r"(opset|version) \d+ or lower", r"\1 N or lower", found) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            operator("ai.onnx.contrib", "Gelu"),
            (
                r"expected operators that OpenVINO [\d.]+ knows, found ai\.onnx\.contrib\.Gelu; "
                "pip install -U openvino, or use ONNX Runtime"
            ),
        ),
        (
            operator("", "Newer"),
            (
                r"expected operators that OpenVINO [\d.]+ knows, found Newer-17; "
                "pip install -U openvino, or use ONNX Runtime"
            ),
        ),
        (external, ONE_FILE),
    ],
    ids=["domain", "operator", "external"],
)
def test_openvino_says_it_in_one_sentence(
    change: ChangeModel, expected: str, onnx_file: Path
) -> None:
    assert re.fullmatch(expected, refusal(change_onnx(onnx_file, change), OPENVINO))


@pytest.mark.parametrize("change", [opset(99), ir_version(99)], ids=["opset", "ir"])
def test_openvino_takes_versions_that_it_does_not_know_and_computes_the_same(
    change: ChangeModel, onnx_file: Path
) -> None:
    """So `eightbit verify` has to say whether they mean the same."""
    pytest.importorskip("openvino", exc_type=ImportError)
    images = np.random.default_rng(0).standard_normal((2, 3, SIDE, SIDE), dtype=np.float32)
    expected = open_runner(onnx_file, 1, OPENVINO)(images)
    changed = open_runner(change_onnx(onnx_file, change), 1, OPENVINO)(images)
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("execution", [ONNXRUNTIME, OPENVINO], ids=["onnxruntime", "openvino"])
def test_half_an_onnx_file_is_told_as_such(execution: Execution, onnx_file: Path) -> None:
    onnx_file.write_bytes(onnx_file.read_bytes()[:-20])
    assert refusal(onnx_file, execution) == (
        "expected an ONNX model, found a damaged file or something else; copy or export it again"
    )


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (input_type(TensorProto.STRING), "This is an invalid model. Type Error: "),
        (lambda model: model.graph.node[0].input.append("image"), "This is an invalid model. In "),
    ],
    ids=["type", "inputs"],
)
def test_an_invalid_graph_needs_another_export_and_no_newer_runtime(
    change: ChangeModel, cause: str, onnx_file: Path
) -> None:
    found = refusal(change_onnx(onnx_file, change), ONNXRUNTIME)
    assert found.startswith(f"ONNX Runtime {ort.__version__} cannot load it: {cause}")
    assert found.endswith("; export it again")
    assert "pip" not in found


def test_a_graph_without_nodes_is_told_as_such(onnx_file: Path) -> None:
    assert refusal(change_onnx(onnx_file, no_nodes), ONNXRUNTIME) == (
        "expected an ONNX model with a graph, found none; export it again"
    )


@pytest.mark.parametrize("execution", [ONNXRUNTIME, OPENVINO], ids=["onnxruntime", "openvino"])
def test_of_two_outputs_none_is_guessed_and_two_inputs_are_refused(
    execution: Execution, onnx_file: Path
) -> None:
    content = onnx_file.read_bytes()
    assert refusal(change_onnx(onnx_file, second_output), execution) == (
        "expected a graph with one output, found 2; do not trust this file"
    )
    onnx_file.write_bytes(content)
    found = refusal(change_onnx(onnx_file, second_input), execution)
    assert found.startswith("expected a model with one float32 input, found [")
    assert found.endswith("; export it again as an image classifier")


def test_a_model_of_others_may_have_more_outputs(write_model: WriteModel, tmp_path: Path) -> None:
    path = change_onnx(write_model(ONNX.runtime, tmp_path), second_output)
    images = np.zeros((2, 3, SIDE, SIDE), np.float32)
    assert open_runner(path, 1, ONNXRUNTIME)(images).shape[0] == 2


def test_metadata_are_not_read_from_half_a_file_or_several(onnx_file: Path) -> None:
    content = onnx_file.read_bytes()
    onnx_file.write_bytes(content[:-20])
    with pytest.raises(InputError, match="found a damaged file or something else; copy or export"):
        read_metadata(onnx_file)
    onnx_file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_metadata(change_onnx(onnx_file, external))
    assert str(caught.value) == f"{onnx_file}: {ONE_FILE}"


@pytest.mark.parametrize("execution", [ONNXRUNTIME, OPENVINO], ids=["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            fixed(None, 64),
            (
                "expected a graph for images of 8 px, as its metadata says, found one for 64 px; "
                "do not trust this file"
            ),
        ),
        (
            fixed(4, SIDE),
            (
                "expected a graph for any number of images, found one for 4 at once; "
                "export it with a free first axis"
            ),
        ),
    ],
    ids=["side", "batch"],
)
def test_a_graph_of_other_sizes_than_its_metadata_is_refused(
    execution: Execution, change: ChangeModel, expected: str, onnx_file: Path
) -> None:
    assert refusal(change_onnx(onnx_file, change), execution) == expected


def test_what_no_pattern_knows_keeps_its_cause_and_loses_its_places() -> None:
    message = (
        "[ONNXRuntimeError] : 1 : FAIL : Load model from /x/y.onnx failed:"
        "/onnxruntime_src/core/graph.cc:12 void onnxruntime::F(const std::map<int, int>&, bool) "
        "Nobody knows\nthis.\n"
    )
    assert str(onnxruntime_refusal(message, "m.onnx", "1.0")) == (
        f"m.onnx: ONNX Runtime 1.0 cannot load it: Nobody knows this; {UPGRADE}"
    )
    several = "Exception from src/core.cpp:84:\nCheck 'x' failed:\nNobody knows this\n\n"
    assert str(openvino_refusal(several, "m.onnx", "2.0")) == (
        "m.onnx: OpenVINO 2.0 cannot load it: Nobody knows this; "
        "pip install -U openvino, or export the model again"
    )
    assert "it does not say why" in str(openvino_refusal("", "m.onnx", "2.0"))


@pytest.mark.parametrize("name", ["\\g<9>", "{renew}", "Bogus\x1b[31m", "x" * 119])
def test_names_of_strangers_cannot_break_the_sentence(name: str) -> None:
    error = f"[ONNXRuntimeError] : 1 : FAIL : Fatal error: evil:{name[:110]}(-1) is not a "
    told = str(onnxruntime_refusal(f"{error}registered function/op", "m.onnx", "1.0"))
    assert told.startswith("m.onnx: expected operators that ONNX Runtime 1.0 knows, found evil:")
    assert told.isprintable()
    assert told.endswith(UPGRADE)
