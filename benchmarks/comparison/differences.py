"""How much worse an artefact is in one report than in another, and how well that is known."""

import math
from dataclasses import dataclass

from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel, Judged
from eightbit.benchmarks.accuracy.paired import drop_interval_pp, share_interval
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy, Flip

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


def score_of(result: Judged) -> float | None:
    """Top-1, accuracy of a binary classifier or mean average precision; None without labels."""
    return result.map if isinstance(result, CandidateMultiLabel) else result.top1


def agreement_of(result: Judged) -> float:
    """Fraction of images of the float model's class, or of decisions that are the same."""
    if isinstance(result, CandidateMultiLabel):
        return 1 - result.changed / result.decisions
    return result.top1_agreement


def accuracy_loss(new: Judged, old: Judged, *, same_answers: bool) -> Loss:
    """How much more of the float model's accuracy, or mAP, is lost, in percentage points.

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
    counts = None
    if same_answers and isinstance(new, CandidateAccuracy) and isinstance(old, CandidateAccuracy):
        counts = _lost_and_won(new, old, labelled=labelled)
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


def score_loss(new: Judged, old: Judged) -> Loss:
    """How many percentage points of its own score are lost, whatever became of the float model.

    Of mean average precision no interval is known.

    The two are taken for independent: R. G. Newcombe, "Interval estimation for the difference
    between independent proportions", Statistics in Medicine 17 (1998), 873-890, his method 10. On
    the same images that is too wide rather than too narrow.

    Raises:
        ValueError: One of them was measured without labels.
    """
    score, old_score = score_of(new), score_of(old)
    if score is None or old_score is None:
        raise ValueError("expected two accuracies with labels")
    now, before = 100 * (1 - score), 100 * (1 - old_score)
    if isinstance(new, CandidateMultiLabel):
        return Loss(value=now - before)
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


def drop_with_interval(accuracy: Judged, *, labelled: bool) -> tuple[float, Interval]:
    """Drop of the score, or of agreement from 100 %, in percentage points with its interval."""
    if labelled and accuracy.drop_pp is not None and accuracy.drop_ci95_pp is not None:
        return accuracy.drop_pp, accuracy.drop_ci95_pp
    if isinstance(accuracy, CandidateMultiLabel):
        low, high = accuracy.changed_ci95
        return 100 * (1 - agreement_of(accuracy)), (100 * low, 100 * high)
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
    """95 % score interval of a share of the images, in percentage points."""
    low, high = share_interval(round(share_pp / 100 * images), images)
    return 100 * low, 100 * high


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
