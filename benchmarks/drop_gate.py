"""The gate on the drop: one rule and one wording, for the exit code and for the page."""

from dataclasses import dataclass

from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.report.figures import upper_end


@dataclass(frozen=True, kw_only=True, slots=True)
class DropGate:
    """What the gate says of one artefact.

    Attributes:
        passed: Whether the drop has been shown to be within the bound.
        text: What decided, such as "the drop's 95 % interval ends at 0.51 pp, 0.5 allowed".
    """

    passed: bool
    text: str


def drop_gate(result: CandidateAccuracy, allowed_pp: float) -> DropGate | None:
    """Hold the upper end of a drop's 95 % confidence interval against a bound.

    Args:
        result: Of the artefact.
        allowed_pp: Largest drop that is accepted, in percentage points.

    Returns:
        None where the drop is not known, for want of labels.
    """
    if result.drop_ci95_pp is None:
        return None
    end_pp = result.drop_ci95_pp[1]
    shown = upper_end(end_pp, allowed_pp)
    return DropGate(
        passed=end_pp <= allowed_pp,
        text=f"the drop's 95 % interval ends at {shown} pp, {allowed_pp:g} allowed",
    )
