"""The ONNX graphs: our placement, the recipe's integers, every operator in integers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from eightbit.benchmarks import ArtifactMetadata, OnnxRunner, Precision, read_metadata
from eightbit.calibration import collect
from eightbit.models import Architecture, InputError, Pretrained
from eightbit.quantize import Mode, QuantConfig, Recipe, export_onnx, fuse, make_recipe, observe
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.artifacts.onnx_export import export_float_onnx
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized

SIDE = 64

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


@dataclass
class Exported:
    fused: Network
    recipe: Recipe
    int8: Path
    fp32: Path


def export(pretrained: Pretrained, images: np.ndarray, folder: Path) -> Exported:
    fused = fuse(pretrained)
    observed = observe(fused, Mode.EAGER)
    collected = collect(observed.module, observed.observers, images)
    recipe = make_recipe(fused, collected, pretrained, QuantConfig(mode=Mode.EAGER))
    int8, fp32 = folder / "int8.onnx", folder / "fp32.onnx"
    metadata = ArtifactMetadata(
        precision=Precision.INT8, spec=pretrained.spec, recipe_sha256=recipe.sha256
    )
    export_onnx(Quantized(network=fused, recipe=recipe), metadata, int8)
    export_float_onnx(fused, metadata.model_copy(update={"precision": Precision.FP32}), fp32)
    return Exported(fused, recipe, int8, fp32)


def initializers(path: Path) -> Mapping[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


@pytest.fixture(scope="module")
def exported(
    random_network: Networks, noise_images: Images, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    pretrained = random_network(Architecture.CIFAR_RESNET20)
    return export(pretrained, noise_images(8, SIDE), tmp_path_factory.mktemp("onnx"))


@pytest.mark.parametrize(
    "architecture",
    [
        # One of every kind of block: the others have more of the same.
        Architecture.CIFAR_RESNET20,
        Architecture.RESNET18,
        Architecture.RESNET50,
        Architecture.RESNEXT50_32X4D,
    ],
)
def test_every_operator_of_every_kind_of_block_computes_in_integers(
    architecture: Architecture, random_network: Networks, noise_images: Images, tmp_path: Path
) -> None:
    exported = export(random_network(architecture), noise_images(2, SIDE), tmp_path)
    convolutions = sum(isinstance(m, nn.Conv2d) for m in exported.fused.module.modules())
    adds = sum(name.endswith("skip_add") for name, _ in exported.fused.module.named_modules())
    coverage = audit(exported.int8)
    assert (coverage.conv.quantized, coverage.conv.total) == (convolutions, convolutions)
    assert (coverage.add.quantized, coverage.add.total) == (adds, adds)
    assert (coverage.linear.quantized, coverage.linear.total) == (1, 1)
    assert coverage.pool is not None
    assert coverage.pool.quantized == coverage.pool.total == (1 if architecture.is_cifar else 2)
    limit = 0.32 if architecture.is_cifar else 0.27  # names weigh more in a small network
    assert exported.int8.stat().st_size < limit * exported.fp32.stat().st_size


def test_the_audit_sees_a_float_graph_as_float(exported: Exported) -> None:
    coverage = audit(exported.fp32)
    assert coverage.conv.quantized == coverage.linear.quantized == coverage.add.quantized == 0
    # ONNX Runtime lets convolutions do some of the adds.
    assert (coverage.conv.total, coverage.add.total) == (19, 9)


def test_the_audit_sees_one_convolution_left_in_float(exported: Exported, tmp_path: Path) -> None:
    model = onnx.load(exported.int8)
    (node,) = (n for n in model.graph.node if n.name == "layer1.0.conv1/relu/q")
    dequantize = next(n for n in model.graph.node if node.output[0] in n.input)
    for reader in model.graph.node:
        reader.input[:] = [
            node.input[0] if name == dequantize.output[0] else name for name in reader.input
        ]
    model.graph.node.remove(node)
    model.graph.node.remove(dequantize)
    onnx.save(model, tmp_path / "broken.onnx")
    coverage = audit(tmp_path / "broken.onnx")
    assert coverage.conv.quantized < coverage.conv.total == 19


def test_the_graph_holds_exactly_the_integers_of_the_recipe(exported: Exported) -> None:
    stored = initializers(exported.int8)
    for name, layer in exported.fused.layers.items():
        params = exported.recipe.layers[name]
        assert stored[f"{name}.weight"].dtype == np.int8
        expected = weight_integers(layer, params)
        channels = expected.shape[1]
        assert np.array_equal(stored[f"{name}.weight"][:, :channels], expected)
        # The image's three channels are four, the last one of zeros.
        assert not stored[f"{name}.weight"][:, channels:].any()
        assert stored[f"{name}.weight"].shape[1] == channels + (name == "conv1")
        assert stored[f"{name}.bias"].dtype == np.int32
        assert tuple(stored[f"{name}.bias"].tolist()) == params.bias
        assert tuple(stored[f"{name}.weight_scale"].tolist()) == params.weight.scale
    for name, grid in exported.recipe.activations.items():
        assert float(stored[f"{name}_scale"]) == grid.scale[0]
        assert int(stored[f"{name}_zero_point"]) == grid.zero_point[0]


def test_the_float_graph_computes_the_float_network(
    exported: Exported, noise_images: Images
) -> None:
    x = noise_images(3, SIDE, seed=4)
    with torch.inference_mode():
        expected = exported.fused.module(torch.from_numpy(x)).numpy()
    found = OnnxRunner(exported.fp32, threads=1)(x)
    assert np.abs(expected - found).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_batch_is_free(exported: Exported, noise_images: Images, batch: int) -> None:
    x = noise_images(5, SIDE, seed=4)
    runner = OnnxRunner(exported.int8, threads=1)
    assert np.array_equal(runner(x)[:batch], runner(x[:batch]))


def test_logits_are_the_classifiers_sums_and_not_rounded(
    exported: Exported, noise_images: Images
) -> None:
    logits = OnnxRunner(exported.int8, threads=1)(noise_images(4, SIDE, seed=4))
    recipe = exported.recipe
    steps = np.array(recipe.layers["fc"].weight.scale) * recipe.activations["avgpool"].scale[0]
    sums = logits.astype(np.float64) / steps
    assert np.abs(sums - np.rint(sums)).max() < 1e-2
    assert len(np.unique(np.rint(sums))) > 0.9 * logits.size
    assert (steps < 0.05 * recipe.output_scale).all()


def test_one_class_is_a_classifier_as_well(
    random_network: Networks, noise_images: Images, tmp_path: Path
) -> None:
    exported = export(
        random_network(Architecture.CIFAR_RESNET20, num_classes=1), noise_images(4, SIDE), tmp_path
    )
    assert audit(exported.int8).linear.quantized == 1
    x = noise_images(3, SIDE, seed=4)
    found, expected = (OnnxRunner(path, threads=1)(x) for path in (exported.int8, exported.fp32))
    assert found.shape == (3, 1)
    assert np.abs(found - expected).max() < 12 * exported.recipe.output_scale


def test_the_same_export_gives_the_same_bytes(exported: Exported, tmp_path: Path) -> None:
    metadata = read_metadata(exported.int8)
    assert metadata is not None
    export_onnx(
        Quantized(network=exported.fused, recipe=exported.recipe), metadata, tmp_path / "again.onnx"
    )
    assert (tmp_path / "again.onnx").read_bytes() == exported.int8.read_bytes()


def test_the_graph_is_what_old_runtimes_load(exported: Exported) -> None:
    model = onnx.load(exported.int8)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version == 8


def test_an_operator_without_counterpart_is_named(exported: Exported) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.GELU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(x)

    with pytest.raises(InputError, match=r"act: .* found GELU"):
        Network(module=Odd(), spec=exported.fused.spec)
