"""Candidates compared by what the quantized network answers, each on the same images.

The error of an image's answer is judged in decibels, relative to the answer itself, so that no
image counts more because its outputs are large. Ten outputs of an image are few numbers, and which
way a rounding happens to move them is chance: between equal roundings of one network the mean over
forty images differs by half a decibel. The features that the classifier reads are many more, and
their error becomes that of the outputs, so both count alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from eightbit.benchmarks.report.choices import ChoiceTrial
from eightbit.calibration.qparams import DoubleArray

Answers = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
"""From images, float32 of shape (N, 3, H, W), to what is compared, each of shape (N, K)."""

# Images of one call: small enough for the activations to stay in cache.
_BATCH: Final = 8

# Candidates are first judged on so many pixels, four images of 224 px, and on no more images than
# so; then the better half of them on twice as many, and the best two on all.
_FIRST_PIXELS: Final = 4 * 224**2
_FEWEST, _MOST = 4, 32

# Below this an error is one of float arithmetic: both sides are the same.
_SMALLEST: Final = 1e-12
_TINY: Final = 1e-300

# How much worse all outputs together may be than the best candidate's. The typical image decides,
# but not by giving up the others.
_MOST_LOST_DB: Final = 3.0


@dataclass(frozen=True)
class _Judged:
    """A candidate's squared errors beside the squared answers of the float network.

    Both have one row for each of what is compared, the outputs first: shape (T, N).
    """

    error: DoubleArray
    signal: DoubleArray

    @property
    def images(self) -> int:
        return len(self.error[0])

    @property
    def score(self) -> float:
        return float(_decibels(self.signal, self.error).mean())

    @property
    def median(self) -> float:
        return float(np.median(_decibels(self.signal[0], self.error[0])))

    @property
    def together(self) -> float:
        return float(_decibels(self.signal[0].sum(), self.error[0].sum()))

    def joined(self, other: "_Judged") -> "_Judged":
        return _Judged(np.hstack([self.error, other.error]), np.hstack([self.signal, other.signal]))


def _decibels(signal: DoubleArray, error: DoubleArray) -> DoubleArray:
    signal = np.maximum(signal, _TINY)
    ratio: DoubleArray = 10 * np.log10(signal / np.maximum(error, signal * _SMALLEST))
    return ratio


def compare(
    candidates: Mapping[str, Answers],
    exact: Answers,
    images: torch.Tensor,
    *,
    halving: bool,
) -> tuple[str, tuple[ChoiceTrial, ...]]:
    """The candidate whose answers are nearest to the float network's, and all that were tried.

    Args:
        candidates: Networks by name; of equal ones the first wins.
        exact: The float network.
        images: float32, shape (N, 3, H, W).
        halving: Whether less promising candidates are judged on fewer images.
    """
    reference = _Reference(exact, images)
    left, judged = list(candidates), dict[str, _Judged]()
    for until, kept in _rounds(len(candidates), images, halving=halving):
        for name in left:
            judged[name] = reference.judge(candidates[name], until, judged.get(name))
        left = _best(left, judged)[:kept]
    (chosen,) = left
    return chosen, tuple(
        ChoiceTrial(
            candidate=name,
            images=one.images,
            score_db=one.score,
            median_sqnr_db=one.median,
            sqnr_db=one.together,
            chosen=name == chosen,
        )
        for name, one in judged.items()
    )


def few(images: torch.Tensor) -> torch.Tensor:
    """As many of the images as a first look and a second one take: eight of 224 px, 64 of 32 px."""
    return images[: 2 * _first(images)]


def _first(images: torch.Tensor) -> int:
    return min(max(_FIRST_PIXELS // images[0, 0].numel(), _FEWEST), _MOST)


def _rounds(candidates: int, images: torch.Tensor, *, halving: bool) -> Sequence[tuple[int, int]]:
    """How many images are seen by the end of each round, and how many candidates stay."""
    everything = len(images)
    if not halving or candidates <= 2:
        return [(everything, 1)]
    first = _first(images)
    half = max(2, (candidates + 1) // 2)
    return [(min(first, everything), half), (min(2 * first, everything), 2), (everything, 1)]


def _best(names: Sequence[str], judged: Mapping[str, _Judged]) -> list[str]:
    """Best first; those that lose too much of all outputs together come last."""
    least = max(judged[name].together for name in names) - _MOST_LOST_DB
    return sorted(names, key=lambda name: (judged[name].together < least, -judged[name].score))


class _Reference:
    """The float network's answers, computed as far as they are needed."""

    def __init__(self, exact: Answers, images: torch.Tensor) -> None:
        self._exact, self._images = exact, images
        self._batches: dict[tuple[int, int], tuple[torch.Tensor, ...]] = {}

    def judge(self, network: Answers, until: int, before: _Judged | None) -> _Judged:
        """Judge a network on the images up to a number, those judged before left out."""
        judged = before
        start = judged.images if judged else 0
        for first in range(start, until, _BATCH):
            part = (first, min(first + _BATCH, until))
            added = _compared(network(self._images[slice(*part)]), self._expected(part))
            judged = judged.joined(added) if judged else added
        assert judged is not None
        return judged

    def _expected(self, part: tuple[int, int]) -> tuple[torch.Tensor, ...]:
        if part not in self._batches:
            self._batches[part] = self._exact(self._images[slice(*part)])
        return self._batches[part]


def _compared(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> _Judged:
    pairs = [(x.double(), y.double()) for x, y in zip(found, expected, strict=True)]
    return _Judged(
        np.stack([(x - y).square().sum(1).numpy() for x, y in pairs]),
        np.stack([y.square().sum(1).numpy() for _, y in pairs]),
    )
