"""What `--target` changes: which integers the weights may be, and torch's engine."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.calibration import collect
from eightbit.calibration.saturation import channels_at_risk
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.artifacts.write import write_torchscript
from eightbit.quantize.config import Mode, Target
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


@pytest.fixture(scope="module")
def pretrained(random_network: Networks) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=32)


@pytest.fixture(scope="module")
def make(pretrained: Pretrained, noise_images: Images) -> Callable[[Target], Recipe]:
    fused = fuse(pretrained)
    observed = observe(fused, Mode.EAGER)
    collected = collect(observed.module, observed.observers, noise_images(8, 32))

    def make(target: Target) -> Recipe:
        return make_recipe(fused, collected, pretrained, QuantConfig(target=target))

    return make


@pytest.mark.parametrize("target", Target)
def test_only_a_portable_recipe_keeps_the_bound(
    target: Target, make: Callable[[Target], Recipe], pretrained: Pretrained
) -> None:
    recipe = make(target)
    layers = fuse(pretrained).layers
    at_risk = {
        name: channels_at_risk(weight_integers(layers[name], params)).any()
        for name, params in recipe.layers.items()
    }
    assert any(at_risk.values()) == (target is not Target.PORTABLE)
    assert {params.protected for params in recipe.layers.values()} == {target is Target.PORTABLE}


def test_activations_do_not_depend_on_the_target(make: Callable[[Target], Recipe]) -> None:
    portable, unprotected = make(Target.PORTABLE), make(Target.X86_VNNI)
    assert portable.activations == unprotected.activations


def test_an_artefact_for_arm_is_one_for_qnnpack(
    make: Callable[[Target], Recipe], pretrained: Pretrained, tmp_path: Path
) -> None:
    path = tmp_path / "model.int8.pt"
    write_torchscript(Quantized(network=fuse(pretrained), recipe=make(Target.ARM64)), path)
    metadata = read_metadata(path)
    assert metadata is not None
    assert metadata.engine == "qnnpack"
