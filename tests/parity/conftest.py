"""Recipes of any network: the artefacts' parity and the weights' safety begin with one."""

from collections.abc import Callable, Collection

import pytest

from eightbit.calibration import collect
from eightbit.calibration.qparams import FloatArray
from eightbit.models import Pretrained
from eightbit.quantize import Mode, QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.config import Target
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.recipe import leave_float


@pytest.fixture(scope="session")
def recipe_for() -> Callable[..., tuple[Network, Recipe]]:
    """Fuse a network and make its recipe from some images."""

    def make(
        pretrained: Pretrained,
        calibration: FloatArray,
        *,
        mode: Mode = Mode.FX,
        target: Target = Target.PORTABLE,
        float_layers: Collection[str] = (),
    ) -> tuple[Network, Recipe]:
        fused = fuse(pretrained)
        observed = observe(fused, mode)
        collected = collect(observed.module, observed.observers, calibration)
        config = QuantConfig(mode=mode, target=target)
        recipe = make_recipe(fused, collected, pretrained, config)
        return fused, leave_float(recipe, fused, float_layers)

    return make
