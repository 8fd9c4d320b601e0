"""The images to which float and INT8 give different classes, to look at."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eightbit.benchmarks.accuracy.multi_label import DecisionFlip
from eightbit.benchmarks.accuracy.tally import Flip
from eightbit.benchmarks.report.charts.rows import class_title, shortened
from eightbit.benchmarks.report.document import MultiLabelSection, Report
from eightbit.benchmarks.report.figures import percent
from eightbit.benchmarks.report.images import SHOWN
from eightbit.models.plain_text import counted
from eightbit.models.spec import ModelSpec

_LONGEST: Final = 60  # letters of a class
_JPEG: Final = b"\xff\xd8\xff"


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One flipped image.

    Attributes:
        source: The picture as a `data:` address; empty where there is none.
        mark: "broke", "fixed" or "changed".
        truth: Its true class; empty where that is not known.
        before: The float model's answer, with its probability.
        after: The artefacts' answer.
        whose: Which artefact gives it, where the others do not.
    """

    name: str
    source: str
    mark: str
    truth: str
    before: str
    after: str
    whose: str

    @property
    def description(self) -> str:
        """Alternative text for a screen reader."""
        return f"{self.name}: float {self.before}, INT8 {self.after}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gallery:
    """Flipped images, and what is left out."""

    pictures: tuple[Picture, ...]
    note: str


def gallery(report: Report) -> Gallery | None:
    """The first flips of all artefacts, those with a picture first; None without any flip."""
    if report.multi_label is not None:
        return _of_decisions(report, report.multi_label)
    found = dict(_flips(report))
    if not found:
        return None
    thumbnails = report.evaluation.thumbnails if report.evaluation else {}
    sources = {name: source for name in found if (source := _source(thumbnails.get(name, "")))}
    chosen = sorted(found, key=lambda name: name not in sources)[:SHOWN]
    labels = report.model.spec.labels
    everyone = {name for flips in found.values() for _, names in flips for name in names}
    pictures = tuple(
        _picture(
            flip,
            "" if everyone <= set(names) else f"only {' and '.join(names)}",
            sources.get(flip.image, ""),
            labels,
        )
        for name in chosen
        for flip, names in found[name]
    )
    return Gallery(pictures=pictures, note=_note(report, len(found), len(chosen)))


def _of_decisions(report: Report, section: MultiLabelSection) -> Gallery | None:
    """The first changed decisions of the first artefact that has any."""
    for name, result in section.candidates.items():
        if not result.flips:
            continue
        thumbnails = report.evaluation.thumbnails if report.evaluation else {}
        pictures = tuple(
            _decision(
                flip,
                name,
                _source(thumbnails.get(flip.image, "")),
                report.model.spec,
            )
            for flip in result.flips[:SHOWN]
        )
        note = f"{counted(result.changed, 'decision')} of {result.decisions:,} changed ({name})."
        if result.changed > len(pictures):
            note += f" The first {len(pictures)} are shown."
        return Gallery(pictures=pictures, note=note)
    return None


def _decision(flip: DecisionFlip, whose: str, source: str, spec: ModelSpec) -> Picture:
    name = shortened(class_title(flip.index, spec.labels), _LONGEST)
    was = flip.float_probability > spec.threshold
    mark = "changed" if flip.label is None else "broke" if flip.label == was else "fixed"
    said = {True: name, False: f"not {name}"}
    return Picture(
        name=flip.image,
        source=source,
        mark=mark,
        truth="" if flip.label is None else said[flip.label],
        before=f"{said[was]} ({percent(flip.float_probability, 1)})",
        after=f"{said[not was]} ({percent(flip.int8_probability, 1)})",
        whose=whose,
    )


def _flips(report: Report) -> Iterator[tuple[str, list[tuple[Flip, list[str]]]]]:
    """By image its different flips, each with the artefacts that have it."""
    by_image: dict[str, list[tuple[Flip, list[str]]]] = {}
    accuracy = report.accuracy
    if accuracy is not None:
        for name, result in accuracy.candidates.items():
            for flip in result.flips:
                flips = by_image.setdefault(flip.image, [])
                alike = next((names for known, names in flips if _same(known, flip)), None)
                if alike is None:
                    flips.append((flip, [name]))
                else:
                    alike.append(name)
    yield from by_image.items()


def _same(first: Flip, second: Flip) -> bool:
    return (first.float_class, first.int8_class) == (second.float_class, second.int8_class)


def _picture(flip: Flip, whose: str, source: str, labels: tuple[str, ...] | None) -> Picture:
    mark = "changed"
    if flip.label is not None and flip.label == flip.float_class:
        mark = "broke"
    elif flip.label is not None and flip.label == flip.int8_class:
        mark = "fixed"
    return Picture(
        name=flip.image,
        source=source,
        mark=mark,
        truth="" if flip.label is None else shortened(class_title(flip.label, labels), _LONGEST),
        before=_answer(flip.float_class, flip.float_probability, labels),
        after=_answer(flip.int8_class, flip.int8_probability, labels),
        whose=whose,
    )


def _answer(index: int, probability: float, labels: tuple[str, ...] | None) -> str:
    return f"{shortened(class_title(index, labels), _LONGEST)} ({percent(probability, 0)})"


def _source(thumbnail: str) -> str:
    """The address of a picture; empty where it is no JPEG file, which a browser complains of."""
    try:
        content = base64.b64decode(thumbnail, validate=True)
    except binascii.Error:
        return ""
    return f"data:image/jpeg;base64,{thumbnail}" if content.startswith(_JPEG) else ""


def _note(report: Report, found: int, shown: int) -> str:
    """How many images changed; at least how many where a report does not list all of them."""
    results = list(report.accuracy.candidates.values()) if report.accuracy else []
    all_listed = all(len(result.flips) == result.flip_count for result in results)
    count = found if all_listed else max(found, *(result.flip_count for result in results))
    least = "" if all_listed or len(results) == 1 else "At least "
    note = f"{least}{counted(count, 'image')} of {results[0].n:,} changed class."
    return f"{note} The first {shown} are shown." if count > shown else note
