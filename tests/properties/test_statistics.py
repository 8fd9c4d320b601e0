"""What one pass leaves of a tensor does not depend on how the pass was made."""

from functools import reduce

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eightbit.calibration import (
    ActivationObserver,
    CalibrationResult,
    Method,
    TensorStatistics,
    activation_params,
    choose_params,
    collect,
)
from eightbit.calibration.histogram import BINS_PER_SIDE, Histogram, exponent_of
from eightbit.calibration.octaves import octave_weights
from eightbit.calibration.squared_error import squared_error
from eightbit.calibration.statistics import OctaveStatistics

FloatArray = npt.NDArray[np.float32]

# Zeros, negatives, denormals, and every magnitude that float32 has.
elements = st.floats(width=32, allow_nan=False, allow_infinity=False)
# An image is mostly of one magnitude; the next may be of quite another.
images = st.lists(
    st.one_of(
        arrays(np.float32, (2, 1, 3), elements=elements),
        arrays(np.float32, (2, 1, 3), elements=st.floats(-1.0, 1.0, width=32)),
        arrays(np.float32, (2, 1, 3), elements=st.floats(-(2.0**-130), 2.0**-130, width=32)),
        st.just(np.zeros((2, 1, 3), np.float32)),
    ),
    min_size=2,
    max_size=6,
)


def observe(batches: list[list[FloatArray]]) -> TensorStatistics:
    observer = ActivationObserver()
    for batch in batches:
        observer.expected = len(batch)
        observer(torch.from_numpy(np.stack(batch)))
    return observer.statistics()


def binned(x: FloatArray, exponent: int) -> Histogram:
    """The definition: bins 2^exponent / 8192 wide; exact in float64."""
    index = np.floor(x.astype(np.float64) * BINS_PER_SIDE / 2.0**exponent).astype(np.int64)
    counts = np.bincount(index.ravel() + BINS_PER_SIDE, minlength=2 * BINS_PER_SIDE)
    return Histogram.from_grid(exponent, counts)


@given(images)
def test_the_observer_keeps_its_definition(given_: list[FloatArray]) -> None:
    observed = observe([given_])
    x = np.stack(given_)
    assert (observed.low, observed.high) == (x.min(), x.max())
    assert observed.histogram == binned(x, exponent_of(float(np.abs(x).max())))


@given(images)
def test_every_image_lies_in_the_octave_where_it_lies_alone(given_: list[FloatArray]) -> None:
    by_octave: dict[int, list[FloatArray]] = {}
    for image in given_:
        (octave,) = observe([[image]]).octaves
        by_octave.setdefault(octave, []).append(image)
    observed = observe([given_])
    assert observed.images == {octave: len(by_octave[octave]) for octave in sorted(by_octave)}
    for octave, members in by_octave.items():
        x = np.stack(members)
        exponent = exponent_of(float(np.abs(x).max()))
        assert observed.octaves[octave].histogram == binned(x, exponent)


@given(images, st.data())
def test_order_and_batching_do_not_matter(given_: list[FloatArray], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(given_))
    cut = data.draw(st.integers(1, len(given_) - 1))
    together = observe([given_])
    assert observe([shuffled[:cut], shuffled[cut:]]) == together
    assert observe([[image] for image in shuffled]) == together


@given(images, st.data())
def test_merging_is_the_statistics_of_the_union(
    given_: list[FloatArray], data: st.DataObject
) -> None:
    parts = [observe([[image]]) for image in data.draw(st.permutations(given_))]
    together = observe([given_])
    assert reduce(TensorStatistics.merge, parts) == together
    assert reduce(lambda a, b: b.merge(a), parts) == together


class Pass:
    """An observed network that passes its images on, and what one pass over some says."""

    def __init__(self) -> None:
        self.observers = {"as it is": ActivationObserver(), "squashed": ActivationObserver()}

    def __call__(self, x: torch.Tensor) -> None:
        self.observers["as it is"](x)
        self.observers["squashed"](torch.clamp(x, -1.0, 1.0))

    def collect(self, given_: list[FloatArray]) -> CalibrationResult:
        return collect(self, self.observers, given_)


@given(images, st.data())
def test_merging_collections_is_the_collection_of_the_union(
    given_: list[FloatArray], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(given_))
    cut = data.draw(st.integers(1, len(given_) - 1))
    parts = [Pass().collect(shuffled[:cut]), Pass().collect(shuffled[cut:])]
    whole = Pass().collect(given_)
    assert parts[0].merge(parts[1]) == parts[1].merge(parts[0]) == whole
    assert parts[0].merge(parts[1]).images_sha256 == whole.images_sha256


@given(arrays(np.float32, 20, elements=elements), st.integers(0, 60))
def test_coarsening_is_binning_on_the_coarse_grid(x: FloatArray, doublings: int) -> None:
    exponent = exponent_of(float(np.abs(x).max()))
    coarse = binned(x, exponent).coarsened(exponent + doublings)
    assert coarse.counts.sum() == 20
    assert coarse == binned(x, exponent + doublings)


@given(images)
def test_what_stands_for_the_elements_is_as_many_between_the_extremes(
    given_: list[FloatArray],
) -> None:
    observed = observe([given_])
    values, counts = observed.elements()
    assert counts.sum() == np.stack(given_).size
    assert observed.low <= values.min() <= values.max() <= observed.high
    assert (np.diff(observed.values(observed.histogram)) >= 0).all()


@given(
    st.lists(
        st.tuples(st.floats(-100.0, 100.0, width=32), st.integers(1, 10**6), st.integers(-1, 4)),
        min_size=1,
        max_size=30,
    )
)
def test_no_search_is_worse_than_its_candidates(occupied: list[tuple[float, int, int]]) -> None:
    octaves: dict[int, OctaveStatistics] = {}
    for value, count, octave in occupied:
        one = binned(np.array([value], np.float32), exponent_of(abs(value)))
        many = Histogram(exponent=one.exponent, first=one.first, counts=one.counts * count)
        part = OctaveStatistics(images=1, histogram=many)
        octaves[octave] = octaves[octave].merge(part) if octave in octaves else part
    x = [value for value, _, _ in occupied]
    observed = TensorStatistics(low=min(x), high=max(x), octaves=dict(sorted(octaves.items())))
    widest = activation_params(observed.low, observed.high)
    for method, weights in (
        (Method.MSE, dict.fromkeys(octaves, 1.0)),
        (Method.WEIGHTED_MSE, octave_weights(observed.images)),
    ):
        elements_ = observed.elements(weights)
        for candidate in (widest, choose_params(observed, Method.PERCENTILE)):
            chosen = squared_error(choose_params(observed, method), *elements_)
            assert chosen <= squared_error(candidate, *elements_)
