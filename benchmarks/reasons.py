"""What speaks for shipping, and what against it."""

from dataclasses import dataclass
from enum import StrEnum

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.environment import Environment


class Advice(StrEnum):
    """What a reason speaks for."""

    SHIP = "good"
    CARE = "care"
    STOP = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that was found, and what it speaks for."""

    advice: Advice
    text: str


def ship(text: str) -> Reason:
    """It speaks for shipping."""
    return Reason(advice=Advice.SHIP, text=text.rstrip())


def care(text: str) -> Reason:
    """Somebody should look at it."""
    return Reason(advice=Advice.CARE, text=text.rstrip())


def stop(text: str) -> Reason:
    """It must not be shipped."""
    return Reason(advice=Advice.STOP, text=text.rstrip())


def elsewhere(report: Report, environment: Environment | None) -> str:
    """Where a section was measured, to follow a sentence; empty if where everything else was.

    Args:
        report: What the section is part of.
        environment: Of the section.
    """
    if environment is None or environment == report.environment:
        return ""
    if report.environment is not None and environment.cpu == report.environment.cpu:
        return "measured with other software than the rest"
    return f"measured on {environment.cpu}"
