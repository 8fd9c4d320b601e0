"""Candidate recipes: each one exported, evaluated on all images and timed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.heads import Head, IntArray
from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.artifact.formats import Format, Precision, preferred
from eightbit.benchmarks.evaluation.crew_pool import open_pool
from eightbit.benchmarks.evaluation.prediction import in_chunks
from eightbit.benchmarks.latency.launches import Candidate
from eightbit.benchmarks.latency.results import measure_latency
from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.runtimes.runner import check_finite
from eightbit.models.errors import InputError
from eightbit.models.images.loading import SkippedImage
from eightbit.quantize.artifacts.write import WRITERS, write_float_onnx
from eightbit.quantize.images import LabelledSource, refuse_unusable
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Watcher

# Enough for a median that shows tenths.
_LATENCY_ROUNDS: Final = 4
_LATENCY_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One artefact (``artifact``: its format) against the labels and the float model.

    Attributes:
        images: Number evaluated.
        broke: Right in float, wrong in the artefact.
        fixed: Wrong in float, right in the artefact.
        agreeing: Same class in both.
    """

    artifact: str
    images: int
    broke: int
    fixed: int
    agreeing: int

    @property
    def drop_pp(self) -> float:
        """Float top-1 (or binary accuracy) minus the artefact's, in percentage points."""
        return 100 * (self.broke - self.fixed) / self.images

    @property
    def drop_ci95_pp(self) -> tuple[float, float]:
        """95 % confidence interval of the drop."""
        return drop_interval_pp(self.broke, self.fixed, self.images)


class Trials:
    """Evaluates recipes of one network on the same images.

    ``formats`` are those delivered in the end, kept in the order of trial: ONNX is written in a
    second. ``folder`` must be empty; the first recipe's files stay in it, as the baseline of
    latencies. ``executor`` has the workers; None for processes of this machine.
    """

    def __init__(
        self,
        network: Network,
        data: LabelledSource,
        *,
        formats: Collection[str],
        threads: int,
        folder: Path,
        executor: Executor | None = None,
    ) -> None:
        self.formats = tuple(known for known in preferred() if known.key in formats)
        self._network = network
        self._data = data
        self._threads = threads
        self._folder = folder
        self._executor = executor
        self._truth: IntArray | None = None
        self._float: IntArray | None = None

    @property
    def images(self) -> int:
        """Number of images, unusable ones included."""
        return len(self._data.source.items)

    def measure_float(self, recipe: Recipe, watcher: Watcher) -> None:
        """Evaluate the float network, before any recipe; any recipe of this network will do.

        Raises:
            InputError: No image is usable, or a logit is not finite.
        """
        path = self._folder / "float.onnx"
        write_float_onnx(Quantized(network=self._network, recipe=recipe), path)
        self._float = self._classes(path, recipe, watcher)

    def outcomes(
        self, recipe: Recipe, name: str, watcher: Watcher, *, enough: Callable[[Outcome], bool]
    ) -> tuple[Outcome, ...]:
        """Evaluate a recipe's artefacts, stored under `name`, up to the first that is not `enough`.

        Raises:
            InputError: No image is usable, an artefact cannot be loaded, or a logit is not finite.
        """
        found: list[Outcome] = []
        quantized = Quantized(network=self._network, recipe=recipe)
        for format in self.formats:
            path = self._path(name, format)
            WRITERS[format.key](quantized, path)
            found.append(self._compared(format, self._classes(path, recipe, watcher)))
            if not enough(found[-1]):
                break
        return tuple(found)

    def latency_ratio(self, name: str, other: str, recipe: Recipe) -> float:
        """Median time per call of one recipe over another's, in the first format.

        Raises:
            InputError: An artefact cannot be loaded.
        """
        format = self.formats[0]
        height, width = recipe.spec.preprocessing.crop_size
        candidates = [
            Candidate(
                label=which,
                path=self._path(which, format),
                runtime=format.runtime,
                precision=Precision.INT8,
            )
            for which in (name, other)
        ]
        mine, others = measure_latency(
            candidates,
            input_shape=(3, height, width),
            threads=self._threads,
            rounds=_LATENCY_ROUNDS,
            seconds_per_candidate=_LATENCY_SECONDS,
        )
        return mine.p50_ms / others.p50_ms

    def discard(self, name: str) -> None:
        """Delete a recipe's files."""
        for format in self.formats:
            self._path(name, format).unlink(missing_ok=True)

    def _path(self, name: str, format: Format) -> Path:
        return self._folder / f"{name}{format.suffix}"

    def _compared(self, format: Format, classes: IntArray) -> Outcome:
        truth, exact = self._truth, self._float
        if truth is None or exact is None:
            raise ValueError("expected the float model to be evaluated first")
        return Outcome(
            artifact=format.key,
            images=len(truth),
            broke=int(np.count_nonzero((exact == truth) & (classes != truth))),
            fixed=int(np.count_nonzero((exact != truth) & (classes == truth))),
            agreeing=int(np.count_nonzero(exact == classes)),
        )

    def _classes(self, path: Path, recipe: Recipe, watcher: Watcher) -> IntArray:
        """Class of every usable image, see `Head.decisions`."""
        labels = self._data.labels
        if labels is None:
            raise InputError("fallback: expected labelled images to measure a drop on, found none")
        source = self._data.source
        chunks = in_chunks(source.items)
        classes: list[IntArray] = []
        truth: list[int] = []
        skipped: list[SkippedImage] = []
        preprocessing, head = recipe.spec.preprocessing, Head.of(recipe.spec)
        models = {path.name: path}
        pool = open_pool(
            *(models, preprocessing),
            threads=self._threads,
            chunks=len(chunks),
            executor=self._executor,
        )
        with pool:
            for items, answer in zip(chunks, pool.predict(source, chunks), strict=True):
                prediction = answer.prediction(items, list(models))
                for name, logits in prediction.logits.items():
                    check_finite(logits, where=name)
                    classes.append(head.decisions(logits)[:, 0])
                truth += [labels[image] for image in prediction.names]
                skipped += prediction.skipped
                watcher.advance(len(items))
        if not classes:
            refuse_unusable(source, skipped)
        self._truth = np.array(truth, dtype=np.int64)
        return np.concatenate(classes)
