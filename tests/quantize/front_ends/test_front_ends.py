"""torch's two front ends: one recipe, the same integers, the same logits."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from eightbit.calibration import CalibrationResult, Method, choose_params, collect
from eightbit.models import Architecture, Pretrained, build_model
from eightbit.quantize import Mode, QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.artifacts.torchscript_worker import scripted
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.front_ends.islands import IntegerClassifier
from eightbit.quantize.network.fusion import fold
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized

SIDE = 64

# Basic blocks behind a max pool, narrow bottlenecks in groups, and shortcuts without weights.
NETWORKS = {
    "resnet18": (Architecture.RESNET18, {}),
    "resnext50": (Architecture.RESNET50, {"groups": 4, "width_per_group": 4}),
    "cifar_resnet20": (Architecture.CIFAR_RESNET20, {}),
}

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


def calibrated(fused: Network, mode: Mode, images: np.ndarray) -> CalibrationResult:
    observed = observe(fused, mode)
    return collect(observed.module, observed.observers, images)


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS)
def pretrained(request: pytest.FixtureRequest, random_network: Networks) -> Pretrained:
    architecture, structure = request.param
    return random_network(architecture, **structure)


@pytest.fixture(scope="module")
def fused(pretrained: Pretrained) -> Network:
    return fuse(pretrained)


@pytest.fixture(scope="module")
def recipes(pretrained: Pretrained, fused: Network, noise_images: Images) -> dict[Mode, Recipe]:
    images = noise_images(12, SIDE)
    return {
        mode: make_recipe(
            fused, calibrated(fused, mode, images), pretrained, QuantConfig(mode=mode)
        )
        for mode in Mode
    }


def test_both_modes_make_the_same_recipe_but_for_the_mode(recipes: dict[Mode, Recipe]) -> None:
    other = recipes[Mode.EAGER].model_copy(update={"config": recipes[Mode.FX].config})
    assert other.to_json() == recipes[Mode.FX].to_json()


def test_both_modes_give_the_same_logits_bit_for_bit(
    fused: Network, recipes: dict[Mode, Recipe], noise_images: Images, onednn: None
) -> None:
    x = torch.from_numpy(noise_images(8, SIDE, seed=2))
    with torch.inference_mode():
        logits = [
            quantized_module(Quantized(network=fused, recipe=recipe))(x)
            for recipe in recipes.values()
        ]
    assert torch.equal(logits[0], logits[1])
    assert len(torch.unique(logits[0])) > 1


@pytest.mark.parametrize("mode", Mode)
def test_torch_holds_exactly_the_integers_of_the_recipe(
    fused: Network, recipes: dict[Mode, Recipe], mode: Mode, onednn: None
) -> None:
    recipe = recipes[mode]
    quantized = quantized_module(Quantized(network=fused, recipe=recipe))
    inputs = fused.inputs
    for name, layer in fused.layers.items():
        params = recipe.layers[name]
        module = quantized.get_submodule(name)
        if isinstance(module, IntegerClassifier):
            assert np.array_equal(module.weight.numpy(), weight_integers(layer, params))
            zero_point = recipe.activations[inputs[name]].zero_point[0]
            bias = zero_point * module.weight.long().sum(1) - module.shift
            assert tuple(bias.tolist()) == params.bias
            continue
        weight, bias = module.weight(), module.bias()
        assert np.array_equal(weight.int_repr().numpy(), weight_integers(layer, params))
        assert tuple(weight.q_per_channel_scales().tolist()) == params.weight.scale
        source = recipe.activations[inputs[name]].scale[0]
        scale = np.array(params.weight.scale) * source
        assert np.array_equal(np.rint(bias.detach().numpy() / scale), np.array(params.bias))


def test_every_tensor_of_the_network_has_its_parameters(
    pretrained: Pretrained, recipes: dict[Mode, Recipe]
) -> None:
    model = pretrained.model
    layers = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    adds = [name for name, _ in model.named_modules() if name.endswith("skip_add")]
    quantized = {"input", *layers, *adds, "avgpool"} - {"fc"}
    assert set(recipes[Mode.FX].activations) == quantized
    assert recipes[Mode.FX].output == "fc"
    assert list(recipes[Mode.FX].layers) == layers


def test_a_dead_channel_and_a_huge_bias_are_exact_in_torch(
    random_network: Networks, noise_images: Images, onednn: None
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20)
    fused = fuse(pretrained)
    conv = fused.layers["conv1"]
    with torch.no_grad():
        conv.weight[3] = 0.0
        conv.bias[3] = 0.5
        conv.weight[4] *= 1e-12
        conv.bias[4] = 2.0
    recipe = make_recipe(
        fused, calibrated(fused, Mode.FX, noise_images(12, SIDE)), pretrained, QuantConfig()
    )
    assert max(abs(b) for layer in recipe.layers.values() for b in layer.bias) <= 2**30
    x = torch.from_numpy(noise_images(4, SIDE, seed=3))
    with torch.inference_mode():
        expected, found = (
            fused.module(x),
            quantized_module(Quantized(network=fused, recipe=recipe))(x),
        )
    noise = (expected - found).square().sum() / expected.square().sum()
    assert torch.isfinite(found).all()
    assert noise < 0.02


def test_a_recipe_of_another_network_is_refused(
    fused: Network, recipes: dict[Mode, Recipe]
) -> None:
    recipe = recipes[Mode.FX]
    name = next(iter(recipe.layers))
    layers = {key: params for key, params in recipe.layers.items() if key != name}
    with pytest.raises(ValueError, match=f"{name}: expected .* found 0"):
        quantized_module(
            Quantized(network=fused, recipe=recipe.model_copy(update={"layers": layers}))
        )


def test_the_feature_extractor_goes_through_the_same_line(
    random_network: Networks, noise_images: Images, onednn: None
) -> None:
    torch.manual_seed(0)
    model = build_model(Architecture.RESNET18, include_top=False)
    with torch.no_grad():
        model.train()(torch.from_numpy(noise_images(8, SIDE)))
    base = random_network(Architecture.CIFAR_RESNET20)
    fused = Network(module=fold(model.eval()), spec=base.spec)
    recipe = make_recipe(
        fused, calibrated(fused, Mode.FX, noise_images(12, SIDE)), base, QuantConfig()
    )
    x = torch.from_numpy(noise_images(2, SIDE, seed=5))
    with torch.inference_mode():
        expected, found = (
            fused.module(x),
            quantized_module(Quantized(network=fused, recipe=recipe))(x),
        )
    assert found.shape == (2, 512, SIDE // 32, SIDE // 32)
    assert 10 * torch.log10(expected.square().sum() / (expected - found).square().sum()) > 20


@pytest.mark.parametrize("mode", Mode)
def test_the_pool_has_a_finer_grid_than_what_it_reads(
    fused: Network, mode: Mode, noise_images: Images
) -> None:
    collected = calibrated(fused, mode, noise_images(4, SIDE))
    add = [name for name in collected.tensors if name.endswith("skip_add")][-1]
    pooled, before = (
        choose_params(collected.tensors[name], Method.MINMAX).scale[0] for name in ("avgpool", add)
    )
    assert pooled < before


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("mode", Mode)
def test_a_classifier_of_few_classes_takes_any_batch(
    random_network: Networks, noise_images: Images, mode: Mode, classes: int, onednn: None
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, num_classes=classes)
    fused = fuse(pretrained)
    recipe = make_recipe(
        fused, calibrated(fused, mode, noise_images(8, SIDE)), pretrained, QuantConfig(mode=mode)
    )
    script = scripted(quantized_module(Quantized(network=fused, recipe=recipe)))
    x = torch.from_numpy(noise_images(5, SIDE, seed=2))
    with torch.inference_mode():
        whole = script(x)
        assert whole.shape == (5, classes)
        for batch in (1, 2, 5):
            assert torch.equal(script(x[:batch]), whole[:batch])


def test_torch_does_not_load_its_compiler_which_takes_seconds() -> None:
    code = """
import sys
import torch
from eightbit.benchmarks.latency.products import products_per_image
from eightbit.models import Architecture, ModelSpec, Pretrained, build_model, parameter_count
from eightbit.quantize import Mode, fuse
from eightbit.quantize.front_ends.front_ends import observe
from eightbit.quantize.network.network import unweighted
spec = ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=10)
network = build_model(spec.architecture).eval()
random = torch.get_rng_state()
fused = fuse(Pretrained(model=network, spec=spec, weights_sha256="0" * 64, source="random"))
observe(fused, Mode.FX)
assert fused.own_skeleton is None
products_per_image(unweighted(spec, None), size=32)
parameter_count(spec.architecture)
assert torch.equal(torch.get_rng_state(), random)
sys.exit("torch._dynamo" in sys.modules or "torch._inductor" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
