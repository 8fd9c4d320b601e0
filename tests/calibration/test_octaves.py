import numpy as np
import pytest

from eightbit.calibration.octaves import (
    HIGHEST_OCTAVE,
    LOWEST_OCTAVE,
    energies,
    octave_of,
    octave_weights,
)


@pytest.mark.parametrize(
    ("exponent", "bins", "octave"),
    [
        # Bins of exponent 13 are one wide: the bin numbers are the values.
        pytest.param(13, [8191] * 4, 12, id="under a power of two"),
        pytest.param(13, [4096] * 4, 12, id="a power of two"),
        pytest.param(13, [4095] * 4, 11, id="just under it"),
        pytest.param(13, [-4096] * 4, 12, id="the sign does not matter"),
        pytest.param(13, [4096, 0, 0, 0], 11, id="a quarter of the energy is one octave less"),
        pytest.param(13, [4096, 0, 0, 0, 0], 10, id="a fifth is less than that"),
        pytest.param(0, [4096] * 4, -1, id="half of one"),
        pytest.param(-7, [0, 0], LOWEST_OCTAVE, id="zeros"),
        pytest.param(-100, [8191], LOWEST_OCTAVE, id="as small as can be"),
        pytest.param(128, [8191], HIGHEST_OCTAVE, id="as large as can be"),
    ],
)
def test_octave_by_hand(exponent: int, bins: list[int], octave: int) -> None:
    assert octave_of(exponent, sum(b * b for b in bins), len(bins)) == octave


def test_energies_are_exact_sums() -> None:
    bins = np.random.default_rng(0).integers(-8192, 8192, (3, 8191))
    assert energies(bins) == [sum(int(b) ** 2 for b in row) for row in bins]


@pytest.mark.parametrize(
    ("images", "weights"),
    [
        pytest.param({3: 5}, {3: 1.0}, id="one octave"),
        pytest.param({2: 4, 3: 9, 4: 4}, {2: 1.0, 3: 1.0, 4: 1.0}, id="ordinary images"),
        pytest.param({3: 9, 6: 1}, {3: 1.0, 6: 1 / 64}, id="outliers count less"),
        pytest.param({-9: 1, 3: 9}, {-9: 1.0, 3: 1.0}, id="small images do not count more"),
        pytest.param({0: 5, 9: 5}, {0: 1.0, 9: 4.0**-9}, id="the lower of two medians"),
        pytest.param({0: 4, 9: 5}, {0: 1.0, 9: 1.0}, id="most images are never outliers"),
    ],
)
def test_weights_by_hand(images: dict[int, int], weights: dict[int, float]) -> None:
    assert octave_weights(images) == weights


def test_an_outlier_image_counts_no_more_than_an_ordinary_one() -> None:
    images = {0: 100, **dict.fromkeys(range(2, 12), 1)}
    weights = octave_weights(images)
    # The largest energy of an image of octave o is 4^(o + 1).
    assert {weights[octave] * 4.0 ** (octave + 1) for octave in range(2, 12)} == {4.0}
