"""Models that take pixels: the very logits of those that take preprocessed images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from eightbit.benchmarks import ArtifactMetadata, IsolatedRunner, Precision, read_metadata
from eightbit.benchmarks.artifact.model_input import InputFormat, ModelInput
from eightbit.benchmarks.processes import isolated
from eightbit.benchmarks.processes.channel import Request
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runners.torchscript_runner import load_module
from eightbit.calibration import collect
from eightbit.models import Architecture, InputError, Preprocessing, Pretrained
from eightbit.models.images.preprocessing import normalise
from eightbit.quantize import (
    Mode,
    QuantConfig,
    Recipe,
    export_onnx,
    export_torchscript,
    fuse,
    make_recipe,
    observe,
)
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.artifacts.onnx_export import export_float_onnx
from eightbit.quantize.artifacts.pixel_input import PixelInput
from eightbit.quantize.artifacts.torchscript_export import write_float_torchscript
from eightbit.quantize.artifacts.torchscript_worker import scripted
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized

SIDE = 32
PIXEL_FORMATS = [InputFormat.UINT8, InputFormat.UINT8_NHWC]
MODELS = ["int8.onnx", "int8.pt", "fp32.onnx", "fp32.pt"]

Networks = Callable[..., Pretrained]


def pixels_of_noise(count: int, side: int) -> np.ndarray:
    """Any pixels, channels last: uint8, shape (count, side, side, 3)."""
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def preprocessed(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    return np.ascontiguousarray(normalise(pixels, preprocessing).transpose(0, 3, 1, 2))


def as_taken(pixels: np.ndarray, taken: InputFormat) -> np.ndarray:
    if taken is InputFormat.UINT8_NHWC:
        return pixels
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


@dataclass
class Exported:
    """The models of one network by input and file name."""

    fused: Network
    recipe: Recipe
    preprocessing: Preprocessing
    folder: Path

    def path(self, taken: InputFormat, model: str) -> Path:
        return self.folder / taken / model


def prepare(pretrained: Pretrained, side: int, folder: Path) -> Exported:
    """A recipe, and a folder for every input."""
    preprocessing = pretrained.spec.preprocessing
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    images = preprocessed(pixels_of_noise(8, side), preprocessing)
    collected = collect(observed.module, observed.observers, images)
    recipe = make_recipe(fused, collected, pretrained, QuantConfig())
    for taken in InputFormat:
        (folder / taken).mkdir()
    return Exported(fused, recipe, preprocessing, folder)


def metadata(recipe: Recipe, taken: InputFormat) -> ArtifactMetadata:
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=recipe.spec,
        input=ModelInput.of(taken),
        recipe_sha256=recipe.sha256,
        engine="onednn",
    )


def write_int8(exported: Exported, taken: InputFormat, folder: Path) -> None:
    described = metadata(exported.recipe, taken)
    export_onnx(
        Quantized(network=exported.fused, recipe=exported.recipe), described, folder / "int8.onnx"
    )
    export_torchscript(
        Quantized(network=exported.fused, recipe=exported.recipe), described, folder / "int8.pt"
    )


@pytest.fixture(scope="module")
def exported(random_network: Networks, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=SIDE)
    exported = prepare(pretrained, SIDE, tmp_path_factory.mktemp("pixels"))
    for taken in InputFormat:
        write_int8(exported, taken, exported.path(taken, ""))
        exact = metadata(exported.recipe, taken).model_copy(update={"precision": Precision.FP32})
        export_float_onnx(exported.fused, exact, exported.path(taken, "fp32.onnx"))
        write_float_torchscript(
            exported.path(taken, "fp32.onnx"), exported.recipe, exported.path(taken, "fp32.pt")
        )
    return exported


def assert_the_same_logits(exported: Exported, taken: InputFormat, model: str, side: int) -> None:
    pixels = pixels_of_noise(5, side)
    images = preprocessed(pixels, exported.preprocessing)
    expected = open_runner(exported.path(InputFormat.FLOAT32, model), threads=1)(images)
    runner = open_runner(exported.path(taken, model), threads=1)
    assert len(np.unique(expected)) > 10
    assert np.array_equal(runner(as_taken(pixels, taken)), expected)
    assert np.array_equal(runner(images), expected)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("taken", PIXEL_FORMATS)
def test_pixels_give_the_logits_of_preprocessed_images_bit_for_bit(
    exported: Exported, taken: InputFormat, model: str
) -> None:
    assert_the_same_logits(exported, taken, model, SIDE)


def test_so_do_those_of_a_network_with_another_stem(
    random_network: Networks, tmp_path: Path
) -> None:
    resnet18 = prepare(random_network(Architecture.RESNET18), 64, tmp_path)
    for taken in InputFormat:
        described, path = metadata(resnet18.recipe, taken), resnet18.path(taken, "int8.onnx")
        export_onnx(Quantized(network=resnet18.fused, recipe=resnet18.recipe), described, path)
        coverage = audit(path)
        assert coverage.pool is not None
        assert (coverage.conv.quantized, coverage.pool.quantized) == (20, 2)
    for taken in PIXEL_FORMATS:
        assert_the_same_logits(resnet18, taken, "int8.onnx", 64)


@pytest.mark.parametrize("model", ["int8.onnx", "int8.pt"])
@pytest.mark.parametrize("taken", PIXEL_FORMATS)
def test_everything_computes_in_integers(
    exported: Exported, taken: InputFormat, model: str
) -> None:
    coverage = audit(exported.path(taken, model))
    assert (coverage.conv.quantized, coverage.conv.total) == (19, 19)
    assert (coverage.add.quantized, coverage.add.total) == (9, 9)
    assert (coverage.linear.quantized, coverage.linear.total) == (1, 1)


def every_value() -> np.ndarray:
    """Every pixel value in every channel: uint8, shape (1, 16, 16, 3)."""
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    return np.stack([values, values[:, ::-1], values.transpose(0, 2, 1)], axis=3)


STATISTICS = [
    Preprocessing(crop=16),
    Preprocessing(crop=16, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.201)),
    Preprocessing(crop=16, mean=(0.0, 0.5, 1.0), std=(1.0, 0.3, 1 / 255)),
]


@pytest.mark.parametrize("preprocessing", STATISTICS, ids=["ImageNet", "CIFAR", "others"])
@pytest.mark.parametrize("taken", PIXEL_FORMATS)
def test_torch_normalises_every_value_to_the_very_float(
    taken: InputFormat, preprocessing: Preprocessing
) -> None:
    module = scripted(PixelInput(preprocessing, taken is InputFormat.UINT8_NHWC))
    for _ in range(3):  # TorchScript optimises after two calls
        found = module(torch.from_numpy(as_taken(every_value(), taken))).numpy()
    expected = preprocessed(every_value(), preprocessing)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("taken", PIXEL_FORMATS)
def test_onnx_runtime_normalises_every_value_to_the_very_float(
    exported: Exported, taken: InputFormat, tmp_path: Path
) -> None:
    model = onnx.load(exported.path(taken, "int8.onnx"))
    name = "input/normalised"
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "watched.onnx")
    session = ort.InferenceSession(tmp_path / "watched.onnx", providers=["CPUExecutionProvider"])
    pixels = np.tile(every_value(), (1, 2, 2, 1))
    (found,) = session.run([name], {"input": as_taken(pixels, taken)})
    expected = preprocessed(pixels, exported.preprocessing)
    assert np.array_equal(np.ascontiguousarray(found).view(np.uint32), expected.view(np.uint32))


def test_the_first_convolution_is_the_only_reader_of_the_rounded_input_and_pads_it_itself(
    exported: Exported,
) -> None:
    graph = onnx.load(exported.path(InputFormat.UINT8_NHWC, "int8.onnx")).graph
    nodes = graph.node
    before = [node.op_type for node in nodes[: [n.op_type for n in nodes].index("Conv")]]
    stem = next(node for node in nodes if node.op_type == "Conv")
    assert before[:5] == ["Transpose", "Cast", "Div", "Sub", "Div"]
    # The only Pad adds a channel of zeros.
    (pads,) = (one for one in graph.initializer if one.name == "conv1.pads")
    assert onnx.numpy_helper.to_array(pads).tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert before.count("Pad") == 1
    assert next(a for a in stem.attribute if a.name == "pads").ints == [1, 1, 1, 1]


def test_the_same_export_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    taken = InputFormat.UINT8_NHWC
    write_int8(exported, taken, tmp_path)
    for model in ("int8.onnx", "int8.pt"):
        assert (tmp_path / model).read_bytes() == exported.path(taken, model).read_bytes()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("taken", InputFormat)
def test_the_metadata_names_type_and_layout(
    exported: Exported, taken: InputFormat, model: str
) -> None:
    found = read_metadata(exported.path(taken, model))
    assert found is not None
    expected = {
        InputFormat.FLOAT32: ("float32", "NCHW"),
        InputFormat.UINT8: ("uint8", "NCHW"),
        InputFormat.UINT8_NHWC: ("uint8", "NHWC"),
    }
    assert (found.input.dtype, found.input.layout) == expected[taken]


def test_the_graphs_input_is_declared(exported: Exported) -> None:
    def declared(taken: InputFormat) -> tuple[int, list[int]]:
        (value,) = onnx.load(exported.path(taken, "int8.onnx")).graph.input
        kind = value.type.tensor_type
        return kind.elem_type, [size.dim_value for size in kind.shape.dim[1:]]

    assert declared(InputFormat.FLOAT32) == (TensorProto.FLOAT, [3, SIDE, SIDE])
    assert declared(InputFormat.UINT8) == (TensorProto.UINT8, [3, SIDE, SIDE])
    assert declared(InputFormat.UINT8_NHWC) == (TensorProto.UINT8, [SIDE, SIDE, 3])


@pytest.mark.parametrize("model", ["int8.onnx", "int8.pt"])
@pytest.mark.parametrize("taken", PIXEL_FORMATS)
def test_a_batch_of_another_type_layout_or_size_is_refused_in_one_line(
    exported: Exported, taken: InputFormat, model: str
) -> None:
    other = next(format_ for format_ in PIXEL_FORMATS if format_ is not taken)
    pixels = pixels_of_noise(2, SIDE)
    small = as_taken(pixels[:, : SIDE // 2], taken)
    wrong = [as_taken(pixels, other), as_taken(pixels, taken).astype(np.int8), small]
    wanted = {
        InputFormat.UINT8: rf"\(N, 3, {SIDE}, {SIDE}\)",
        InputFormat.UINT8_NHWC: rf"\(N, {SIDE}, {SIDE}, 3\)",
    }[taken]
    with IsolatedRunner(exported.path(taken, model), threads=1) as runner:
        for batch in wrong:
            with pytest.raises(InputError, match=f"expected uint8 of shape {wanted}") as caught:
                runner(batch)
            assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match="expected images that were made of pixels"):
            runner(np.full((2, 3, SIDE, SIDE), 0.123456, np.float32))


def test_torchscript_does_not_normalise_what_is_normalised(exported: Exported) -> None:
    module, _ = load_module(exported.path(InputFormat.UINT8, "int8.pt"))
    with pytest.raises(torch.jit.Error, match="expected pixels as uint8"):
        module(torch.zeros(1, 3, SIDE, SIDE))


@pytest.mark.parametrize("model", ["int8.onnx", "int8.pt"])
def test_a_process_is_sent_the_pixels_and_timed_on_them(
    exported: Exported, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[np.ndarray] = []
    send = isolated.send

    def watched(stream: IO[bytes], request: Request, array: np.ndarray) -> None:
        sent.append(array)
        send(stream, request, array)

    monkeypatch.setattr(isolated, "send", watched)
    pixels = pixels_of_noise(2, SIDE)
    with IsolatedRunner(exported.path(InputFormat.UINT8_NHWC, model), threads=1) as runner:
        runner(preprocessed(pixels, exported.preprocessing))
        noise = np.random.default_rng(0).standard_normal((2, 3, SIDE, SIDE), dtype=np.float32)
        assert len(runner.time(noise, repeats=2)) == 2
    assert np.array_equal(sent[0], pixels)
    assert (sent[1].dtype, sent[1].shape) == (np.uint8, pixels.shape)
