"""What a comparison with a baseline found, number by number."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from eightbit.benchmarks.report.figures import NOTHING, Table


class Verdict(StrEnum):
    """What became of one comparison; the value is what a table shows."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One number of a report beside that of its baseline.

    Attributes:
        what: Which number.
        baseline: As it was.
        now: As it is.
        loss: How much worse it is, with its interval.
        allowed: How much worse it may be.
        verdict: What follows.
        reason: Why it failed or was not compared.
        unsure: Whether its interval is too wide to show a loss that is not allowed.
    """

    what: str
    baseline: str
    now: str = NOTHING
    loss: str = NOTHING
    allowed: str = NOTHING
    verdict: Verdict
    reason: str = ""
    unsure: bool = False

    def line(self) -> str:
        """What failed, for a log."""
        return f"regression: {self.what}: {self.reason}"


def judged(
    what: str,
    baseline: str,
    now: str,
    *,
    failed: bool,
    loss: str = NOTHING,
    allowed: str = NOTHING,
    reason: str = "",
    unsure: bool = False,
) -> Finding:
    """A comparison that could be made.

    Args:
        what: See `Finding`.
        baseline: The same.
        now: The same.
        failed: Whether it is a regression.
        loss: See `Finding`.
        allowed: The same.
        reason: Why it failed; made of the other values by default.
        unsure: See `Finding`.
    """
    if not reason:
        by = "" if loss == NOTHING else f": worse by {loss}, {allowed} allowed"
        reason = f"{now}, {baseline} before{by}"
    return Finding(
        what=what,
        baseline=baseline,
        now=now,
        loss=loss,
        allowed=allowed,
        verdict=Verdict.FAILED if failed else Verdict.PASSED,
        reason=reason if failed else "",
        unsure=unsure and not failed,
    )


def missing(what: str, baseline: str, why: str = "") -> Finding:
    """Something that the baseline has and the report has not, which is no way to pass.

    Args:
        what: See `Finding`.
        baseline: The same.
        why: Why the report has not, where it says so.
    """
    return Finding(
        what=what,
        baseline=baseline,
        verdict=Verdict.FAILED,
        reason=f"{baseline} before, not measured now{why and ': '}{why}",
    )


def regression_lines(findings: Sequence[Finding]) -> tuple[str, ...]:
    """One line per regression; empty if there is none."""
    return tuple(finding.line() for finding in findings if finding.verdict is Verdict.FAILED)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """Of all comparisons together: what compared nothing has not passed."""
    if regression_lines(findings):
        return Verdict.FAILED
    compared = any(finding.verdict is not Verdict.NOT_COMPARED for finding in findings)
    return Verdict.PASSED if compared else Verdict.NOT_COMPARED


def not_compared(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What could not be compared and why, each once."""
    reasons = (f.reason for f in findings if f.verdict is Verdict.NOT_COMPARED)
    return tuple(dict.fromkeys(reasons))


def regression_table(findings: Sequence[Finding], name: str) -> Table:
    """Every comparison with its verdict.

    Args:
        findings: Of `find_regressions`.
        name: What was compared with the baseline.
    """
    return Table(
        title=f"{name} against the baseline: {verdict_of(findings)}",
        columns=("what", "verdict", "baseline", "now", "worse by [95 %]", "allowed"),
        rows=tuple((f.what, f.verdict, f.baseline, f.now, f.loss, f.allowed) for f in findings),
        text_columns=2,
        note="A loss fails if it is larger than allowed and its interval lies above zero."
        + "".join(f" Not compared: {reason}." for reason in not_compared(findings))
        + _unsure(findings),
    )


def _unsure(findings: Sequence[Finding]) -> str:
    unsure = [finding.what for finding in findings if finding.unsure]
    if not unsure:
        return ""
    return (
        f" Too uncertain to show a loss that is just not allowed: {'; '.join(unsure)}. Measure on "
        "more images, or longer."
    )
