"""Usable images of a source in a given order, and the skipped ones with their reasons."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import torch

from eightbit.models.class_match import ClassMatch, ClassOrder, some
from eightbit.models.errors import InputError
from eightbit.models.images.loading import LoadedImage, SkippedImage, load_images
from eightbit.models.images.sources import ImageItem, ImageSource, open_source
from eightbit.models.label_files import ImageLabels
from eightbit.models.labels import match_images
from eightbit.models.plain_text import printable
from eightbit.models.spec import ModelSpec, Preprocessing, Task
from eightbit.quantize.multi_labels import MultiLabelMatch, match_multi_labels
from eightbit.quantize.stages import Watcher


class UsableImages:
    """Reads images one after the other and records which were usable.

    Args:
        source: Open for as long as the images are read.
        items: Which images, in which order.
        preprocessing: From an image to the network's input.
        limit: At most so many usable ones; None for all.

    Attributes:
        items: As given.
        preprocessing: As given.
        limit: As given, and no more than there are items.
        digests: SHA-256 of the files read so far.
        skipped: Files skipped so far, with the reason.
    """

    def __init__(
        self,
        source: ImageSource,
        items: Sequence[ImageItem],
        preprocessing: Preprocessing,
        *,
        limit: int | None = None,
    ) -> None:
        self.source = source
        self.items = items
        self.preprocessing = preprocessing
        self.limit = len(items) if limit is None else min(limit, len(items))
        self.digests: list[str] = []
        self.skipped: list[SkippedImage] = []

    def __iter__(self) -> Iterator[LoadedImage]:
        """The usable images.

        Raises:
            InputError: There is none.
        """
        loaded = load_images(self.source, self.items, self.preprocessing)
        for image in loaded:
            if isinstance(image, LoadedImage):
                self.digests.append(image.digest)
                yield image
                if len(self.digests) == self.limit:
                    break
            else:
                self.skipped.append(image)
        if not self.digests:
            refuse_unusable(self.source, self.skipped)

    def folders_without_images(self) -> tuple[str, ...]:
        """Class folders without an image, or whose images were all skipped; sorted."""
        listing = self.source.listing
        if not listing.folders:
            return ()
        skipped = {image.name for image in self.skipped}
        left = {item.folder for item in listing.items if item.name not in skipped}
        return tuple(sorted({*listing.folders, *listing.empty_folders} - left))


def refuse_unusable(source: ImageSource, skipped: Sequence[SkippedImage]) -> NoReturn:
    """Refuse a source none of whose images is usable.

    Raises:
        InputError: Always; it names the first image.
    """
    raise InputError(
        f"{source.name}: expected a usable image, found none; the first, {skipped[0].name}: "
        f"{skipped[0].reason}"
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledSource:
    """Images to measure on.

    Attributes:
        source: The images.
        classes: None where none is known.
        labels_without_image: How many labels of a label file are of images that are not there.
    """

    source: ImageSource
    classes: ClassMatch | MultiLabelMatch | None
    labels_without_image: int = 0

    @property
    def labels(self) -> Mapping[str, int] | None:
        """Name of the image to class index; None where the classes are not known, or several."""
        return self.classes.indices if isinstance(self.classes, ClassMatch) else None

    @property
    def multi_labels(self) -> Mapping[str, tuple[int, ...]] | None:
        """Name of the image to its class indices; None unless of a multi-label classifier."""
        return self.classes.indices if isinstance(self.classes, MultiLabelMatch) else None


def tell_left_out(path: Path, source: ImageSource, watcher: Watcher) -> None:
    """Say which files are no images, and which class folders have none, where no report does."""
    listing = source.listing
    if listing.passed_over.files:
        found = listing.passed_over.in_words()
        watcher.tell(f"{printable(str(path))}: passed over what is no image: {found}")
    if listing.folders and listing.empty_folders:
        watcher.tell(f"{printable(str(path))}: no image in {some(listing.empty_folders)}")


def open_labelled(
    path: Path,
    spec: ModelSpec,
    image_labels: ImageLabels | None,
    class_order: ClassOrder | None,
    *,
    max_drop_pp: float | None = None,
) -> LabelledSource:
    """Open images and match their classes; close ``source`` when done.

    ``image_labels`` are labels by image name, for images outside class folders; those of a
    multi-label classifier come from them alone. ``class_order`` is what the names of folders or
    labels are, where that is not clear. A gate ``max_drop_pp`` needs labels.

    Raises:
        InputError: There are no images, their classes are not clear, or a gate lacks them.
    """
    check_head(spec.task, labelled=image_labels is not None, max_drop_pp=max_drop_pp)
    source = open_source(path)
    try:
        classes = _classes(path, source, spec, image_labels, class_order)
        if classes is None and max_drop_pp is not None:
            wanted = "class folders or a CSV of labels"
            if spec.task is Task.MULTI_LABEL:
                wanted = "a CSV with all labels of every image (--labels)"
            raise InputError(  # noqa: TRY301 - the source is closed here for every reason
                f"{path}: expected {wanted} to measure a drop with, found none; give labelled "
                "images or no --max-drop"
            )
        # Every image has a label of its own.
        unused = len(image_labels) - len(source.items) if image_labels is not None else 0
        return LabelledSource(source=source, classes=classes, labels_without_image=unused)
    except BaseException:
        source.close()
        raise


def check_head(
    task: Task, *, labelled: bool = False, max_drop_pp: float | None = None, fallback: bool = False
) -> None:
    """Refuse what is asked of a network whose outputs do not allow it.

    Raises:
        InputError: Labels or a gate for a regression, or a search for layers in float for a network
            whose right answers cannot be counted.
    """
    if task is Task.REGRESSION and (labelled or max_drop_pp is not None):
        given = "--labels" if labelled else "--max-drop"
        raise InputError(
            f"{given}: expected none of a regression, whose numbers are neither right nor wrong: "
            "their distance from the float model's is measured; leave it out"
        )
    if fallback and task in (Task.REGRESSION, Task.MULTI_LABEL):
        raise InputError(
            f"--fallback: expected a single-label or binary classifier, whose right answers are "
            f"counted, found {task}; leave it out"
        )


def _classes(
    path: Path,
    source: ImageSource,
    spec: ModelSpec,
    image_labels: ImageLabels | None,
    class_order: ClassOrder | None,
) -> ClassMatch | MultiLabelMatch | None:
    if spec.task is Task.REGRESSION:
        return None
    several = {
        name: (label,) if isinstance(label, str) else label
        for name, label in (image_labels or {}).items()
    }
    try:
        if spec.task is Task.MULTI_LABEL:
            # A folder says one class of an image and nothing of the others.
            known = image_labels is not None
            return match_multi_labels(source.listing, spec, several, class_order) if known else None
        labels = _one_each(image_labels, several)
        return match_images(source.listing, spec.as_single_label, labels, class_order)
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from exc


def _one_each(
    given: ImageLabels | None, several: Mapping[str, tuple[str, ...]]
) -> Mapping[str, str] | None:
    """The one label of every image; None where none is given."""
    if given is None:
        return None
    for name, labels in several.items():
        if len(labels) != 1:
            raise InputError(f"{name!r}: expected one label, found {len(labels)}")
    return {name: label for name, (label,) in several.items()}


# What the stages that look at every tensor twice hold at once: eight images of 224 px, 392 of
# 32 px; never fewer than eight, or the mean error of a channel would be that of a single scene.
_FITTING_PIXELS: Final = 8 * 224**2
# What candidates are judged on. Of fewer, the median says little.
_HELD_OUT_PIXELS: Final = 16 * 224**2
_FEWEST: Final = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """A few of the calibration images.

    Attributes:
        fitting: What stages are fitted to: float32, shape (N, 3, H, W).
        held_out: Other images, to judge them: the same. A lone image has to be both.
    """

    fitting: torch.Tensor
    held_out: torch.Tensor


class Subset:
    """Keeps the images with the smallest digests, as many as the later stages need."""

    def __init__(
        self, fitting_pixels: int = _FITTING_PIXELS, held_out_pixels: int = _HELD_OUT_PIXELS
    ) -> None:
        self._fitting, self._held_out = fitting_pixels, held_out_pixels
        self._kept: dict[str, LoadedImage] = {}

    def watch(self, images: Iterable[LoadedImage]) -> Iterator[LoadedImage]:
        """The same images; those to keep are remembered as they pass."""
        for image in images:
            self._kept.setdefault(image.digest, image)
            if len(self._kept) > sum(self._most(image)):
                del self._kept[max(self._kept)]
            yield image

    def chosen(self, digests: Iterable[str], crop: tuple[int, int]) -> list[str]:
        """Those of some images that would be kept if all of them passed, each of this crop."""
        return sorted(set(digests))[: sum(self._most_of(crop[0] * crop[1]))]

    def _most(self, image: LoadedImage) -> tuple[int, int]:
        """How many images of this size are kept to fit to, and to judge on."""
        return self._most_of(image.pixels[0].size)

    def _most_of(self, pixels: int) -> tuple[int, int]:
        return max(self._fitting // pixels, _FEWEST), max(self._held_out // pixels, _FEWEST)

    def kept(self) -> Kept:
        """Those that were kept; two thirds to fit to, where there are not enough for both.

        Raises:
            ValueError: There was no image.
        """
        if not self._kept:
            raise ValueError("expected at least one image to pass, found none")
        images = [self._kept[digest] for digest in sorted(self._kept)]
        pixels = torch.from_numpy(np.stack([image.pixels for image in images]))
        if len(images) == 1:
            return Kept(fitting=pixels, held_out=pixels)
        fitted = min(self._most(images[0])[0], math.ceil(len(images) * 2 / 3), len(images) - 1)
        return Kept(fitting=pixels[:fitted], held_out=pixels[fitted:])
