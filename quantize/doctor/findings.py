"""What an examination says: one verdict, a few facts, and findings with what to do about them."""

from enum import StrEnum

from eightbit.models.spec import FrozenModel


class Severity(StrEnum):
    """How much a finding matters; worst first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(FrozenModel):
    """One thing that was found.

    Attributes:
        severity: error: it does not run, or not as it says; warning: slower or less exact than
            need be; info: good to know.
        what: What was found.
        why: What it comes from, or what follows.
        remedy: What to do; empty where there is nothing to do.
    """

    severity: Severity
    what: str
    why: str = ""
    remedy: str = ""


class Examination(FrozenModel):
    """What was found about a machine, or about a file on this machine.

    Attributes:
        verdict: One sentence.
        facts: Names and values.
        findings: Worst first.
    """

    verdict: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sorted by severity; those of the same severity keep their order."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


def count(number: int, noun: str) -> str:
    """1, "channel" as "1 channel", 1200 as "1,200 channels"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
