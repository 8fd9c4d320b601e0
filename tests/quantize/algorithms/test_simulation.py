"""The simulated integers, what they cost each tensor, and the biases that take some of it back."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.in_line import InLine

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, FidelityResult
from eightbit.calibration import activation_params, collect
from eightbit.models import Architecture, Pretrained
from eightbit.models.images.loading import LoadedImage
from eightbit.models.images.sources import ImageItem
from eightbit.quantize import Recipe, correct_biases, diagnose, fuse, make_recipe, observe
from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.config import Mode, QuantConfig
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.images import Subset
from eightbit.quantize.measure.diagnosis import weight_histogram
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized

SIDE = 32

Images = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def pretrained(random_network: Callable[..., Pretrained]) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=SIDE)


@pytest.fixture(scope="module")
def fused(pretrained: Pretrained) -> Network:
    return fuse(pretrained)


@pytest.fixture(scope="module")
def images(noise_images: Images) -> torch.Tensor:
    return torch.from_numpy(noise_images(24, SIDE))


@pytest.fixture(scope="module")
def recipe(fused: Network, pretrained: Pretrained, images: torch.Tensor) -> Recipe:
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, images.numpy())
    return make_recipe(fused, collected, pretrained, QuantConfig())


def fidelity(fused: Network, recipe: Recipe, images: torch.Tensor) -> FidelityResult:
    pair = PairedNetwork(fused, recipe).propagate(images)
    meter = FidelityMeter()
    meter.update(pair.exact.numpy(), pair.rounded.numpy())
    return meter.result()


def mean_error(fused: Network, recipe: Recipe, images: torch.Tensor) -> float:
    pair = PairedNetwork(fused, recipe).propagate(images)
    return float((pair.exact - pair.rounded).mean(0).abs().mean())


def with_range(recipe: Recipe, tensor: str, low: float, high: float) -> Recipe:
    activations = {**recipe.activations, tensor: activation_params(low, high)}
    return recipe.model_copy(update={"activations": activations})


def test_one_side_is_the_float_network(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    pair = PairedNetwork(fused, recipe).propagate(images)
    with torch.inference_mode():
        torch.testing.assert_close(pair.exact, fused.module(images), rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("onednn")
def test_the_other_side_is_torchs_integer_network_but_for_ties(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    pair = PairedNetwork(fused, recipe).propagate(images)
    with torch.inference_mode():
        integers = quantized_module(Quantized(network=fused, recipe=recipe))(images)
    noise = (pair.exact - pair.rounded).square().mean()
    # Ties fall differently here and there; what they do is small beside the noise itself.
    assert (pair.rounded - integers).square().mean() < 0.3 * noise


def test_corrected_biases_take_mean_errors_back(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    # Weights cut off at half their size: a large error that is the same for every image.
    layers = {
        name: params.model_copy(
            update={
                "weight": params.weight.model_copy(
                    update={"scale": tuple(float(np.float32(s / 2)) for s in params.weight.scale)}
                )
            }
        )
        for name, params in recipe.layers.items()
    }
    clipped = recipe.model_copy(update={"layers": layers})
    corrected = correct_biases(fused, clipped, images)
    before, after = fidelity(fused, clipped, images), fidelity(fused, corrected, images)
    assert before.sqnr_db is not None
    assert after.sqnr_db is not None
    assert after.sqnr_db > before.sqnr_db + 1
    assert mean_error(fused, corrected, images) < 0.5 * mean_error(fused, clipped, images)


def test_a_correction_changes_biases_alone(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    corrected = correct_biases(fused, recipe, images)
    assert corrected.activations == recipe.activations
    for name, params in corrected.layers.items():
        assert params.weight == recipe.layers[name].weight
    assert corrected != recipe


def test_corrected_biases_have_nothing_left_to_correct(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    once = correct_biases(fused, recipe, images)
    twice = correct_biases(fused, once, images)
    moved = unmoved = 0
    for name, params in once.layers.items():
        again = np.subtract(twice.layers[name].bias, params.bias)
        # One unit of the bias: float sums differ in their last bits.
        assert np.abs(again).max() <= 1
        unmoved += int((again == 0).sum())
        moved += int(np.not_equal(params.bias, recipe.layers[name].bias).sum())
    assert moved > 0.5 * unmoved > 0


def test_one_outlier_image_does_not_move_the_biases(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    outlier = torch.cat([images, 50 * images[:1]])
    plain, disturbed = (correct_biases(fused, recipe, batch) for batch in (images, outlier))
    before, after = (fidelity(fused, r, images).sqnr_db for r in (plain, disturbed))
    assert before is not None
    assert after is not None
    assert after > before - 1


def test_the_worst_tensor_comes_first(fused: Network, recipe: Recipe, images: torch.Tensor) -> None:
    ruined = "layer2.1.conv1"
    spoiled = with_range(recipe, ruined, 0.0, 0.1)
    tensors = diagnose(Quantized(network=fused, recipe=spoiled), images)
    assert {tensor.name for tensor in tensors} == recipe.activations.keys()
    worst = tensors[0]
    assert worst.name == ruined
    assert worst.saturated_fraction > 0.2
    assert worst.observed_high > worst.high == pytest.approx(0.1, rel=1e-3)
    by_name = {
        tensor.name: tensor for tensor in diagnose(Quantized(network=fused, recipe=recipe), images)
    }
    spoiled_by_name = {tensor.name: tensor for tensor in tensors}
    # What comes behind inherits the noise; rounded on its own it is as good as before.
    behind = "layer2.1.conv2"
    assert spoiled_by_name[behind].sqnr_alone_db == by_name[behind].sqnr_alone_db
    assert spoiled_by_name[behind].sqnr_accumulated_db < by_name[behind].sqnr_accumulated_db - 5


def test_workers_diagnose_what_one_process_does(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    quantized, executor = Quantized(network=fused, recipe=recipe), InLine()
    many = torch.cat([images, images[:3] * 1.5])
    assert diagnose(quantized, many, executor) == diagnose(quantized, many)
    assert len(executor.tasks) == -(-len(many) // 8) > 1


def test_the_worst_tensors_have_histograms_of_all_their_elements(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    seen: dict[str, torch.Tensor] = {}

    class Keeping(PairedNetwork):
        def on_tensor(self, name: str, tensor: Pair) -> None:
            seen[name] = tensor.exact.clone()

    tensors = diagnose(Quantized(network=fused, recipe=recipe), images)
    Keeping(fused, recipe).propagate(images)
    assert [tensor.values is not None for tensor in tensors] == [True] * 6 + [False] * 24
    for tensor in tensors[:6]:
        histogram = tensor.values
        assert histogram is not None
        ends = (histogram.low, histogram.high)
        assert ends == (tensor.observed_low, tensor.observed_high)
        expected, _ = np.histogram(seen[tensor.name].numpy(), bins=64, range=ends)
        # Last bits of another pass move elements over the edge of a bin.
        assert np.abs(expected - histogram.counts).sum() <= 0.001 * expected.sum()
        assert sum(histogram.counts) == seen[tensor.name].numel()


def test_weights_are_counted_in_steps_of_their_channel(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    layers = fused.layers
    for tensor in diagnose(Quantized(network=fused, recipe=recipe), images)[:6]:
        assert (tensor.weights is not None) == (tensor.name in layers)
        if tensor.weights is not None:
            # Ranges of weights are those of min-max here: none is outside.
            assert (tensor.weights.low, tensor.weights.high) == (-127.5, 127.5)
            assert sum(tensor.weights.counts) == layers[tensor.name].weight.numel()
            assert tensor.weights.counts[0] + tensor.weights.counts[-1] > 0


def test_a_weight_beyond_the_integers_is_in_the_histogram(recipe: Recipe) -> None:
    params = recipe.layers["conv1"]
    weight = np.zeros((16, 3, 3, 3))
    weight[0, 0, 0, 0] = 200 * params.weight.scale[0]
    histogram = weight_histogram(weight, params)
    assert histogram.high == pytest.approx(200)
    assert histogram.counts[-1] == 1
    assert sum(histogram.counts) == weight.size


def test_tensors_know_the_order_of_execution(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    positions = {
        t.name: t.position for t in diagnose(Quantized(network=fused, recipe=recipe), images)
    }
    assert sorted(positions.values()) == list(range(30))
    assert positions["input"] == 0
    assert positions["layer1.0.conv1"] < positions["layer1.0.conv2"] < positions["layer3.2.conv1"]
    assert positions["avgpool"] == 29


def test_a_diagnosis_does_not_depend_on_the_batches(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    (first, *_) = diagnose(Quantized(network=fused, recipe=recipe), images[:8])
    twice = {
        t.name: t
        for t in diagnose(
            Quantized(network=fused, recipe=recipe), torch.cat([images[:8], images[:8]])
        )
    }
    assert twice[first.name].sqnr_alone_db == pytest.approx(first.sqnr_alone_db, abs=1e-3)
    assert twice[first.name].saturated_fraction == pytest.approx(first.saturated_fraction)


def loaded(number: int, side: int = 4) -> LoadedImage:
    return LoadedImage(
        item=ImageItem(name=f"{number}.png", folder=None),
        digest=hashlib.sha256(str(number).encode()).hexdigest(),
        pixels=np.full((3, side, side), number, np.float32),
    )


def test_a_subset_is_the_same_in_any_order_and_never_larger() -> None:
    numbers = list(range(60))
    kept = []
    for order in (numbers, numbers[::-1], [*numbers, *numbers]):
        subset = Subset(fitting_pixels=9 * 16, held_out_pixels=10 * 16)
        assert [image.item.name for image in subset.watch(map(loaded, order))] == [
            f"{number}.png" for number in order
        ]
        kept.append(subset.kept())
    assert kept[0].fitting.shape == (9, 3, 4, 4)
    assert kept[0].held_out.shape == (10, 3, 4, 4)
    for other in kept[1:]:
        assert torch.equal(kept[0].fitting, other.fitting)
        assert torch.equal(kept[0].held_out, other.held_out)


@pytest.mark.parametrize(("images", "fitted"), [(2, 1), (3, 2), (8, 6), (16, 8), (100, 8)], ids=str)
def test_no_image_is_both_fitted_to_and_held_out_but_a_lone_one(images: int, fitted: int) -> None:
    subset = Subset(fitting_pixels=1, held_out_pixels=1)  # never fewer than eight of each
    list(subset.watch(map(loaded, range(images))))
    kept = subset.kept()
    numbers = [set(part[:, 0, 0, 0].tolist()) for part in (kept.fitting, kept.held_out)]
    assert [len(part) for part in numbers] == [fitted, min(images, 16) - fitted]
    assert not numbers[0] & numbers[1]


def test_a_lone_image_is_both() -> None:
    subset = Subset()
    list(subset.watch([loaded(1)]))
    assert torch.equal(subset.kept().fitting, subset.kept().held_out)
    with pytest.raises(ValueError, match="at least one"):
        Subset().kept()
