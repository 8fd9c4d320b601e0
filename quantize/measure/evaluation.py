"""Accuracy, fidelity and parity of a bundle's artefacts, in one pass over images."""

import base64
import hashlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from eightbit.benchmarks.accuracy.fidelity import (
    FidelityMeter,
    FidelityResult,
    ParityMeter,
    ParityResult,
)
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, Head
from eightbit.benchmarks.accuracy.multi_label import MultiLabelTally
from eightbit.benchmarks.accuracy.parity import pair_name
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK, ClassificationTally
from eightbit.benchmarks.evaluation.crew_pool import open_pool
from eightbit.benchmarks.evaluation.journal import Journal
from eightbit.benchmarks.evaluation.prediction import Prediction, in_chunks
from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.report.document import AccuracySection, MultiLabelSection
from eightbit.benchmarks.report.images import DIGEST_DIGITS, SHOWN, EvaluationSection, WithoutImages
from eightbit.benchmarks.report.plausibility import plausible_check
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import UnusableImage
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.loading import SkippedImage
from eightbit.models.images.sources import ImageSource
from eightbit.models.images.thumbnails import thumbnail
from eightbit.models.spec import Task
from eightbit.quantize.images import LabelledSource, refuse_unusable
from eightbit.quantize.measure.decoding import compare_decodings
from eightbit.quantize.measure.plausibility import PlausibilityMeter
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.verification import FLOAT


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Results on the evaluation images.

    Attributes:
        accuracy: Without labels agreement only; None of a multi-label classifier or regression.
        multi_label: Of a multi-label classifier; without labels changed decisions only.
        fidelity: Each INT8 artefact against the float model.
        parity: INT8 artefacts against each other, by pair.
    """

    accuracy: AccuracySection | None
    multi_label: MultiLabelSection | None
    fidelity: Mapping[str, FidelityResult]
    parity: Mapping[str, ParityResult]


class Evaluator:
    """Compares the INT8 artefacts with the float model (``FLOAT``), batch by batch.

    `labels` maps image names to class indices, `several` for a multi-label `head` to all of them;
    None if unknown. `output_scale` is one LSB.
    """

    def __init__(
        self,
        models: Sequence[str],
        labels: Mapping[str, int] | None,
        *,
        output_scale: float,
        head: Head = SINGLE_LABEL,
        several: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self._candidates = [name for name in models if name != FLOAT]
        self._labels, self._several = labels, several
        self._tally: ClassificationTally | None = None
        self._multi: MultiLabelTally | None = None
        if head.task is Task.MULTI_LABEL:
            self._multi = MultiLabelTally(self._candidates, head=head)
        elif head.task is not Task.REGRESSION:
            self._tally = ClassificationTally(self._candidates, head=head)
        self._fidelity = {name: FidelityMeter(head) for name in self._candidates}
        self._parity = {
            pair: ParityMeter(output_scale, head) for pair in combinations(self._candidates, 2)
        }

    def update(self, names: Sequence[str], logits: Mapping[str, FloatArray]) -> None:
        """Add a batch of N named images; logits by model: float32, shape (N, classes), finite.

        Raises:
            InputError: A logit is not finite, or the shapes differ.
        """
        reference = logits[FLOAT]
        found = {name: logits[name] for name in self._candidates}
        labels, several = self._labels, self._several
        if self._tally is not None:
            truth = None if labels is None else [labels[name] for name in names]
            self._tally.update(reference, found, truth, names)
        if self._multi is not None:
            table = None if several is None else [several[name] for name in names]
            self._multi.update(reference, found, table, names)
        for name, meter in self._fidelity.items():
            meter.update(reference, found[name])
        for (first, second), pair_meter in self._parity.items():
            pair_meter.update(found[first], found[second])

    def result(self) -> Evaluation:
        """The result over all batches.

        Raises:
            ValueError: There was no batch.
        """
        tally, multi, names = self._tally, self._multi, self._candidates
        return Evaluation(
            accuracy=None
            if tally is None
            else AccuracySection(
                fp32=tally.reference_result(),
                **{name: tally.candidate_result(name) for name in names},
            ),
            multi_label=None
            if multi is None
            else MultiLabelSection(
                fp32=multi.reference_result(),
                **{name: multi.candidate_result(name) for name in names},
            ),
            fidelity={name: meter.result() for name, meter in self._fidelity.items()},
            parity={pair_name(*pair): meter.result() for pair, meter in self._parity.items()},
        )


def failed_finite_check(logits: Mapping[str, FloatArray], first: str) -> Check | None:
    """The failed check of a batch (from image `first` on) with non-finite logits, else None."""
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


# Skipped images named in a report.
_SKIPPED: Final = 100


@dataclass(frozen=True, kw_only=True)
class EvaluatedImages:
    """An evaluation, its images, and how many calibration images are among them (``shared``).

    ``metric`` is what the network is judged by, see `Task.metric`.
    """

    evaluation: Evaluation
    section: EvaluationSection
    shared: int
    metric: str

    @property
    def check(self) -> Check | None:
        """Whether the float model is plausible; None where labels do not tell."""
        found = self.section.plausibility
        accuracy = self.evaluation.accuracy
        if found is None or accuracy is None:
            return None
        return plausible_check(found, accuracy.fp32, self.metric)


def evaluate_artifacts(
    models: Mapping[str, Path],
    recipe: Recipe,
    data: LabelledSource,
    stages: Stages,
    *,
    network: Callable[[], nn.Module],
    threads: int,
    calibration: Collection[str] = (),
    journal: Journal | None = None,
    executor: Executor | None = None,
) -> EvaluatedImages | Check:
    """Measure the artefacts against the float model on all images of a source.

    `models` are files by name, the float one as ``FLOAT``; they share `threads`. `network` gives
    the float network in torch, on which alternatives are tried where it does not fit the images.
    `calibration` has the digests of the calibration images, whole or truncated as in a report.
    What `journal` holds is not computed again; None to keep nothing. `executor` has the workers;
    None for processes of this machine.

    Returns:
        The result, or the failed check that ended it: a logit was not finite.

    Raises:
        InputError: No image is usable, or a model cannot be loaded or cannot run them.
        WorkerCrashError: A process that runs the models died.
    """
    run = _Run(tuple(models), recipe, data, stages, calibration)
    if journal is not None:
        run.continue_from(journal)
    failed = run.predict(models, threads, journal, executor)
    if failed is not None:
        return failed
    with torch_threads(threads):
        return run.result(network)


class _Run:
    """One evaluation, chunk by chunk, from a journal or from the models."""

    def __init__(
        self,
        models: Sequence[str],
        recipe: Recipe,
        data: LabelledSource,
        stages: Stages,
        calibration: Collection[str],
    ) -> None:
        self._models, self._recipe, self._data, self._stages = models, recipe, data, stages
        self._chunks = in_chunks(data.source.items)
        self._plausibility = PlausibilityMeter(data, recipe.spec, recipe.config.seed)
        self._evaluator = Evaluator(
            models,
            data.labels,
            output_scale=recipe.output_scale,
            head=Head.of(recipe.spec),
            several=data.multi_labels,
        )
        self._done = 0
        self._images = 0
        self._images_sha256 = hashlib.sha256()
        self._calibration = frozenset(map(_short, calibration))
        self._shared: set[str] = set()
        self._skipped: list[SkippedImage] = []  # the first ones
        self._skipped_count = 0
        self._seen: set[int] = set()  # classes
        self._images_per_s: float | None = None

    def continue_from(self, journal: Journal) -> None:
        """Add the answers of an earlier run."""
        if journal.discarded is not None:
            self._stages.watcher.tell(
                f"what an earlier evaluation left is not used, since {journal.discarded}"
            )
        if not journal.has_answers:
            return
        source = self._data.source
        classes = self._recipe.spec.num_classes
        with self._stages.stage(Stage.CONTINUE, total=self._total, unit="images") as watcher:
            for _, prediction in journal.answers(source, self._chunks, self._models, classes):
                watcher.advance(len(self._chunks[self._done]))
                self._count(prediction)
        if self._done:
            watcher.tell(f"continues after {self._begun:,} of {self._total:,} images")
        else:
            watcher.tell(f"starts again: of what an earlier evaluation left, {journal.void}")

    def predict(
        self,
        models: Mapping[str, Path],
        threads: int,
        journal: Journal | None,
        executor: Executor | None,
    ) -> Check | None:
        """Run the remaining chunks; returns the check that ended it, if one failed."""
        if self._done == len(self._chunks):
            return None
        chunks, source = self._chunks, self._data.source
        with self._stages.stage(Stage.LOAD_MODELS):
            pool = open_pool(
                models,
                self._recipe.spec.preprocessing,
                threads=threads,
                chunks=len(chunks) - self._done,
                executor=executor,
            )
        with pool, self._stages.stage(Stage.EVALUATE, total=self._total, unit="images") as watcher:
            watcher.resume(self._begun)
            before, start = self._images, time.perf_counter()
            for answer in pool.predict(source, chunks, start=self._done):
                items = chunks[self._done]
                prediction = answer.prediction(items, self._models)
                if failed := failed_finite_check(prediction.logits, items[0].name):
                    return failed
                self._count(prediction)
                if journal is not None:
                    journal.append(answer)
                watcher.advance(len(items))
            if ran := self._images - before:
                self._images_per_s = ran / (time.perf_counter() - start)
        self._stages.note_memory(pool.peak_rss_bytes)
        return None

    def result(self, network: Callable[[], nn.Module]) -> EvaluatedImages:
        """The result over all images, on which alternatives are tried with the network if need be.

        Raises:
            InputError: No image was usable.
        """
        data = self._data
        if not self._images:
            refuse_unusable(data.source, self._skipped)
        evaluation = self._evaluator.result()
        plausibility = None
        if evaluation.accuracy is not None:
            accuracy = evaluation.accuracy.fp32
            plausibility = self._plausibility.result(accuracy, network, self._stages)
        return EvaluatedImages(
            evaluation=evaluation,
            section=EvaluationSection(
                source=data.source.name,
                images=self._images,
                labelled=data.classes is not None,
                matched_by=data.classes.rule.value if data.classes else None,
                skipped=tuple(self._skipped),
                skipped_count=self._skipped_count,
                passed_over=data.source.listing.passed_over,
                without_images=self._without_images(),
                labels_without_image=data.labels_without_image,
                images_sha256=self._images_sha256.hexdigest(),
                images_per_s=self._images_per_s,
                thumbnails=_thumbnails(evaluation, data.source),
                plausibility=plausibility,
                decoding=compare_decodings(data.source, self._recipe.spec.preprocessing),
            ),
            shared=len(self._shared),
            metric=self._recipe.spec.task.metric,
        )

    def _without_images(self) -> WithoutImages:
        classes, spec = self._data.classes, self._recipe.spec
        if classes is None:
            return WithoutImages()
        names = dict(enumerate(spec.labels)) if spec.labels else classes.names
        missing = (index for index in range(spec.class_count) if index not in self._seen)
        return WithoutImages.of([names.get(index, f"class {index}") for index in missing])

    @property
    def _total(self) -> int:
        return len(self._data.source.items)

    @property
    def _begun(self) -> int:
        """Images of the finished chunks, unusable ones included."""
        return sum(map(len, self._chunks[: self._done]))

    def _count(self, prediction: Prediction) -> None:
        self._done += 1
        self._images += len(prediction.names)
        for digest in prediction.digests:
            self._images_sha256.update(bytes.fromhex(digest))
        self._shared.update(self._calibration.intersection(map(_short, prediction.digests)))
        self._skipped_count += len(prediction.skipped)
        self._skipped += prediction.skipped[: _SKIPPED - len(self._skipped)]
        if labels := self._data.labels:
            self._seen.update(labels[name] for name in prediction.names)
        if several := self._data.multi_labels:
            self._seen.update(index for name in prediction.names for index in several[name])
        if prediction.names:
            self._evaluator.update(prediction.names, prediction.logits)
            self._plausibility.update(prediction.names, prediction.logits[FLOAT])


def _short(digest: str) -> str:
    return digest[:DIGEST_DIGITS]


def _thumbnails(evaluation: Evaluation, source: ImageSource) -> dict[str, str]:
    """Base64 thumbnails by name of the first images whose prediction an artefact flips."""
    flipped = {
        flip.image
        for section in (evaluation.accuracy, evaluation.multi_label)
        if section is not None
        for found in section.candidates.values()
        for flip in found.flips
    }
    shown = [item for item in source.items if item.name in flipped][:SHOWN]
    pictures = {}
    for item in shown:
        try:
            picture = thumbnail(decode_image(source.read(item)))
        except UnusableImage:
            continue  # it was usable a moment ago: its row in the report stays without a picture
        pictures[item.name] = base64.b64encode(picture).decode("ascii")
    return pictures
