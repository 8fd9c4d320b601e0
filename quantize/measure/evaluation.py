"""Accuracy, fidelity and parity of a bundle's artefacts, in one pass over images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from eightbit.benchmarks.accuracy.fidelity import (
    FidelityMeter,
    FidelityResult,
    ParityMeter,
    ParityResult,
)
from eightbit.benchmarks.accuracy.parity import pair_name
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK, ClassificationTally
from eightbit.benchmarks.report.document import AccuracySection, Check
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.quantize.verify.verification import FLOAT


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the evaluation images said.

    Attributes:
        accuracy: Right answers, drop and flips; without labels agreement only.
        fidelity: Each INT8 artefact against the float model, by name.
        parity: INT8 artefacts against each other, by pair.
    """

    accuracy: AccuracySection
    fidelity: Mapping[str, FidelityResult]
    parity: Mapping[str, ParityResult]


class Evaluator:
    """Compares what the float model and the artefacts answer, batch by batch.

    Args:
        models: Names of the INT8 artefacts, and of the float model as ``FLOAT``.
        labels: Name of the image to class index; None where the classes are not known.
        output_scale: Scale of the logits: one last bit.
    """

    def __init__(
        self, models: Sequence[str], labels: Mapping[str, int] | None, *, output_scale: float
    ) -> None:
        self._candidates = [name for name in models if name != FLOAT]
        self._labels = labels
        self._tally = ClassificationTally(self._candidates)
        self._fidelity = {name: FidelityMeter() for name in self._candidates}
        self._parity = {
            pair: ParityMeter(output_scale) for pair in combinations(self._candidates, 2)
        }

    def update(self, names: Sequence[str], logits: Mapping[str, FloatArray]) -> None:
        """Counts one batch.

        Args:
            names: Of the images, N of them.
            logits: Of every model, by name: float32, shape (N, classes), finite.

        Raises:
            InputError: A logit is not finite, or the shapes differ.
        """
        reference = logits[FLOAT]
        found = {name: logits[name] for name in self._candidates}
        truth = None if self._labels is None else [self._labels[name] for name in names]
        self._tally.update(reference, found, truth, names)
        for name, meter in self._fidelity.items():
            meter.update(reference, found[name])
        for (first, second), pair_meter in self._parity.items():
            pair_meter.update(found[first], found[second])

    def result(self) -> Evaluation:
        """What all batches so far said.

        Raises:
            ValueError: There was none.
        """
        return Evaluation(
            accuracy=AccuracySection(
                fp32=self._tally.reference_result(),
                **{name: self._tally.candidate_result(name) for name in self._candidates},
            ),
            fidelity={name: meter.result() for name, meter in self._fidelity.items()},
            parity={pair_name(*pair): meter.result() for pair, meter in self._parity.items()},
        )


def failed_finite_check(logits: Mapping[str, FloatArray], first: str) -> Check | None:
    """The check that a batch fails whose logits are not all numbers; None where they are.

    Args:
        logits: Of every model, by name.
        first: Name of the batch's first image.
    """
    bad = {name: int(np.count_nonzero(~np.isfinite(found))) for name, found in logits.items()}
    if not any(bad.values()):
        return None
    counts = ", ".join(f"{name} {count}" for name, count in bad.items() if count)
    total = next(iter(logits.values())).size
    return Check(
        name=FINITE_CHECK,
        passed=False,
        detail=f"NaN or infinite, of {total} logits from {first} on: {counts}; stopped there",
    )
