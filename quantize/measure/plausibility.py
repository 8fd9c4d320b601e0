"""Whether the float network fits the images, and if not, which other reading of them it fits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.accuracy.plausibility import (
    IntArray,
    LabelledAnswers,
    Reordering,
    against_chance,
    best_order,
    top1_interval,
)
from eightbit.benchmarks.accuracy.tally import AccuracyResult
from eightbit.benchmarks.report.plausibility import (
    MAX_OVERCONFIDENCE,
    Alternative,
    Doubt,
    PlausibilitySection,
)
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import UnusableImage
from eightbit.models.images.preprocessing import file_pixels, normalised_images
from eightbit.models.images.sampling import balanced_order
from eightbit.models.plain_text import one_line
from eightbit.models.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec, Preprocessing, Task
from eightbit.quantize.images import LabelledSource
from eightbit.quantize.measure.class_orders import (
    LABELS_OPTION,
    class_names,
    option_for,
    other_orders,
    told_apart,
)
from eightbit.quantize.stages import Stages

# On so many images, or as many of the pixels of those of 224 px, alternatives are tried.
_SAMPLE: Final = 256
_SAMPLE_PIXELS: Final = _SAMPLE * 224**2
_FEWEST: Final = 16
_BATCH: Final = 16

_BGR: Final = (
    "the weights expect blue first: save them with the first convolution's input channels "
    "reversed, weight.flip(1)"
)


class PlausibilityMeter:
    """Gathers the float model's answers, batch by batch, if it names one class for each image.

    Attributes:
        limit: Alternatives are tried on at most so many images.
    """

    def __init__(self, data: LabelledSource, spec: ModelSpec, seed: int) -> None:
        self._data, self._spec, self._head = data, spec, Head.of(spec)
        self._classifies = spec.task in (Task.SINGLE_LABEL, Task.BINARY)
        self.limit = max(_FEWEST, min(_SAMPLE, _SAMPLE_PIXELS // spec.preprocessing.crop_pixels))
        self._sample = balanced_order(data.source.items, seed)[: self.limit] if data.labels else ()
        self._sampled = frozenset(item.name for item in self._sample)
        self._answers = LabelledAnswers()
        self._predicted: set[int] = set()

    def update(self, names: Sequence[str], logits: FloatArray) -> None:
        """Add a batch of N named images: float32, shape (N, classes), finite."""
        if not self._classifies:
            return
        answers = self._head.decisions(logits)[:, 0]
        self._predicted.update(answers.tolist())
        labels = self._data.labels
        if labels is not None:
            sampled = [name in self._sampled for name in names]
            self._answers.update([labels[name] for name in names], answers, sampled)

    def result(
        self, accuracy: AccuracyResult, network: Callable[[], nn.Module], stages: Stages
    ) -> PlausibilitySection:
        """What was found; where that leaves doubts, also what alternatives give.

        Args:
            accuracy: Of the float model on the same images.
            network: Gives the float network, from float32 (N, 3, H, W) to logits.
            stages: Gets the progress of trying them.
        """
        predicted = len(self._predicted)
        if self._data.labels is None:
            return PlausibilitySection(classes_predicted=predicted)
        labels, answers = self._answers.labels, self._answers.answers
        found = against_chance(labels, answers)
        reordered = best_order(labels, answers)
        doubts = []
        if not found.shown and found.enough:
            doubts.append(Doubt.AT_CHANCE)
        confidence = accuracy.confidence.mean_confidence if accuracy.confidence else 0.0
        if confidence - found.interval[1] > MAX_OVERCONFIDENCE:
            doubts.append(Doubt.OVERCONFIDENT)
        if found.one_class:
            doubts.append(Doubt.ONE_CLASS)
        if reordered is not None and reordered.better:
            doubts.append(Doubt.OTHER_ORDER)
        section = PlausibilitySection(
            classes_present=len(np.unique(labels)),
            classes_predicted=predicted,
            top1_ci95=found.interval,
            chance=found.chance,
            enough_images=found.enough,
            doubts=tuple(doubts),
        )
        if not doubts or not self._answers.sampled.any():
            return section
        tried = [*self._orders(reordered), *self._readings(network(), stages)]
        return self._with_alternatives(section, tried)

    def _with_alternatives(
        self, section: PlausibilitySection, tried: Sequence["_Tried"]
    ) -> PlausibilitySection:
        sampled = self._answers.sampled
        labels, answers = self._answers.labels[sampled], self._answers.answers[sampled]
        taken = int(np.count_nonzero(labels == answers))
        highest = top1_interval(taken, len(labels))[1]
        best_first = sorted(tried, key=lambda one: -one.hits)
        return section.model_copy(
            update={
                "tried_images": len(labels),
                "as_taken": taken / len(labels),
                "alternatives": tuple(one.alternative(len(labels), highest) for one in best_first),
            }
        )

    def _orders(self, reordered: Reordering | None) -> Iterator["_Tried"]:
        """Other orders of the classes, on the labels and answers of the sample."""
        sampled = self._answers.sampled
        labels, answers = self._answers.labels[sampled], self._answers.answers[sampled]
        given = self._data.classes.names if self._data.classes else {}
        names = class_names(self._spec.as_single_label, given)
        usual = []
        for name, order in other_orders(names, self._spec.labels).items():
            usual.append(int(np.count_nonzero(order[labels] == answers)))
            option = option_for(name, names, self._spec.labels)
            yield _Tried(name=name, option=option, hits=usual[-1])
        if reordered is None or not reordered.better:
            return
        hits = int(np.count_nonzero(reordered.right[sampled]))
        if hits > max(usual, default=0):
            option = f"{LABELS_OPTION}: {told_apart(reordered.classes, names)}"
            yield _Tried(name="classes in another order", option=option, hits=hits)

    def _readings(self, network: nn.Module, stages: Stages) -> list["_Tried"]:
        """Other readings of the sample's pixels."""
        own = self._spec.preprocessing
        readings = list(_other_readings(own))
        with stages.stage(Stage.TRY_ALTERNATIVES, total=len(readings) + 1) as watcher:
            labels, pixels = self._pixels()
            found = []
            for reading in readings:
                found.append(reading.tried(network, pixels, labels, self._head))
                watcher.advance(1)
            # Blue first beside the best scaling too: the two go wrong together.
            hits = {one.name: one.hits for one in found}
            reading = max((one for one in readings if not one.bgr), key=lambda one: hits[one.name])
            both = replace(reading, bgr=True, name=f"BGR, {reading.name}")
            both = replace(both, option=f"{reading.option}; {_BGR}")
            found.append(both.tried(network, pixels, labels, self._head))
            watcher.advance(1)
        return found

    def _pixels(self) -> tuple[IntArray, npt.NDArray[np.uint8]]:
        """Labels and pixels of the sample: int64 (N,), uint8 (N, H, W, 3)."""
        labels, pixels = [], []
        known = self._data.labels or {}
        for item in self._sample:
            try:
                data = self._data.source.read(item)
                pixels.append(file_pixels(data, self._spec.preprocessing))
            except UnusableImage:
                continue  # as in the evaluation
            labels.append(known[item.name])
        return np.asarray(labels, dtype=np.int64), np.stack(pixels)


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """An alternative and its right answers."""

    name: str
    option: str
    hits: int

    def alternative(self, images: int, highest: float) -> Alternative:
        """The same for the report, beside the upper end of what was taken."""
        interval = top1_interval(self.hits, images)
        return Alternative(
            name=one_line(self.name, 200),
            option=one_line(self.option, 400),
            top1=self.hits / images,
            top1_ci95=interval,
            better=interval[0] > highest,
        )


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """From pixels to the network's input in another way; `bgr` with blue first."""

    name: str
    option: str
    preprocessing: Preprocessing
    bgr: bool = False

    def tried(
        self, network: nn.Module, pixels: npt.NDArray[np.uint8], labels: IntArray, head: Head
    ) -> _Tried:
        """Right answers on uint8 pixels (N, H, W, 3)."""
        hits = 0
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                part = normalised_images(pixels[start : start + _BATCH], self.preprocessing)
                batch = torch.from_numpy(part[:, ::-1].copy() if self.bgr else part)
                logits = network(batch.contiguous(memory_format=torch.channels_last)).numpy()
                answers = head.decisions(logits)[:, 0]
                hits += int(np.count_nonzero(answers == labels[start : start + _BATCH]))
        return _Tried(name=self.name, option=self.option, hits=hits)


_Triple: TypeAlias = tuple[float, float, float]

_PIXEL: Final = 1 / 255
_ZERO: Final = (0.0, 0.0, 0.0)

# How pixels are scaled before they reach a network, by those who train one.
_SCALINGS: Final = {
    "ImageNet's mean and std": (IMAGENET_MEAN, IMAGENET_STD),
    "mean and std 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "pixels 0 to 1": (_ZERO, (1.0, 1.0, 1.0)),
    "pixels 0 to 255": (_ZERO, (_PIXEL, _PIXEL, _PIXEL)),
    "pixels 0 to 255 less ImageNet's mean": (IMAGENET_MEAN, (_PIXEL, _PIXEL, _PIXEL)),
}


def _other_readings(own: Preprocessing) -> Iterator[_Reading]:
    """Every other usual scaling, and the own one with blue first."""
    scalings = dict(_SCALINGS)
    if max(*own.mean, *own.std) > 1:
        scalings = {
            "mean and std divided by 255": (_divided(own.mean), _divided(own.std)),
            **scalings,
        }
    for name, (mean, std) in scalings.items():
        if (mean, std) != (own.mean, own.std):
            yield _Reading(
                name=name,
                option=f"--mean {_numbers(mean)} --std {_numbers(std)}",
                preprocessing=own.model_copy(update={"mean": mean, "std": std}),
            )
    yield _Reading(name="BGR", option=_BGR, preprocessing=own, bgr=True)


def _divided(values: _Triple) -> _Triple:
    """Those for pixels in 0..1, where these are of 0..255."""
    red, green, blue = (value / 255 for value in values)
    return (red, green, blue) if max(values) > 1 else values


def _numbers(values: _Triple) -> str:
    return " ".join(f"{value:.6g}" for value in values)
