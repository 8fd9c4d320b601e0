"""How large an image's activations are, and how much its errors shall count.

A few outlier images, whose activations are many times the usual, would rule every range that
minimises squared error: energy grows with the square. So each image is put into the octave of
the root mean square of its elements, and the octaves above the usual one count less.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from eightbit.calibration.histogram import BINS_PER_SIDE, Counts

# Octaves beyond these ends are counted as the ends: a millionth to a million. The clipping looks
# at nothing but the image, so merging stays exact, and it bounds the number of histograms.
LOWEST_OCTAVE, HIGHEST_OCTAVE = -20, 19

# Images up to so many octaves above the usual one keep their full weight. Tried on the hard case of
# docs/measured: all images at equal weight give 93 % agreement with float, these weights 98.6 %.
ORDINARY_OCTAVES_ABOVE = 1

_GRID_EXPONENT = BINS_PER_SIDE.bit_length() - 1


def octave_of(exponent: int, energy: int, elements: int) -> int:
    """``floor(log2(rms))``, clipped to the known octaves, without any rounding.

    The root mean square is that of the bins' lower edges on the image's own grid: sums of
    integers, so it is a function of the image's elements alone, whatever order they are added in.

    Args:
        exponent: ``k`` of the image's own grid, whose bins are ``2^k / 8192`` wide.
        energy: Sum of the squared bin numbers of its elements.
        elements: Number of elements.
    """
    mean = energy // elements
    if mean == 0:  # Nothing but zeros, or numbers as good as zero.
        return LOWEST_OCTAVE
    octave = exponent - _GRID_EXPONENT + (mean.bit_length() - 1) // 2
    return min(max(octave, LOWEST_OCTAVE), HIGHEST_OCTAVE)


def octave_weights(images: Mapping[int, int]) -> dict[int, float]:
    """Weight of an image's squared errors by octave: 1 up to ``m + 1``, then ``4^(m - o)``.

    ``m`` is the median octave of the images, the lower one of two: an image of ordinary size
    counts fully, a larger one as if it were scaled down to the median.
    """
    octaves = sorted(images)
    below = np.cumsum([images[octave] for octave in octaves])
    median = octaves[int(np.searchsorted(below, (below[-1] + 1) // 2))]
    return {
        o: 1.0 if o <= median + ORDINARY_OCTAVES_ABOVE else 4.0 ** (median - o) for o in octaves
    }


def energies(bins: Counts) -> Sequence[int]:
    """Sum of the squares of each row of bin numbers; int64, shape (N, E), to N integers."""
    # Squares are 2^26 at most: 2^37 of them fit.
    return [int(energy) for energy in np.einsum("ij,ij->i", bins, bins)]
