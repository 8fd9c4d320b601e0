import numpy as np
import pytest
import torch

from eightbit.calibration import (
    ActivationObserver,
    QuantDType,
    QuantParams,
    TensorStatistics,
    WeightObserver,
)
from eightbit.calibration.observers import SAMPLES_PER_IMAGE
from eightbit.calibration.statistics import BINS_PER_SIDE


def observe(*tensors: torch.Tensor) -> TensorStatistics:
    observer = ActivationObserver()
    for x in tensors:
        observer.expected = len(x)
        observer(x)
    return observer.statistics()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_extremes_are_exact_wherever_they_are() -> None:
    x = noise(2, 64, 56, 56)  # Large enough to be sampled: the histogram alone would miss them.
    x[1, 63, 55, 54] = 1234.5678
    x[0, 62, 0, 1] = -987.654
    observed = observe(x)
    assert observed.low == float(np.float32(-987.654))
    assert observed.high == float(np.float32(1234.5678))
    assert observed.exponent == 11


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 1), id="one element"),
        pytest.param((3, 10), id="two dimensions"),
        pytest.param((2, 1, 5, 5), id="one channel"),
        pytest.param((2, 7, 1, 1), id="one pixel"),
        pytest.param((1, 3, 5, 4), id="four dimensions"),
    ],
)
def test_every_element_of_a_small_tensor_is_counted(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    observed = observe(x)
    bins = np.floor(x.double().numpy().ravel() / observed.bin_width).astype(int) + BINS_PER_SIDE
    assert np.array_equal(observed.counts, np.bincount(bins, minlength=2 * BINS_PER_SIDE))
    assert (observed.low, observed.high) == (x.min().item(), x.max().item())


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((2, 64, 56, 56), id="64 channels"),
        pytest.param((2, 3, 32, 32), id="3 channels"),
        pytest.param((2, 1, 9, 9), id="1 channel"),
    ],
)
def test_memory_order_does_not_matter(shape: tuple[int, int, int, int]) -> None:
    x = noise(*shape)
    assert observe(x) == observe(x.to(memory_format=torch.channels_last))


def test_the_histogram_is_every_nth_element_in_channels_last_order() -> None:
    x = noise(2, 64, 28, 28)
    elements = 64 * 28 * 28
    stride = elements // SAMPLES_PER_IMAGE + 1  # 6 shares a divisor with 64, 7 does not.
    assert stride == 7
    observed = observe(x)
    sample = x.permute(0, 2, 3, 1).reshape(2, elements)[:, ::stride].double().numpy().ravel()
    bins = np.floor(sample / observed.bin_width).astype(int) + BINS_PER_SIDE
    assert np.array_equal(observed.counts, np.bincount(bins, minlength=2 * BINS_PER_SIDE))


@pytest.mark.parametrize(
    ("channels", "side"),
    [
        pytest.param(3, 96, id="RGB at 96 px"),
        pytest.param(3, 160, id="RGB at 160 px"),
        pytest.param(3, 224, id="RGB at 224 px"),
        pytest.param(3, 240, id="RGB at 240 px"),
        pytest.param(6, 56, id="6 channels"),
        pytest.param(48, 40, id="48 channels"),
        pytest.param(64, 56, id="64 channels"),
        pytest.param(2048, 7, id="2048 channels"),
    ],
)
def test_every_channel_is_sampled(channels: int, side: int) -> None:
    levels = torch.arange(1.0, channels + 1)
    x = levels.reshape(1, channels, 1, 1).expand(1, channels, side, side)
    counts = observe(x).counts
    sampled = counts[counts > 0]
    assert len(sampled) == channels
    # An equal share of each, but for one element where the sample does not divide.
    assert sampled.max() - sampled.min() <= 1
    assert sampled.sum() >= min(SAMPLES_PER_IMAGE // 3, channels * side * side)
    assert sampled.sum() < 2 * SAMPLES_PER_IMAGE


def test_padding_is_ignored() -> None:
    x = noise(8, 4, 5, 5)
    padded = x.clone()
    padded[3:] = 1e6
    padded[7] = float("nan")
    observer = ActivationObserver()
    observer.expected = 3
    observer(padded)
    assert observer.statistics() == observe(x[:3])


def test_only_the_first_tensor_of_a_pass_counts() -> None:
    observer = ActivationObserver()
    observer.expected = 2
    observer(noise(2, 4))
    observer(100 * noise(2, 4))
    assert observer.statistics() == observe(noise(2, 4))


def test_nothing_counts_before_it_is_expected() -> None:
    observer = ActivationObserver()
    observer(100 * noise(2, 4))
    observer.expected = 2
    observer(noise(2, 4))
    assert observer.statistics() == observe(noise(2, 4))


def test_statistics_of_nothing_are_refused() -> None:
    observer = ActivationObserver()
    observer.name = "layer1.0.conv1"
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1: expected to be observed"):
        observer.statistics()


def test_statistics_are_a_snapshot() -> None:
    observer = ActivationObserver()
    observer.expected = 1
    observer(noise(1, 4))
    before = observer.statistics()
    observer.expected = 1
    observer(noise(1, 4, seed=1))
    assert before == observe(noise(1, 4))
    assert observer.statistics() == observe(noise(1, 4), noise(1, 4, seed=1))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_by_name(broken: float) -> None:
    x = noise(2, 3, 4, 4)
    x[1, 2, 3, 3] = broken
    observer = ActivationObserver()
    observer.name = "conv1"
    observer.expected = 2
    with pytest.raises(ValueError, match="conv1: expected finite activations, found"):
        observer(x)


@pytest.mark.parametrize("expected", [0, 2])
def test_what_flows_through_is_returned_as_it_is(expected: int) -> None:
    x = noise(2, 3, 4, 4)
    before = x.clone()
    observer = ActivationObserver()
    observer.expected = expected
    assert observer(x) is x
    assert torch.equal(x, before)


def test_a_tensor_that_needs_a_gradient_is_observed_too() -> None:
    assert observe(noise(1, 4).requires_grad_()) == observe(noise(1, 4))


def test_an_all_zero_batch_leaves_no_trace_in_the_grid() -> None:
    zero, small = torch.zeros(1, 4), torch.full((1, 4), 1e-3)
    assert observe(zero).exponent < -50
    assert observe(zero, small) == observe(small, zero) == observe(torch.cat([zero, small]))


def test_a_tiny_negative_number_stays_negative_on_the_coarsest_grid() -> None:
    # -1e-40 times 2^13 / 2^127 underflows in float32, and -0 would fall into the bin above zero.
    tiny, huge = torch.full((1, 1), -1e-40), torch.full((1, 1), 1e38)
    assert observe(tiny, huge) == observe(huge, tiny)
    assert observe(huge, tiny).counts[BINS_PER_SIDE - 1] == 1


def test_torch_is_given_the_params_of_the_recipe() -> None:
    observer = ActivationObserver()
    observer.params = QuantParams(dtype=QuantDType.UINT8, scale=(0.5,), zero_point=(7,))
    scale, zero_point = observer.calculate_qparams()
    assert (scale.dtype, zero_point.dtype) == (torch.float32, torch.int32)
    assert (scale.tolist(), zero_point.tolist()) == ([0.5], [7])
    assert (observer.dtype, observer.qscheme) == (torch.quint8, torch.per_tensor_affine)


def test_without_params_there_is_nothing_to_give_torch() -> None:
    observer = ActivationObserver()
    observer.expected = 1
    observer(noise(1, 4))
    with pytest.raises(RuntimeError, match="no parameters from a recipe"):
        observer.calculate_qparams()


def test_weight_observer_serves_its_scales_and_observes_nothing() -> None:
    params = QuantParams(
        dtype=QuantDType.INT8, scale=(0.5, 0.25, 1.0), zero_point=(0, 0, 0), axis=0
    )
    observer = WeightObserver(params)
    weight = noise(3, 4, 1, 1)
    assert observer(weight) is weight
    scale, zero_point = observer.calculate_qparams()
    assert (scale.dtype, zero_point.dtype) == (torch.float32, torch.int32)
    assert (scale.tolist(), zero_point.tolist()) == ([0.5, 0.25, 1.0], [0, 0, 0])
    assert (observer.dtype, observer.qscheme) == (torch.qint8, torch.per_channel_symmetric)
    assert (observer.ch_axis, observer.quant_min, observer.quant_max) == (0, -127, 127)
