"""Every operation computes the recipe's integers alike, whatever executes it."""

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from tests.parity.operator_networks import NETWORKS, SIDE
from torch import nn

from eightbit.benchmarks.artifact.formats import ONNX, Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.runtimes.execution import Execution, emulator_problem
from eightbit.benchmarks.runtimes.runners.litert_runner import LiteRtRunner
from eightbit.benchmarks.runtimes.runners.program_runner import ProgramRunner
from eightbit.calibration import collect
from eightbit.calibration.qparams import FloatArray
from eightbit.models import InputError, Preprocessing, Pretrained, from_module
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
from eightbit.quantize.artifacts.audit import count_onnx
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.torchscript_export import write_float_torchscript
from eightbit.quantize.artifacts.torchscript_worker import scripted
from eightbit.quantize.litert.export import export_litert
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.network.placement import named
from eightbit.quantize.network.skeleton import Skeleton
from eightbit.quantize.program.arithmetic import ProgramModule
from eightbit.quantize.program.export import export_program
from eightbit.quantize.recipe.curves import alike_everywhere
from eightbit.quantize.verify.reference import reference_logits
from eightbit.quantize.verify.verification import audit_artifact

IMAGES = 16

# Emulated, a picture takes as long as a hundred.
EMULATED = 4
HASWELL = Execution(runtime=ONNX.runtime, emulated_cpu="Haswell")


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
        """The largest difference from the reference, in last bits of the output.

        ``found`` are logits of the first images.
        """
        expected = reference_logits(self.quantized, self.images[: len(found)])
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


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the logits that one emulated process found for all networks."""
    if (problem := emulator_problem()) is not None:
        pytest.skip(f"Haswell cannot be emulated: {problem}")
    folder = tmp_path_factory.mktemp("models")
    for place, name in enumerate(NETWORKS):
        found = case(name)
        export_onnx(
            found.quantized, found.metadata(Precision.INT8), folder / f"network{place:02}.onnx"
        )
    np.save(folder / "images.npy", case(next(iter(NETWORKS))).images[:EMULATED])
    script = Path(__file__).with_name("run_models.py")
    command = (*HASWELL.command_prefix(), sys.executable, script, folder)
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


@every_operation
def test_an_emulated_haswell_computes_the_integers_of_the_reference(
    name: str, emulated: Path
) -> None:
    logits = np.load(emulated / f"network{list(NETWORKS).index(name):02}.npy")
    assert case(name).step(logits) < 1e-3


@every_operation
def test_torchscript_computes_the_integers_of_the_reference(name: str) -> None:
    found = case(name)
    module = scripted(quantized_module(found.quantized))
    with torch.inference_mode():
        logits = module(torch.from_numpy(found.images)).numpy()
    assert found.step(logits) < 1e-3


@every_operation
def test_a_program_computes_the_integers_of_the_reference(name: str, tmp_path: Path) -> None:
    found = case(name)
    path = tmp_path / "integers.pt2"
    export_program(ProgramModule(found.quantized), found.metadata(Precision.INT8), path)
    for optimize in (True, False):
        logits = ProgramRunner(path, threads=1, optimize=optimize)(found.images)
        assert found.step(logits) < 1e-3


# LiteRT has no operator for these, or none is written.
NOT_IN_LITERT = {
    *("max pool with dilation", "average pool that leaves padding out"),
    *("average pool with ceil_mode", "pool to 3 x 5", "upsampling to another size", "curves"),
    *("curves by hand", "products of maps", "layer norm over channels", "group norm"),
    *("parametric relu", "parametric relu with one slope", "transposed convolution"),
}


@every_operation
def test_litert_computes_the_integers_of_the_reference(name: str, tmp_path: Path) -> None:
    found = case(name)
    path = tmp_path / "integers.tflite"
    if name in NOT_IN_LITERT:
        with pytest.raises(InputError, match=r"LiteRT.*; leave litert out of --formats$"):
            export_litert(found.quantized, found.metadata(Precision.INT8), path)
        assert not path.exists()
        return
    export_litert(found.quantized, found.metadata(Precision.INT8), path)
    assert found.step(LiteRtRunner(path, threads=1)(found.images)) < 1e-3
    # Its own kernels, without XNNPACK's, round a convolution's results twice.
    assert found.step(LiteRtRunner(path, threads=1, optimize=False)(found.images)) < 2


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


def test_a_product_that_stays_in_float_is_counted(tmp_path: Path) -> None:
    found = case("gate of channels")
    path = tmp_path / "integers.onnx"
    export_onnx(found.quantized, found.metadata(Precision.INT8), path)
    # As it is written nothing is in integers yet: ONNX Runtime makes them of it.
    written = onnx.load(path).graph
    coverage = count_onnx(written, products=named(found.quantized.network.graph, Kind.PRODUCT))
    assert coverage.product is not None
    assert (coverage.product.quantized, coverage.product.total) == (0, 1)
    # In a stranger's graph nobody knows which multiplications are products.
    assert count_onnx(written).kinds["product"].total == 0
    kinds = audit_artifact(found.quantized, path).kinds
    assert (kinds["product"].quantized, kinds["product"].total) == (1, 1)


@pytest.mark.parametrize(
    ("name", "in_integers"),
    [("curves", True), ("gates beside sums", True), ("layer norm over channels", False)],
)
def test_curves_and_products_count_as_integers(
    name: str, in_integers: bool, tmp_path: Path
) -> None:
    found = case(name)
    path = tmp_path / "integers.onnx"
    export_onnx(found.quantized, found.metadata(Precision.INT8), path)
    share = audit_artifact(found.quantized, path).integer_multiplications
    assert share is not None
    assert (share == 1) == in_integers


def test_a_curve_on_a_tie_counts_as_float(tmp_path: Path) -> None:
    found = case("curves by hand")
    network, recipe = found.quantized.network, found.quantized.recipe
    exact = alike_everywhere(found.quantized)
    name = next(name for name in recipe.activations if name.endswith("sigmoid"))
    assert name in exact
    # The sigmoid of zero is half of 255 steps.
    halved = recipe.activations[name].model_copy(
        update={"scale": (float(np.float32(1 / 255)),), "zero_point": (0,)}
    )
    changed = recipe.model_copy(update={"activations": {**recipe.activations, name: halved}})
    assert name not in alike_everywhere(Quantized(network=network, recipe=changed))
