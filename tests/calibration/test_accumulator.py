import numpy as np
import numpy.typing as npt
import pytest
import torch

from eightbit.calibration import TensorStatistics
from eightbit.calibration.accumulator import SAMPLES_PER_IMAGE, Accumulator
from eightbit.calibration.histogram import BINS_PER_SIDE, SMALLEST_EXPONENT, Histogram
from eightbit.calibration.octaves import HIGHEST_OCTAVE, LOWEST_OCTAVE


def observe(*tensors: torch.Tensor) -> TensorStatistics:
    accumulator = Accumulator()
    for x in tensors:
        accumulator.add(x)
    statistics = accumulator.statistics()
    assert statistics is not None
    return statistics


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def binned(x: npt.NDArray[np.float64], exponent: int) -> Histogram:
    """The definition: bins 2^exponent / 8192 wide."""
    bins = np.floor(x.ravel() * BINS_PER_SIDE / 2.0**exponent).astype(int) + BINS_PER_SIDE
    return Histogram.from_grid(exponent, np.bincount(bins, minlength=2 * BINS_PER_SIDE))


def test_nothing_seen_is_no_statistics() -> None:
    assert Accumulator().statistics() is None


def test_extremes_are_exact_wherever_they_are() -> None:
    x = noise(2, 64, 56, 56)  # Large enough to be sampled: the histogram alone would miss them.
    x[1, 63, 55, 54] = 1234.5678
    x[0, 62, 0, 1] = -987.654
    observed = observe(x)
    assert observed.low == float(np.float32(-987.654))
    assert observed.high == float(np.float32(1234.5678))


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
    assert observed.histogram == binned(x.double().numpy(), observed.histogram.exponent)
    assert (observed.low, observed.high) == (x.min().item(), x.max().item())
    assert sum(observed.images.values()) == shape[0]


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
    x = noise(2, 64, 32, 32)
    elements = 64 * 32 * 32
    stride = elements // SAMPLES_PER_IMAGE + 1  # 64 shares a divisor with 64, 65 does not.
    assert stride == 65
    observed = observe(x)
    sample = x.permute(0, 2, 3, 1).reshape(2, elements)[:, ::stride].double().numpy()
    assert observed.histogram == binned(sample, observed.histogram.exponent)


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
    counts = observe(x).histogram.counts
    sampled = counts[counts > 0]
    assert len(sampled) == channels
    # An equal share of each, but for one element where the sample does not divide.
    assert sampled.max() - sampled.min() <= 1
    assert sampled.sum() >= min(SAMPLES_PER_IMAGE // 3, channels * side * side)
    assert sampled.sum() < 2 * max(SAMPLES_PER_IMAGE, channels)


def test_each_image_is_in_the_octave_of_its_root_mean_square_on_its_own_grid() -> None:
    sizes = torch.tensor([1.0, 3.0, 3.9, 100.0, 0.3])
    x = torch.ones(5, 10) * sizes[:, None]
    octaves = observe(x).octaves
    assert {octave: part.images for octave, part in octaves.items()} == {-2: 1, 0: 1, 1: 2, 6: 1}
    assert list(octaves) == [-2, 0, 1, 6]
    assert [part.histogram.exponent for part in octaves.values()] == [-1, 1, 2, 7]
    for octave, part in octaves.items():
        mine = x[(sizes >= 2.0**octave) & (sizes < 2.0 ** (octave + 1))].double().numpy()
        assert part.histogram == binned(mine, part.histogram.exponent)


def test_the_octave_is_that_of_the_float_root_mean_square() -> None:
    x = noise(200, 500) * torch.exp2(torch.linspace(-8, 8, 200))[:, None]
    rms = np.sqrt(np.mean(x.double().numpy() ** 2, axis=1))
    expected = np.floor(np.log2(rms)).astype(int)
    # Bins are 1/4096 of the largest: only who lies as near to a power of two may differ.
    assert (np.abs(np.log2(rms) - np.rint(np.log2(rms))) > 1e-3).all()
    numbers, counts = np.unique(expected, return_counts=True)
    assert observe(x).images == dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def test_any_magnitude_leaves_a_bounded_number_of_octaves() -> None:
    x = torch.exp2(torch.arange(-149.0, 128.0))[:, None]
    octaves = observe(x).octaves
    assert list(octaves) == list(range(LOWEST_OCTAVE, HIGHEST_OCTAVE + 1))
    assert sum(part.histogram.counts.sum() for part in octaves.values()) == len(x)


def test_an_octave_grows_with_its_largest_image() -> None:
    flat = torch.ones(1, 100)
    peaked = torch.zeros(1, 100)
    peaked[0, 0] = 15.0
    assert observe(flat).images == observe(peaked).images == {0: 1}
    both = observe(torch.cat([flat, peaked]))
    assert both.octaves[0].histogram.exponent == 4
    assert both == observe(flat, peaked) == observe(peaked, flat)


def test_an_all_zero_batch_leaves_no_trace_in_the_grid() -> None:
    zero, small = torch.zeros(1, 4), torch.full((1, 4), 1e-3)
    assert observe(zero).histogram.exponent == SMALLEST_EXPONENT
    assert observe(zero, small) == observe(small, zero) == observe(torch.cat([zero, small]))


def test_a_tiny_negative_number_stays_negative_on_the_coarsest_grid() -> None:
    # -1e-40 times 2^13 / 2^127 underflows in float32, and -0 would fall into the bin above zero.
    x = torch.tensor([[-1e-40, 1e38]])
    assert observe(x).histogram.first == -1
    tiny, huge = torch.full((1, 1), -1e-40), torch.full((1, 1), 1e38)
    assert observe(tiny, huge) == observe(huge, tiny)
    assert observe(huge, tiny).histogram.first == -1


def test_the_moving_average_follows_the_batches() -> None:
    batches = [torch.tensor([[-1.0, 2.0]]), torch.tensor([[-3.0, 2.0]]), torch.tensor([[0.0, 7.0]])]
    low, high = -1.0, 2.0
    low, high = low + 0.01 * (-3.0 - low), high
    low, high = low + 0.01 * (0.0 - low), high + 0.01 * (7.0 - high)
    assert observe(*batches).moving_average == (low, high)


def test_the_moving_average_is_that_of_torch() -> None:
    from torch.ao.quantization import MovingAverageMinMaxObserver

    torchs = MovingAverageMinMaxObserver()
    batches = [noise(8, 3, 5, 5, seed=seed) for seed in range(20)]
    for batch in batches:
        torchs(batch)
    expected = (torchs.min_val.item(), torchs.max_val.item())
    assert observe(*batches).moving_average == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(broken: float) -> None:
    x = noise(2, 3, 4, 4)
    x[1, 2, 3, 3] = broken
    with pytest.raises(ValueError, match="expected finite activations, found"):
        Accumulator().add(x)
