"""Accuracy, fidelity and parity of a bundle's artefacts, in one pass over labelled images."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from eightbit.benchmarks.accuracy import ClassificationTally
from eightbit.benchmarks.contract import Runner
from eightbit.benchmarks.fidelity import FidelityMeter, FidelityResult, ParityMeter, ParityResult
from eightbit.benchmarks.report import AccuracySection
from eightbit.quantize.images import Batch
from eightbit.quantize.verification import FLOAT

BATCH_SIZE = 32


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


def evaluate_runners(
    runners: Mapping[str, Runner],
    batches: Iterable[Batch],
    labels: Mapping[str, int] | None,
    *,
    output_scale: float,
    advance: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run every image through the float model and the artefacts, and compare the answers.

    Args:
        runners: INT8 artefacts by name, and the float model as ``FLOAT``.
        batches: The images.
        labels: Name of the image to class index; None where the classes are not known.
        output_scale: Scale of the logits: one last bit.
        advance: Called after every batch with the number of images in it.

    Raises:
        InputError: A logit is not finite.
    """
    candidates = [name for name in runners if name != FLOAT]
    tally = ClassificationTally(candidates)
    fidelity = {name: FidelityMeter() for name in candidates}
    parity = {pair: ParityMeter(output_scale) for pair in combinations(candidates, 2)}
    for batch in batches:
        logits = {name: runner(batch.pixels) for name, runner in runners.items()}
        reference = logits.pop(FLOAT)
        truth = None if labels is None else [labels[name] for name in batch.names]
        tally.update(reference, logits, truth, batch.names)
        for name, meter in fidelity.items():
            meter.update(reference, logits[name])
        for (first, second), pair_meter in parity.items():
            pair_meter.update(logits[first], logits[second])
        advance(len(batch.names))
    return Evaluation(
        accuracy=AccuracySection(
            fp32=tally.reference_result(),
            **{name: tally.candidate_result(name) for name in candidates},
        ),
        fidelity={name: meter.result() for name, meter in fidelity.items()},
        parity={"_vs_".join(pair): meter.result() for pair, meter in parity.items()},
    )
