"""Executions of the artefacts against the reference integers: checks and distances."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.fidelity import ParityMeter, ParityResult
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, Head
from eightbit.benchmarks.accuracy.parity import (
    FINITE,
    NO_CRASH,
    REFERENCE,
    allowed_disagreement,
    different_predictions,
    pair_name,
    predictions,
    truly_different,
)
from eightbit.benchmarks.artifact.formats import runtimes
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.spec import Task

# First words of execution names.
_ORDER: Final = (*(runtime.word for runtime in runtimes().values()), REFERENCE)

SAME_PREDICTIONS: Final = "every execution predicts like the reference"
SAME_OUTPUTS: Final = "every execution gives the numbers of the reference"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The gate's checks, and the parity of each pair of finite executions, in LSB."""

    checks: tuple[Check, ...]
    parity: Mapping[str, ParityResult]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def compare(
    logits: Mapping[str, FloatArray],
    *,
    output_scale: float,
    head: Head = SINGLE_LABEL,
    excused: Collection[str] = (),
    others: Collection[str] = (),
    crashed: Collection[str] = (),
    synthetic: bool = False,
) -> Comparison:
    """Compare executions with the reference and with each other.

    Args:
        logits: float32, shape (N, classes), by execution, ``REFERENCE`` included; where N is
            smaller, of the first images.
        output_scale: Scale of the logits (one LSB).
        head: How they are read.
        excused: Executions whose predictions are measured but fail no check.
        others: Executions by runtimes that no artefact was written for: likewise, and unnamed.
        crashed: Executions whose process died.
        synthetic: Whether the images are, so that predictions can fail no check.
    """
    broken = {name: _not_finite(found) for name, found in logits.items() if _not_finite(found)}
    sound = {name: found for name, found in logits.items() if name not in broken}
    pairs = combinations(sorted(sound, key=_place), 2)
    parity = {
        pair_name(first, second): _parity(sound[first], sound[second], output_scale, head)
        for first, second in pairs
    }
    checks = [_finite(logits, broken)]
    died = ", ".join(sorted(crashed))
    # There in any case, so that a later run in which none dies takes its place.
    checks.append(Check(name=NO_CRASH, passed=not died, detail=f"died: {died or 'none'}"))
    if not synthetic and REFERENCE in sound:
        judged = {
            name: parity[pair_name(name, REFERENCE)]
            for name in sound
            if name != REFERENCE and name not in excused and name not in others
        }
        unpromised = [name for name in sound if name in excused]
        if judged:
            same = _same_outputs if head.task is Task.REGRESSION else _same_predictions
            checks += same(judged, unpromised)
    if synthetic:
        checks = [check.model_copy(update={"synthetic": True}) for check in checks]
    return Comparison(checks=tuple(checks), parity=parity)


def _place(name: str) -> tuple[int, str]:
    """Sort key that orders the names of a pair alike in every run."""
    return _ORDER.index(name.partition("_")[0]), name


def _not_finite(logits: FloatArray) -> int:
    return int(np.count_nonzero(~np.isfinite(logits)))


def _parity(first: FloatArray, second: FloatArray, output_scale: float, head: Head) -> ParityResult:
    both = min(len(first), len(second))
    meter = ParityMeter(output_scale, head)
    meter.update(first[:both], second[:both])
    return meter.result()


def _finite(logits: Mapping[str, FloatArray], broken: Mapping[str, int]) -> Check:
    found = ", ".join(f"{count} of {name}'s {logits[name].size}" for name, count in broken.items())
    return Check(
        name=FINITE,
        passed=not broken,
        detail=f"{found or f'0 of {sum(one.size for one in logits.values()):,}'} are NaN or "
        "infinite",
    )


def _same_predictions(
    judged: Mapping[str, ParityResult], excused: Sequence[str]
) -> Sequence[Check]:
    """The check on predictions; names the executions that fail it, or else the furthest one."""
    different = {name: truly_different(result) for name, result in judged.items()}
    failing = [
        name
        for name, result in judged.items()
        if different[name] > max(1.0, allowed_disagreement(name) * predictions(result))
    ]
    furthest = max(
        judged, key=lambda name: different_predictions(judged[name]) / predictions(judged[name])
    )
    shown = failing or [furthest] * (different_predictions(judged[furthest]) > 0)
    found = ", ".join(
        f"{name}: {_in_words(judged[name])}, {allowed_disagreement(name):.0%} allowed"
        for name in shown
    )
    check = Check(
        name=SAME_PREDICTIONS,
        passed=not failing,
        detail=(found or "none differs") + _not_promised(excused),
    )
    return (check,)


def _in_words(result: ParityResult) -> str:
    found = f"{different_predictions(result)} of {predictions(result)} differ"
    close = result.close_calls
    return f"{found}, {close} of them by one last bit" if close else found


def _same_outputs(judged: Mapping[str, ParityResult], excused: Sequence[str]) -> Sequence[Check]:
    """The check on the outputs of a regression; none where they are the same for all images."""
    apart = {name: 1 - result.r2 for name, result in judged.items() if result.r2 is not None}
    if not apart:
        return ()
    failing = [name for name, share in apart.items() if share > allowed_disagreement(name)]
    found = ", ".join(
        f"{name}: R² {1 - apart[name]:.4f}, {1 - allowed_disagreement(name):.2f} expected"
        for name in failing or [max(apart, key=lambda name: apart[name])]
    )
    check = Check(name=SAME_OUTPUTS, passed=not failing, detail=f"{found}{_not_promised(excused)}")
    return (check,)


def _not_promised(excused: Sequence[str]) -> str:
    return f"; not promised by the target: {', '.join(excused)}" if excused else ""
