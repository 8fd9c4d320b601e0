"""The verdict on a drop: significant or not, and how many images would show it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel, Judged
from eightbit.benchmarks.accuracy.paired import SIGNIFICANT, images_to_see
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.report.figures import interval, percent, probability, upper_end
from eightbit.models.plain_text import counted

SEEN_PP: Final = 0.1  # the drop that `Verdict.power` is about


class VerdictKind(StrEnum):
    """Kinds of verdict on a drop."""

    UNKNOWN = "unknown"
    """There are no labels."""
    INDISTINGUISHABLE = "indistinguishable"
    """The drop may as well be zero."""
    BORDERLINE = "borderline"
    """The interval leaves out zero, but the exact test does not."""
    DROP = "drop"
    """INT8 is right less often."""
    GAIN = "gain"
    """INT8 is right more often."""
    IMPLAUSIBLE = "implausible"
    """The float model is not plausible: a drop against it says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The verdict on one artefact, in parts that a sentence is made of.

    Attributes:
        phrase: The kind in a few words, to follow the figures.
        finding: The phrase with its reason, to follow the figures.
        power: How many images show a small drop, as a sentence; empty where there is no need for
            more, or no labels.
    """

    kind: VerdictKind
    phrase: str
    figures: str
    finding: str
    power: str = ""

    @property
    def sentence(self) -> str:
        """The figures and what they say."""
        return f"{self.figures}: {self.finding}."


def verdict(result: Judged, bound_pp: float | None = None, *, plausible: bool = True) -> Verdict:
    """The verdict on the drop of an artefact, which says nothing if float is not `plausible`.

    A drop or a gain is one only if its interval leaves out zero and the exact test, which is
    stricter with few images, agrees; of mean average precision there is no such test. The
    interval's upper end is shown against `bound_pp`, if any.
    """
    if isinstance(result, CandidateMultiLabel):
        return _of_multi_label(result, bound_pp)
    images = counted(result.n, "image")
    if result.drop_pp is None or result.drop_ci95_pp is None:
        agreeing = result.n - result.flip_count
        return Verdict(
            kind=VerdictKind.UNKNOWN,
            phrase="without labels a drop cannot be told",
            figures=f"INT8 gives the float model's class to {agreeing:,} of {images} "
            f"({percent(result.top1_agreement)})",
            finding="without labels a drop cannot be told",
        )
    figures = f"Drop {interval(result.drop_pp, result.drop_ci95_pp, bound_pp)}"
    if not plausible:
        phrase = "a drop says nothing, since the float model is not plausible on these images"
        return Verdict(kind=VerdictKind.IMPLAUSIBLE, phrase=phrase, figures=figures, finding=phrase)
    kind = _kind(result.drop_ci95_pp, result.mcnemar_p)
    phrase = f"{_WORDS[kind]} on {images}"
    return Verdict(
        kind=kind,
        phrase=phrase,
        figures=figures,
        finding=f"{phrase}{_because(kind, result)}",
        power="" if kind in (VerdictKind.DROP, VerdictKind.GAIN) else _power(result),
    )


def _of_multi_label(result: CandidateMultiLabel, bound_pp: float | None) -> Verdict:
    if result.drop_pp is None or result.drop_ci95_pp is None:
        same, unknown = result.decisions - result.changed, "without labels a drop cannot be told"
        return Verdict(
            kind=VerdictKind.UNKNOWN,
            phrase=unknown,
            figures=f"INT8 decides like the float model in {same:,} of "
            f"{counted(result.decisions, 'decision')} ({percent(same / result.decisions)})",
            finding=unknown,
        )
    kind = _kind(result.drop_ci95_pp, None)
    phrase = f"{_WORDS[kind]} on {counted(result.n, 'image')}"
    alike = "" if result.changed else ", on which both decide the same"
    why = _BECAUSE.get(kind, alike)
    return Verdict(
        kind=kind,
        phrase=phrase,
        figures=f"Drop {interval(result.drop_pp, result.drop_ci95_pp, bound_pp)}",
        finding=f"{phrase}{why}",
    )


_BECAUSE: Final = {
    VerdictKind.DROP: ", its 95 % interval lies above zero",
    VerdictKind.GAIN: ", its 95 % interval lies below zero",
}

_WORDS: Final = {
    VerdictKind.INDISTINGUISHABLE: "indistinguishable from zero",
    VerdictKind.BORDERLINE: "too close to call",
    VerdictKind.DROP: "a real drop",
    VerdictKind.GAIN: "a real gain",
}


def _kind(ci95_pp: tuple[float, float], mcnemar_p: float | None) -> VerdictKind:
    low, high = ci95_pp
    if low <= 0 <= high:
        return VerdictKind.INDISTINGUISHABLE
    if mcnemar_p is not None and mcnemar_p >= SIGNIFICANT:
        return VerdictKind.BORDERLINE
    return VerdictKind.DROP if low > 0 else VerdictKind.GAIN


def _because(kind: VerdictKind, result: CandidateAccuracy) -> str:
    if kind in _BECAUSE:
        return _BECAUSE[kind]
    if kind is VerdictKind.BORDERLINE:
        p_value = probability(result.mcnemar_p)
        return f"; the interval leaves out zero, McNemar's exact test does not (p = {p_value})"
    return "" if result.flip_count else ", to which both give the same classes"


def _power(result: CandidateAccuracy) -> str:
    """How many images it takes to see `SEEN_PP`."""
    if result.broke is None or result.fixed is None:
        return ""
    drop = f"a drop of {SEEN_PP:g} points"
    changed = result.broke + result.fixed
    # A network that drops by so much changes at least as many images.
    least = images_to_see(SEEN_PP, 0)
    most = images_to_see(SEEN_PP, changed / result.n if changed else _highest_share(result.n))
    if result.n >= most:
        return f"So many images show {drop} four times in five."
    if most == least:
        return f"To see {drop} takes at least {_about(least)} images."
    if not changed:
        return (
            f"To see {drop} takes {_about(least)} to {_about(most)} images; as none changed from "
            "right to wrong or back, it cannot be told more closely."
        )
    return f"To see {drop} takes about {_about(most)} images."


def _highest_share(images: int) -> float:
    """Largest share of images that could change without one of so many doing so, at 95 %."""
    return float(1 - SIGNIFICANT ** (1 / images))


def _about(count: int) -> str:
    """59,650 as "60,000": two significant digits."""
    return f"{round(count, 2 - len(str(count))):,}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DropGate:
    """Whether a drop is shown to be within the bound, and the words for what decided."""

    passed: bool
    text: str


def drop_gate(result: Judged, allowed_pp: float) -> DropGate | None:
    """Hold the upper end of a drop's 95 % interval against a bound in pp; None without labels."""
    if result.drop_ci95_pp is None:
        return None
    end_pp = result.drop_ci95_pp[1]
    shown = upper_end(end_pp, allowed_pp)
    return DropGate(
        passed=end_pp <= allowed_pp,
        text=f"the drop's 95 % interval ends at {shown} pp, {allowed_pp:g} allowed",
    )
