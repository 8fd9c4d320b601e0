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
    Method,
    TensorStatistics,
    activation_params,
    choose_params,
)
from eightbit.calibration.methods import squared_error
from eightbit.calibration.statistics import BINS_PER_SIDE, coarsen, exponent_of

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


def bins_of(x: FloatArray, exponent: int) -> npt.NDArray[np.int64]:
    """The definition: bins 2^exponent / 8192 wide; exact in float64."""
    index = np.floor(x.astype(np.float64) * BINS_PER_SIDE / 2.0**exponent).astype(np.int64)
    return np.bincount(index.ravel() + BINS_PER_SIDE, minlength=2 * BINS_PER_SIDE)


@given(images)
def test_the_observer_keeps_its_definition(given_: list[FloatArray]) -> None:
    observed = observe([given_])
    x = np.stack(given_)
    assert (observed.low, observed.high) == (x.min(), x.max())
    assert observed.exponent == exponent_of(float(np.abs(x).max()))
    assert np.array_equal(observed.counts, bins_of(x, observed.exponent))


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


@given(arrays(np.float32, 20, elements=elements), st.integers(0, 60))
def test_coarsening_is_binning_on_the_coarse_grid(x: FloatArray, doublings: int) -> None:
    exponent = exponent_of(float(np.abs(x).max()))
    coarse = coarsen(bins_of(x, exponent), doublings)
    assert coarse.sum() == 20
    assert np.array_equal(coarse, bins_of(x, exponent + doublings))


@given(images)
def test_what_stands_for_the_elements_is_as_many_between_the_extremes_and_in_order(
    given_: list[FloatArray],
) -> None:
    observed = observe([given_])
    values, counts = observed.occupied()
    assert counts.sum() == np.stack(given_).size
    assert (np.diff(values) >= 0).all()
    assert observed.low <= values[0] <= values[-1] <= observed.high


@given(
    st.lists(
        st.tuples(st.floats(-100.0, 100.0, width=32), st.integers(1, 10**6)),
        min_size=1,
        max_size=30,
    )
)
def test_mse_is_never_worse_than_minmax(occupied: list[tuple[float, int]]) -> None:
    x = np.array([value for value, _ in occupied], dtype=np.float32)
    exponent = exponent_of(float(np.abs(x).max()))
    counts = sum((bins_of(np.array([v], np.float32), exponent) * n for v, n in occupied), start=0)
    observed = TensorStatistics(
        low=float(x.min()), high=float(x.max()), exponent=exponent, counts=np.asarray(counts)
    )
    values, weights = observed.occupied()
    chosen = squared_error(choose_params(observed, Method.MSE), values, weights)
    widest = squared_error(activation_params(observed.low, observed.high), values, weights)
    assert chosen <= widest
