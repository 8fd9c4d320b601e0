"""The result of an examination: a verdict, facts, and findings with remedies."""

from enum import StrEnum

from eightbit.models.spec import FrozenModel


class Severity(StrEnum):
    """How much a finding matters; worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(FrozenModel):
    """An observation, its cause or consequence, and a remedy, empty where nothing is to be done.

    Attributes:
        severity: error: does not run, or computes something else; warning: slower or less exact
            than need be; info: good to know.
    """

    severity: Severity
    what: str
    why: str = ""
    remedy: str = ""


class Examination(FrozenModel):
    """A one-sentence verdict, facts as (name, value), and findings sorted worst first."""

    verdict: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Stable sort by severity."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def count(number: int, noun: str) -> str:
    """1, "channel" as "1 channel", 1200 as "1,200 channels"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
