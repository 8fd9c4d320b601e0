"""How much worse an artefact is in one report than in another, and how well that is known."""

import math
from dataclasses import dataclass

from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.accuracy.tally import AccuracyResult, CandidateAccuracy, Flip

# Differences of decimal fractions that floats cannot hold: far below anything that is measured.
_DIGITS = 9

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """A difference between two reports, with its 95 % interval if known; positive is worse.

    `paired` says whether the images were compared one by one.
    """

    value: float
    interval: Interval | None = None
    paired: bool = False

    def beyond(self, allowed: float) -> bool:
        """Whether it is larger than what is allowed, and no mere chance."""
        chance = self.interval is not None and round(self.interval[0], _DIGITS) <= 0
        return round(self.value, _DIGITS) > allowed and not chance

    def hides(self, allowed: float) -> bool:
        """Whether a loss a little larger than what is allowed would have passed for chance."""
        return self.interval is not None and self.value - self.interval[0] > allowed


def accuracy_loss(new: CandidateAccuracy, old: CandidateAccuracy, *, same_answers: bool) -> Loss:
    """How much more of the float model's accuracy is lost, in percentage points.

    Where both have labels it is the difference of the two drops, which is that of the two INT8
    accuracies where the float model is the same; else that of the agreements with float.

    Where both reports list every flip and the same float model answered the same images alike
    (`same_answers`), the loss has a paired interval (see `drop_interval_pp`). Else the two are
    taken for independent: the interval comes from their own (MOVER; G. Y. Zou and A. Donner,
    "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27 (2008), 1693-1702). On the same images that is too wide rather than too narrow:
    their errors go together.
    """
    labelled = new.drop_pp is not None and old.drop_pp is not None
    counts = _lost_and_won(new, old, labelled=labelled) if same_answers else None
    if counts is not None:
        lost, won = counts
        return Loss(
            value=100 * (lost - won) / new.n,
            interval=drop_interval_pp(lost, won, new.n),
            paired=True,
        )
    drop, interval = drop_with_interval(new, labelled=labelled)
    old_drop, old_interval = drop_with_interval(old, labelled=labelled)
    return Loss(value=drop - old_drop, interval=difference(drop, interval, old_drop, old_interval))


def top1_loss(new: AccuracyResult, old: AccuracyResult) -> Loss:
    """How many percentage points of its own top-1 are lost, whatever became of the float model.

    The two are taken for independent: R. G. Newcombe, "Interval estimation for the difference
    between independent proportions", Statistics in Medicine 17 (1998), 873-890, his method 10. On
    the same images that is too wide rather than too narrow.

    Raises:
        ValueError: One of them was measured without labels.
    """
    if new.top1 is None or old.top1 is None:
        raise ValueError("expected two accuracies with labels")
    now, before = 100 * (1 - new.top1), 100 * (1 - old.top1)
    interval = difference(now, _wilson_pp(now, new.n), before, _wilson_pp(before, old.n))
    return Loss(value=now - before, interval=interval)


def speed_loss(
    new: float, new_interval: Interval | None, old: float, old_interval: Interval | None
) -> Loss:
    """Which fraction of its speedup over float in the same runtime was lost.

    Milliseconds differ between machines; the ratio to a float model that was measured in turns with
    it differs less. The two are taken for independent (MOVER), on a scale of logarithms.
    """
    value = 1 - new / old
    if new_interval is None or old_interval is None:
        return Loss(value=value)
    low, high = difference(
        math.log(new), _logarithms(new_interval), math.log(old), _logarithms(old_interval)
    )
    return Loss(value=value, interval=(1 - math.exp(high), 1 - math.exp(low)))


def drop_with_interval(accuracy: CandidateAccuracy, *, labelled: bool) -> tuple[float, Interval]:
    """Drop of top-1, or of agreement from 100 %, in percentage points with its 95 % interval."""
    if labelled and accuracy.drop_pp is not None and accuracy.drop_ci95_pp is not None:
        return accuracy.drop_pp, accuracy.drop_ci95_pp
    flips = round((1 - accuracy.top1_agreement) * accuracy.n)
    return 100 * flips / accuracy.n, drop_interval_pp(flips, 0, accuracy.n)


def difference(
    first: float, first_interval: Interval, second: float, second_interval: Interval
) -> Interval:
    """Confidence interval of the difference of two independent numbers, from their own (MOVER)."""
    below = math.hypot(max(first - first_interval[0], 0), max(second_interval[1] - second, 0))
    above = math.hypot(max(first_interval[1] - first, 0), max(second - second_interval[0], 0))
    return first - second - below, first - second + above


def _wilson_pp(share_pp: float, images: int) -> Interval:
    """95 % score interval of a share of the images, in percentage points (E. B. Wilson, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(round(share_pp / 100 * images), images).proportion_ci(method="wilson")
    return 100 * float(found.low), 100 * float(found.high)


def _lost_and_won(
    new: CandidateAccuracy, old: CandidateAccuracy, *, labelled: bool
) -> tuple[int, int] | None:
    """Images that only the old artefact gets right, and those that only the new one does.

    An image that neither report lists is answered by both as by the float model. None where a
    report does not list every flip, or the two contradict each other.
    """
    news, olds = ({flip.image: flip for flip in side.flips} for side in (new, old))
    if len(news) != new.flip_count or len(olds) != old.flip_count or new.n != old.n:
        return None
    listed, shared = news.keys() | olds.keys(), news.keys() & olds.keys()
    if len(listed) > new.n or any(_facts(news[image]) != _facts(olds[image]) for image in shared):
        return None

    def right(flip: Flip | None, known: Flip) -> bool:
        answer = known.float_class if flip is None else flip.int8_class
        return answer == (known.label if labelled else known.float_class)

    lost = won = 0
    for image in listed:
        known = news.get(image) or olds[image]
        now, before = right(news.get(image), known), right(olds.get(image), known)
        lost += before and not now
        won += now and not before
    return lost, won


def _facts(flip: Flip) -> tuple[int | None, int]:
    """Label and float class, which do not depend on the artefact."""
    return flip.label, flip.float_class


def _logarithms(interval: Interval) -> Interval:
    return math.log(interval[0]), math.log(interval[1])
