"""Runtimes that no artefact was written for: what they make of it, and why where that is known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.fidelity import ParityMeter
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, Head
from eightbit.benchmarks.accuracy.parity import REFERENCE, OtherRuntime, Verdict, verdict_of
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.quantize.verify.executions import Executed

# No logit of a trained network comes near, and distances in last bits can still be told.
_SENSIBLE: Final = 1e6

# By the name of an execution and the start of its version: why it is not right.
KNOWN: Final = {
    ("opencv_batch4", "4."): "OpenCV 4 adds the classifier's int32 bias to the first image of a "
    "batch alone: give it one image at a time, or take OpenCV 5",
}


def judged(
    executed: Executed,
    wanted: Sequence[Execution],
    *,
    output_scale: float,
    head: Head = SINGLE_LABEL,
) -> dict[str, OtherRuntime]:
    """What each of these executions makes of the file, by its name.

    `output_scale` is the scale of the logits (one last bit), `head` how they are read.
    """
    return {one.name: _judged(one, executed, ParityMeter(output_scale, head)) for one in wanted}


def promised(executed: Executed, others: Sequence[Execution]) -> Executed:
    """The results without what would fail a check of the artefact: failures and broken logits.

    Other logits stay, since their distance is told.
    """
    names = {one.name for one in others}
    return replace(
        executed,
        logits={
            name: found
            for name, found in executed.logits.items()
            if name not in names or not _broken(found)
        },
        failed={name: why for name, why in executed.failed.items() if name not in names},
        crashed=executed.crashed - names,
    )


def _judged(execution: Execution, executed: Executed, meter: ParityMeter) -> OtherRuntime:
    name = execution.name
    number = _version(execution.runtime.distribution)
    if name in executed.failed:
        return OtherRuntime(version=number, verdict=Verdict.FAILED, reason=executed.failed[name])
    logits, reference = executed.logits[name], executed.logits[REFERENCE]
    broken = _broken(logits)
    verdict, said = Verdict.WRONG, f"{broken} of {logits.size} logits are no sensible numbers"
    if not broken:
        both = min(len(logits), len(reference))
        meter.update(reference[:both], logits[:both])
        verdict, said = verdict_of(meter.result(), name), ""
    right = verdict is Verdict.RIGHT
    return OtherRuntime(
        version=number,
        verdict=verdict,
        ms_per_image=1e3 * executed.seconds[name] / len(logits),
        reason="" if right else _known(name, number, KNOWN) or said,
    )


def _broken(logits: FloatArray) -> int:
    """How many are NaN or infinite, or memory that nobody wrote, which is as good as infinite."""
    return int(np.count_nonzero(~(np.abs(logits) < _SENSIBLE)))


def _known(name: str, number: str, causes: Mapping[tuple[str, str], str]) -> str:
    return next(
        (why for (one, start), why in causes.items() if one == name and number.startswith(start)),
        "",
    )


def _version(distribution: str) -> str:
    """Of an installed package; another one may bring the same module."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "of unknown version"
