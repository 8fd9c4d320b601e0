"""Tiny models and reports that the tests of this folder share."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper
from tests.synthetic_reports.reports import almost_empty, full
from torch.export import Dim, ExportedProgram, export, save

from eightbit.benchmarks.artifact.formats import (
    LITERT,
    PROGRAM,
    TORCHSCRIPT,
    Precision,
    Runtime,
    runtimes,
)
from eightbit.benchmarks.artifact.litert_file import IDENTIFIER
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize.litert.graph import GraphWriter, Operator

CLASSES = 7
WEIGHT = np.linspace(-1, 1, 3 * CLASSES, dtype=np.float32).reshape(3, CLASSES)


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 3, 8, 6), dtype=np.float32)


@pytest.fixture
def expected_logits(batch: np.ndarray) -> np.ndarray:
    """What both tiny models compute: the mean of every channel times WEIGHT."""
    return batch.mean(axis=(2, 3)) @ WEIGHT


@pytest.fixture
def metadata() -> ArtifactMetadata:
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=CLASSES),
        recipe_sha256="ab" * 32,
        engine=torch.backends.quantized.engine,
        versions={"torch": "2.13.0", "onnx": "1.23.2"},
    )


@pytest.fixture(scope="session")
def small_metadata() -> ArtifactMetadata:
    """Of a tiny model for images of 8 px, without an engine of its own."""
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=ModelSpec(
            architecture=Architecture.CIFAR_RESNET20,
            num_classes=CLASSES,
            preprocessing=Preprocessing(resize=8, crop=8),
        ),
    )


def _write_onnx(path: Path, metadata: str | None) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {"eightbit": metadata})
    onnx.save(model, path)


class _Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(WEIGHT))

    def forward(self, x):
        return x.mean((2, 3)) @ self.weight


class _Talkative(_Tiny):
    def forward(self, x):
        for _ in range(20000):  # more than a pipe holds
            print("a library that prints to standard output")
        return x.mean((2, 3)) @ self.weight


def _write_torchscript(path: Path, metadata: str | None, module: torch.nn.Module) -> None:
    with expected_deprecations():
        extra = {} if metadata is None else {"eightbit.json": metadata}
        torch.jit.save(torch.jit.script(module.eval()), str(path), _extra_files=extra)


@cache
def _program() -> ExportedProgram:
    free = {axis: Dim(f"size{axis}", min=1) for axis in (0, 2, 3)}
    program = export(_Tiny().eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=(free,))
    program._guards_code = []  # code, which is refused
    return program


def _write_program(path: Path, metadata: str | None) -> None:
    save(_program(), str(path), extra_files={} if metadata is None else {"eightbit.json": metadata})


def _litert(metadata: str | None) -> bytes:
    """The tiny model, its images NHWC."""
    graph = GraphWriter()
    image = graph.image("image", (1, 8, 8, 3), "float32")
    mean = graph.tensor("mean", (1, 3))
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    graph.operator(Operator.MEAN, [image, axes], mean, schema.ReducerOptionsT())
    weight, bias = np.ascontiguousarray(WEIGHT.T), np.zeros(CLASSES, np.float32)
    numbers = [graph.constant("weight", weight), graph.constant("bias", bias)]
    logits = graph.tensor("logits", (1, CLASSES))
    options = schema.FullyConnectedOptionsT()
    graph.operator(Operator.FULLY_CONNECTED, [mean, *numbers], logits, options)
    model = schema.ModelT.InitFromPackedBuf(graph.file("tiny", image, logits, metadata or ""))
    model.subgraphs[0].tensors[image.index].shapeSignature = [-1, -1, -1, 3]
    if metadata is None:
        model.metadata = []
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """Writes the tiny model for a runtime into a folder and returns the file."""

    def write(runtime: Runtime, folder: Path, metadata: str | None = None) -> Path:
        if runtime is TORCHSCRIPT.runtime:
            path = folder / "tiny.pt"
            _write_torchscript(path, metadata, _Tiny())
        elif runtime is PROGRAM.runtime:
            path = folder / "tiny.pt2"
            _write_program(path, metadata)
        elif runtime is LITERT.runtime:
            path = folder / "tiny.tflite"
            path.write_bytes(_litert(metadata))
        else:
            path = folder / "tiny.onnx"
            _write_onnx(path, metadata)
        return path

    return write


@pytest.fixture
def talkative_model(tmp_path: Path) -> Path:
    path = tmp_path / "talkative.pt"
    _write_torchscript(path, None, _Talkative())
    return path


@pytest.fixture(scope="session", params=runtimes().values(), ids=str)
def execution(request: pytest.FixtureRequest) -> Execution:
    """Once per runtime, as it executes by itself."""
    if not request.param.is_installed:
        pytest.skip(request.param.not_installed)
    return Execution(runtime=request.param)


@pytest.fixture(scope="session")
def model_file(
    execution: Execution,
    tmp_path_factory: pytest.TempPathFactory,
    write_model: Callable[..., Path],
) -> Path:
    """The tiny model without metadata, once per runtime."""
    return write_model(execution.runtime, tmp_path_factory.mktemp("model"))


@pytest.fixture
def almost_empty_report() -> Report:
    return almost_empty()


@pytest.fixture
def full_report() -> Report:
    return full()
