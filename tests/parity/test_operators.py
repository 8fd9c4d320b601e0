"""Every operation computes the recipe's integers alike, whatever executes it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tests.parity.operator_networks import NETWORKS, SIDE
from torch import nn

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.calibration import collect
from eightbit.calibration.qparams import FloatArray
from eightbit.models import Preprocessing, Pretrained, from_module
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import (
    Mode,
    QuantConfig,
    Quantized,
    export_float_onnx,
    export_onnx,
    fuse,
    make_recipe,
    observe,
    quantized_module,
)
from eightbit.quantize.algorithms.simulation import PairedNetwork
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.torchscript_export import write_float_torchscript
from eightbit.quantize.artifacts.torchscript_worker import scripted
from eightbit.quantize.network.skeleton import Skeleton
from eightbit.quantize.verify.reference import reference_logits
from eightbit.quantize.verify.verification import audit_artifact

IMAGES = 16


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network with its recipe, the pictures that made it, and the user's own logits."""

    pretrained: Pretrained
    quantized: Quantized
    images: FloatArray
    logits: FloatArray

    def metadata(self, precision: Precision) -> ArtifactMetadata:
        return ArtifactMetadata(precision=precision, spec=self.pretrained.spec)

    def step(self, found: FloatArray) -> float:
        """The largest difference from the reference, in last bits of the output."""
        expected = reference_logits(self.quantized, self.images)
        return float(np.abs(found - expected).max()) / self.quantized.recipe.output_scale


def quantized_case(module: nn.Module) -> Case:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(IMAGES, 3, SIDE, SIDE, generator=generator) * 2 - 1
    pretrained = from_module(module, preprocessing=Preprocessing(resize=SIDE, crop=SIDE))
    network = fuse(pretrained)
    observed = observe(network, Mode.FX)
    collected = collect(observed.module, observed.observers, iter(images.numpy()))
    recipe = make_recipe(network, collected, pretrained, QuantConfig(method="minmax"))
    with torch.inference_mode():
        logits = pretrained.model(images).numpy()
    return Case(
        pretrained=pretrained,
        quantized=Quantized(network=network, recipe=recipe),
        images=images.numpy(),
        logits=logits,
    )


@cache
def case(name: str) -> Case:
    torch.manual_seed(0)
    return quantized_case(NETWORKS[name]())


def answers(path: Path, images: FloatArray, *, optimised: bool = True) -> FloatArray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    (found,) = ort.InferenceSession(path, options).run(None, {"input": images})
    assert isinstance(found, np.ndarray)
    return found


every_operation = pytest.mark.parametrize("name", NETWORKS)


@every_operation
def test_the_float_artefact_is_the_users_network(name: str, tmp_path: Path) -> None:
    found = case(name)
    path = tmp_path / "float.onnx"
    export_float_onnx(found.quantized.network, found.metadata(Precision.FP32), path)
    for optimised in (True, False):
        logits = answers(path, found.images, optimised=optimised)
        np.testing.assert_allclose(logits, found.logits, rtol=0, atol=1e-4 * np.abs(logits).max())


@every_operation
def test_onnx_runtime_computes_the_integers_of_the_reference(name: str, tmp_path: Path) -> None:
    found = case(name)
    path = tmp_path / "integers.onnx"
    export_onnx(found.quantized, found.metadata(Precision.INT8), path)
    for optimised in (True, False):
        logits = answers(path, found.images, optimised=optimised)
        assert found.step(logits) < 1e-3
    assert np.abs(logits - found.logits).max() < 0.15 * np.ptp(found.logits)
    assert all(kind.as_meant for kind in audit_artifact(found.quantized, path).kinds.values())


@every_operation
def test_torchscript_computes_the_integers_of_the_reference(name: str) -> None:
    found = case(name)
    module = scripted(quantized_module(found.quantized))
    with torch.inference_mode():
        logits = module(torch.from_numpy(found.images)).numpy()
    assert found.step(logits) < 1e-3


@every_operation
def test_the_simulation_computes_the_integers_of_the_reference(name: str) -> None:
    found = case(name)
    simulated = PairedNetwork(found.quantized.network, found.quantized.recipe)
    assert found.step(simulated.propagate(torch.from_numpy(found.images)).rounded.numpy()) < 1e-2


@every_operation
def test_artefacts_open_without_the_users_code(name: str, tmp_path: Path) -> None:
    found = case(name)
    recipe = found.quantized.recipe
    assert recipe.skeleton is not None
    assert Skeleton.model_validate_json(recipe.skeleton.model_dump_json()) == recipe.skeleton
    path = tmp_path / "float.onnx"
    export_float_onnx(found.quantized.network, found.metadata(Precision.FP32), path)
    network = read_float_network(path, recipe)
    Quantized(network=network, recipe=recipe)
    images = torch.from_numpy(found.images)
    with torch.inference_mode():
        assert torch.equal(network.module(images), found.quantized.network.module(images))
    write_float_torchscript(path, recipe, tmp_path / "float.pt")
    with torch.inference_mode(), expected_deprecations():
        logits = torch.jit.load(tmp_path / "float.pt")(images).numpy()
    np.testing.assert_allclose(logits, found.logits, rtol=0, atol=1e-4 * np.abs(logits).max())
