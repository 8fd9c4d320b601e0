"""Every execution against every other one, as a coloured square."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import (
    MAX_EXECUTION_DISAGREEMENT,
    MAX_OPENVINO_DISAGREEMENT,
    VERSUS,
    allowed_disagreement,
    predictions,
    truly_different,
)
from eightbit.benchmarks.report.figures import determination, percent
from eightbit.models.plain_text import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One pair: its grade, the share of identical logits, and the rest of what is known.

    The grade is "same", "near", "far", "other" or "none".
    """

    grade: str
    text: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityGrid:
    """A square of cells by execution, and what the grade "other" means."""

    names: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    other: str


_ITSELF: Final = Cell(grade="none", text="", detail="itself")
_OTHER_NUMBERS: Final = (
    f"R² below {1 - MAX_EXECUTION_DISAGREEMENT:.2f} (OpenVINO "
    f"{1 - MAX_OPENVINO_DISAGREEMENT:.2f}), which fails the verification."
)
_UNKNOWN: Final = Cell(grade="none", text="", detail="not measured")


def parity_grid(parity: Mapping[str, ParityResult]) -> ParityGrid | None:
    """The square of all pairs; None where fewer than three executions were compared."""
    pairs: dict[frozenset[str], ParityResult] = {}
    names: set[str] = set()
    for key, result in parity.items():
        first, versus, second = key.partition(VERSUS)
        if versus:
            pairs[frozenset((first, second))] = result
            names |= {first, second}
    if len(names) < 3:
        return None
    ordered = tuple(sorted(names))
    rows = tuple(
        tuple(
            _ITSELF if row == column else _cell(row, column, pairs.get(frozenset((row, column))))
            for column in ordered
        )
        for row in ordered
    )
    return ParityGrid(
        names=ordered,
        rows=rows,
        other=_OTHER_NUMBERS
        if not any(one.decisions for one in parity.values())
        else f"another class for more than {percent(MAX_EXECUTION_DISAGREEMENT, 0)} of the images "
        f"(OpenVINO {percent(MAX_OPENVINO_DISAGREEMENT, 0)}) and more than one of them, which "
        "fails the verification.",
    )


def _cell(first: str, second: str, result: ParityResult | None) -> Cell:
    if result is None:
        return _UNKNOWN
    return Cell(
        grade=_grade(result, allowed_disagreement(first, second)),
        text=percent(result.identical_fraction, 1),
        detail=f"{first} and {second}: {percent(result.identical_fraction)} identical, at most "
        f"{counted(result.max_lsb, 'last bit')} apart, {_likeness(result)}",
    )


def _likeness(result: ParityResult) -> str:
    images = counted(result.n, "image")
    if not result.decisions:
        return f"R² {determination(result.r2)} over {images}"
    if result.decisions == 1:
        return f"same class for {percent(result.top1_agreement)} of {images}"
    return f"{percent(result.top1_agreement)} of the decisions on {images} the same"


def _grade(result: ParityResult, allowed: float) -> str:
    if not result.decisions:
        other = result.r2 is not None and 1 - result.r2 > allowed
    else:
        other = truly_different(result) > max(1.0, allowed * predictions(result))
    if other:
        return "other"
    return "same" if result.max_lsb == 0 else "near" if result.max_lsb == 1 else "far"
