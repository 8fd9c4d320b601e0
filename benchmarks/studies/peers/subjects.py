"""The networks that are studied: trained ones, by architecture and file, and made ones, by kind."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eightbit.benchmarks.studies.command import parse_network
from eightbit.benchmarks.studies.made_networks import KINDS, write_network
from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.models.labels import match_images
from eightbit.models.spec import Architecture, ModelSpec


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where images come from; None where no network needs them.

    Attributes:
        calibrate: For trained networks.
        evaluate: For trained networks, in class folders.
        photos: For made networks, any.
    """

    calibrate: Path | None
    evaluate: Path | None
    photos: Path | None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network and its images.

    Attributes:
        name: In the table.
        spec: Its spec, with the preprocessing of its own size.
        structure: As in `job.Work`.
        weights: Its checkpoint.
        calibrate: Calibration images.
        evaluate: Evaluation images, none of which is among those.
        source: What the images are called in the table.
    """

    name: str
    spec: ModelSpec
    structure: dict[str, int]
    weights: Path
    calibrate: Path
    evaluate: Path
    source: tuple[str, str]

    def labels(self) -> dict[str, int] | None:
        """Class index by name of the evaluation image; None where there are no classes.

        Raises:
            InputError: The images are in unknown class folders.
        """
        with open_source(self.evaluate) as source:
            match = match_images(source.listing, self.spec)
        return None if match is None else dict(match.indices)


def open_subject(text: str, images: Images, folder: Path) -> Subject:
    """A network as it is typed: a kind of `made_networks`, or ``ARCHITECTURE:WEIGHTS:SIDE``.

    Args:
        text: As typed.
        images: Where its images come from.
        folder: For what is made.

    Raises:
        InputError: There is no such network, or the images are missing or cannot be used.
    """
    subject = _made(text, images, folder) if text in KINDS else _trained(text, images)
    if shared := set(_digests(subject.calibrate)) & set(_digests(subject.evaluate)):
        raise InputError(
            f"{subject.evaluate}: expected other images than in {subject.calibrate}, found "
            f"{len(shared)} of the same"
        )
    return subject


def _made(name: str, images: Images, folder: Path) -> Subject:
    if images.photos is None:
        raise InputError(f"{name}: expected photos to make it from, found none; give --photos")
    made = write_network(KINDS[name], images.photos, folder)
    return Subject(
        name=name,
        spec=made.kind.spec,
        structure=dict(made.kind.structure),
        weights=made.weights,
        calibrate=made.calibration,
        evaluate=made.evaluation,
        source=(images.photos.name, images.photos.name),
    )


def _trained(text: str, images: Images) -> Subject:
    network = parse_network(text)
    if images.calibrate is None or images.evaluate is None:
        raise InputError(f"{text}: expected images, found none; give --calibrate and --evaluate")
    side = int(network.side)
    architecture = Architecture(network.architecture)
    loaded = load_pretrained(
        architecture, str(network.weights), resize=side, crop=side, progress=False
    )
    return Subject(
        name=network.weights.stem,
        spec=loaded.spec,
        structure={},
        weights=network.weights,
        calibrate=images.calibrate,
        evaluate=images.evaluate,
        source=(images.calibrate.name, images.evaluate.name),
    )


def _digests(path: Path) -> Iterator[bytes]:
    with open_source(path) as source:
        for item in source.items:
            yield hashlib.sha256(source.read(item)).digest()
