"""One contract for both artefacts: whatever runs them, they compute the reference's integers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from eightbit.benchmarks import IsolatedRunner
from eightbit.benchmarks.accuracy.fidelity import ParityMeter, ParityResult
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models import Architecture, Pretrained, load_pretrained
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.quantize import Mode, Recipe, bundle
from eightbit.quantize.artifacts.write import write_onnx, write_torchscript
from eightbit.quantize.images import UsableImages
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.verify.executions import in_batches
from eightbit.quantize.verify.reference import reference_logits

SIDE = 64
IMAGES = 16

# As ResNeXt-50 has them, but narrow.
GROUPS = {"groups": 8, "width_per_group": 4}

MIXED = ("conv1", "layer2.0.conv2", "layer2.0.skip_add", "layer3.0.conv1")

CASES = {
    "bottlenecks in groups": (Architecture.RESNET50, Mode.FX, (), GROUPS),
    "cifar_resnet20 with layers in float": (Architecture.CIFAR_RESNET20, Mode.EAGER, MIXED, {}),
    "resnet18 with a float classifier": (Architecture.RESNET18, Mode.EAGER, ("fc", *MIXED), {}),
}

REAL = {
    "cifar_resnet20": (Architecture.CIFAR_RESNET20, "cifar_resnet20.pth", 32),
    "resnet18": (Architecture.RESNET18, "resnet18_cifar10_64px.pth", 64),
}


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Both artefacts of one recipe, images that did not calibrate it, and its exact logits."""

    fused: Network
    recipe: Recipe
    folder: Path
    images: FloatArray
    expected: FloatArray

    def distance(self, found: FloatArray) -> ParityResult:
        """Of some logits from the reference."""
        meter = ParityMeter(self.recipe.output_scale)
        meter.update(self.expected, found)
        return meter.result()


@pytest.fixture(scope="module")
def bundle_of(tmp_path_factory):
    """Write both artefacts of a recipe."""

    def make(fused: Network, recipe: Recipe, images: FloatArray) -> Bundle:
        folder = tmp_path_factory.mktemp("parity")
        write_onnx(Quantized(network=fused, recipe=recipe), folder / bundle.ONNX)
        write_torchscript(Quantized(network=fused, recipe=recipe), folder / TORCHSCRIPT.file())
        expected = reference_logits(Quantized(network=fused, recipe=recipe), images)
        return Bundle(fused=fused, recipe=recipe, folder=folder, images=images, expected=expected)

    return make


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def synthetic(request, random_network, noise_images, recipe_for, bundle_of):
    """Of a network with random weights, whose images are noise."""
    architecture, mode, float_layers, structure = request.param
    pretrained: Pretrained = random_network(architecture, side=SIDE, **structure)
    calibration = noise_images(8, SIDE)
    made = recipe_for(pretrained, calibration, mode=mode, float_layers=float_layers)
    return bundle_of(*made, noise_images(IMAGES, SIDE, seed=2))


@pytest.fixture(scope="module", params=REAL.values(), ids=REAL)
def real(request, shared_file: Callable[[str], Path], recipe_for, bundle_of):
    """Of a trained network and real photos."""
    architecture, weights, side = request.param
    path = str(shared_file(f"weights/{weights}"))
    pretrained = load_pretrained(architecture, path, resize=side, crop=side)
    calibration = drawn(shared_file("data/cifar10-calibration.tar"), pretrained, 32)
    photos = drawn(shared_file("data/cifar10-evaluation.tar"), pretrained, 200)
    return bundle_of(*recipe_for(pretrained, calibration), photos)


def drawn(path: Path, pretrained: Pretrained, count: int) -> FloatArray:
    """Some images, as many of each class."""
    with open_source(path) as source:
        items = balanced_order(source.items, 0)
        images = UsableImages(source, items, pretrained.spec.preprocessing, limit=count)
        return np.stack([image.pixels for image in images])


def with_a_wrong_bias(given: Bundle) -> Bundle:
    """A few of the images; the reference adds something to one channel of the first convolution."""
    recipe, images = given.recipe, given.images[:IMAGES]
    layer, output = recipe.layers["conv1"], recipe.activations["conv1"]
    step = layer.weight.scale[0] * recipe.activations["input"].scale[0]
    first, *others = layer.bias
    wrong = layer.model_copy(update={"bias": (first + round(20 * output.scale[0] / step), *others)})
    other = recipe.model_copy(update={"layers": {**recipe.layers, "conv1": wrong}})
    return replace(
        given,
        images=images,
        expected=reference_logits(Quantized(network=given.fused, recipe=other), images),
    )


class ArtefactContract:
    """What a runtime makes of the recipe's integers, in a process of its own."""

    file: ClassVar[str]

    def distance(self, given) -> ParityResult:
        with IsolatedRunner(given.folder / self.file, threads=1) as runner:
            return given.distance(in_batches(runner, given.images))

    def test_real_networks_give_the_reference_s_logits(self, real):
        found = self.distance(real)
        assert found.n == 200
        assert found.top1_agreement >= 0.995
        # All are; a processor that no one has tried may round one element otherwise.
        assert found.identical_fraction >= 0.999
        assert found.max_lsb <= 1

    def test_every_architecture_is_within_few_last_bits_of_the_reference(self, synthetic):
        found = self.distance(synthetic)
        assert found.within_one_lsb_fraction >= 0.95
        assert found.max_lsb <= 4

    def test_one_wrong_bias_of_the_first_convolution_would_be_seen(self, real):
        found = self.distance(with_a_wrong_bias(real))
        assert found.identical_fraction < 0.75


class TestOnnx(ArtefactContract):
    file = bundle.ONNX


class TestTorchScript(ArtefactContract):
    file = TORCHSCRIPT.file()
