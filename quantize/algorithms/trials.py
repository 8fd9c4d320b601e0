"""Candidates compared by what the quantized network answers, each on the same images.

The error of an image's answer is judged in decibels, relative to the answer itself, so that no
image counts more because its outputs are large. Ten outputs of an image are few numbers, and which
way a rounding happens to move them is chance: between equal roundings of one network the mean over
forty images differs by half a decibel. The features that the classifier reads are many more, and
their error becomes that of the outputs, so both count alike.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from eightbit.benchmarks.report.choices import ChoiceTrial
from eightbit.calibration.qparams import DoubleArray

Answers = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]
"""From images, float32 of shape (N, 3, H, W), to what is compared, each of shape (N, K)."""

# Candidates are first judged on so many pixels, four images of 224 px, and on no more images than
# so; then the better half of them on twice as many, and the best two on three times. That also goes
# through a network at once: more would not stay in cache, less would leave a core waiting.
_FIRST_PIXELS: Final = 4 * 224**2
_FEWEST, _MOST = 4, 32

# Below this an error is one of float arithmetic: both sides are the same.
_SMALLEST: Final = 1e-12
_TINY: Final = 1e-300

# How much more of the answers may be lost than by the safest candidate, beside what typical images
# gain: they decide, but not by giving up some of the others for next to nothing.
_MOST_LOST_DB: Final = 3.0

# What all outputs together count beside the typical image: enough to decide between candidates that
# are equal otherwise.
_ALTOGETHER: Final = 0.1

# By so many standard errors of the mean a doubted candidate has to be better.
_STANDARD_ERRORS: Final = 2.0


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
    def by_image(self) -> DoubleArray:
        """SQNR of each image in dB, the mean of all that is compared: shape (N,)."""
        mean: DoubleArray = _decibels(self.signal, self.error).mean(0)
        return mean

    @property
    def score(self) -> float:
        return (1 - _ALTOGETHER) * float(self.by_image.mean()) + _ALTOGETHER * self.together

    @property
    def median(self) -> float:
        return float(np.median(_decibels(self.signal[0], self.error[0])))

    @property
    def safety(self) -> float:
        """Of all images' outputs, each counted alike and as lost at most, in dB."""
        lost = np.minimum(self.error[0] / np.maximum(self.signal[0], _TINY), 1.0).mean()
        return float(-10 * np.log10(max(lost, _SMALLEST)))

    @property
    def together(self) -> float:
        return float(_decibels(self.signal[0].sum(), self.error[0].sum()))

    def joined(self, other: "_Judged") -> "_Judged":
        return _Judged(np.hstack([self.error, other.error]), np.hstack([self.signal, other.signal]))


def _decibels(signal: DoubleArray, error: DoubleArray) -> DoubleArray:
    signal = np.maximum(signal, _TINY)
    ratio: DoubleArray = 10 * np.log10(signal / np.maximum(error, signal * _SMALLEST))
    return ratio


class FloatAnswers:
    """The float network's answers to some images, each computed when it is first needed.

    Args:
        network: The float network.
        images: float32, shape (N, 3, H, W).
    """

    def __init__(self, network: Answers, images: torch.Tensor) -> None:
        self._network, self._images = network, images
        self._batches: dict[int, tuple[torch.Tensor, ...]] = {}

    @property
    def first(self) -> int:
        """How many images a first look takes: four of 224 px, 32 of 32 px."""
        return min(max(_FIRST_PIXELS // self._images[0, 0].numel(), _FEWEST), _MOST)

    def judge(self, network: Answers, until: int, before: "_Judged | None") -> "_Judged":
        """Judge a network on the images up to a number, those judged before left out."""
        judged, start = before, before.images if before else 0
        while start < until:
            # Batches begin where they always do, so that none is computed twice.
            stop = min((start // self.first + 1) * self.first, until)
            expected = self._expected(start // self.first)
            place = start % self.first
            added = _compared(
                network(self._images[start:stop]),
                [side[place : place + stop - start] for side in expected],
            )
            judged, start = judged.joined(added) if judged else added, stop
        assert judged is not None
        return judged

    def _expected(self, batch: int) -> tuple[torch.Tensor, ...]:
        if batch not in self._batches:
            start = batch * self.first
            self._batches[batch] = self._network(self._images[start : start + self.first])
        return self._batches[batch]


def compare(
    candidates: Mapping[str, Answers],
    exact: FloatAnswers,
    images: int,
    *,
    halving: bool = False,
    doubted: Collection[str] = (),
) -> tuple[str, tuple[ChoiceTrial, ...]]:
    """The candidate whose answers are nearest to the float network's, and all that were tried.

    Args:
        candidates: Networks by name; of equal ones the first wins.
        exact: The float network's answers, to the images that count.
        images: How many of those to look at, the first ones.
        halving: Whether less promising candidates are judged on fewer.
        doubted: Candidates that win over the others only by more than chance explains.
    """
    left, judged = list(candidates), dict[str, _Judged]()
    for until, kept in _rounds(len(candidates), exact.first, images, halving=halving):
        for name in left:
            judged[name] = exact.judge(candidates[name], until, judged.get(name))
        left = _best(left, judged)[:kept] if kept < len(left) else left
        left = _hopeful(left, judged, doubted)
    chosen = _beyond_chance(_best(left, judged), judged, doubted)
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


def _rounds(
    candidates: int, first: int, images: int, *, halving: bool
) -> Sequence[tuple[int, int]]:
    """How many images are seen by the end of each round, and how many candidates stay."""
    if not halving or candidates <= 2:
        return [(min(first, images), candidates), (images, candidates)]
    half = max(2, (candidates + 1) // 2)
    return [(min(first, images), half), (min(2 * first, images), 2), (min(3 * first, images), 2)]


def _best(names: Sequence[str], judged: Mapping[str, _Judged]) -> list[str]:
    """Best first; those that lose more answers than typical images gain come last."""
    safest = max((judged[name] for name in names), key=lambda one: one.safety)

    def reckless(one: _Judged) -> bool:
        gained = max(one.score - safest.score, 0.0)
        return safest.safety - one.safety > _MOST_LOST_DB + gained

    return sorted(names, key=lambda name: (reckless(judged[name]), -judged[name].score))


def _hopeful(
    names: Sequence[str], judged: Mapping[str, _Judged], doubted: Collection[str]
) -> list[str]:
    """Those worth a further look: a doubted one that is not even ahead will not win by much."""
    trusted = [judged[name].score for name in names if name not in doubted]
    return [
        name
        for name in names
        if name not in doubted or not trusted or judged[name].score > max(trusted)
    ]


def _beyond_chance(
    best_first: Sequence[str], judged: Mapping[str, _Judged], doubted: Collection[str]
) -> str:
    """The best one, or if it is doubted and might be so by chance, the best that is not."""
    first = best_first[0]
    trusted = [name for name in best_first if name not in doubted]
    if first in trusted or not trusted:
        return first
    gain = judged[first].by_image - judged[trusted[0]].by_image
    if len(gain) > 1 and gain.mean() > _STANDARD_ERRORS * gain.std(ddof=1) / np.sqrt(len(gain)):
        return first
    return trusted[0]


def _compared(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> _Judged:
    pairs = [(x.double(), y.double()) for x, y in zip(found, expected, strict=True)]
    return _Judged(
        np.stack([(x - y).square().sum(1).numpy() for x, y in pairs]),
        np.stack([y.square().sum(1).numpy() for _, y in pairs]),
    )
