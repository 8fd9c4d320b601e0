"""How a preprocessed batch becomes what a model takes.

Runners are handed preprocessed images, except in an evaluation, which decodes its own. A model
that takes pixels is fed those that they were made of, outside the timed call.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.model_input import PREPROCESSED, ModelInput
from eightbit.benchmarks.runtimes.runner import (
    AnyArray,
    FloatArray,
    Runner,
    check_batch,
    check_numbers,
)
from eightbit.models.errors import InputError
from eightbit.models.spec import FrozenModel, Preprocessing, of_sides, size_text


class Feed(FrozenModel):
    """Turns batches into a model's input.

    Attributes:
        images: How many at once; None for any number.
        height: Of an image, in pixels; None for any.
        width: The same.
    """

    input: ModelInput = PREPROCESSED
    preprocessing: Preprocessing = Preprocessing()
    images: int | None = None
    height: int | None = None
    width: int | None = None

    def __call__(self, batch: AnyArray, *, exact: bool = True, where: str = "") -> AnyArray:
        """The model's input.

        Args:
            batch: Preprocessed images, float32, shape (N, 3, H, W); or what the model takes, which
                is handed on as it is.
            exact: Whether numbers that no pixel is normalised to are refused; otherwise the
                nearest pixels are taken, which is good enough to time a call.
            where: The model, at the start of every error message; empty for none.

        Raises:
            InputError: The batch has another type or shape, holds NaN or infinity, or was not made
                of pixels.
        """
        try:
            return self._fed(batch, exact=exact)
        except InputError as exc:
            raise InputError(f"{where}: {exc}" if where else str(exc)) from exc

    def _fed(self, batch: AnyArray, *, exact: bool) -> AnyArray:
        as_it_is = self.input == PREPROCESSED or batch.dtype != np.float32
        taken = self.input if as_it_is else PREPROCESSED
        check_batch(batch, taken, images=self.images, height=self.height, width=self.width)
        if as_it_is:
            if exact and batch.dtype == np.float32:
                check_numbers(batch)
            return batch
        return self._pixels(batch, exact=exact)

    def of_pixels(self, pixels: npt.NDArray[np.uint8]) -> AnyArray:
        """The model's input, from uint8 pixels of shape (N, H, W, 3), resized and cropped."""
        if self.input == PREPROCESSED:
            # Here, so that a worker that is sent batches does not carry Pillow.
            from eightbit.models.images.preprocessing import normalised_images

            return normalised_images(pixels, self.preprocessing)
        if self.input.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels)

    def _pixels(self, batch: FloatArray, *, exact: bool) -> AnyArray:
        # Here, so that a worker, which is sent pixels, does not carry Pillow.
        from eightbit.models.images.preprocessing import nearest_pixels, normalise

        pixels = nearest_pixels(batch.transpose(0, 2, 3, 1), self.preprocessing)
        if exact and not np.array_equal(
            normalise(pixels, self.preprocessing).transpose(0, 3, 1, 2), batch
        ):
            raise InputError(
                "batch: expected images that were made of pixels, since the model takes "
                f"{self.input.dtype}, found other numbers; preprocess them as the metadata says"
            )
        if self.input.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels)


class FileRunner(Runner, Protocol):
    """A loaded model file; it is handed preprocessed images, or what the model takes."""

    @property
    def feed(self) -> Feed:
        """What the model takes."""
        ...

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model, see `Runner`; ``feed`` says which batches it can be handed."""
        ...


def fitted(feed: Feed, shape: Sequence[object], where: str) -> Feed:
    """A feed that knows which sizes a graph is fixed to.

    Args:
        feed: Of the model's metadata.
        shape: Of the graph's input: an int where a size is fixed, anything else where it is free.
        where: The model, at the start of the error message.

    Raises:
        InputError: The model has metadata, and the graph is not for images of the size that they
            say, or not for any number of them.
    """
    named = dict(zip(feed.input.layout, shape, strict=True)) if len(shape) == 4 else {}
    fixed = {axis: size for axis, size in named.items() if isinstance(size, int)}
    images, height, width = (fixed.get(axis) for axis in "NHW")
    if feed.height is None or feed.width is None:
        return feed.model_copy(update={"images": images, "height": height, "width": width})
    wanted, found = (feed.height, feed.width), (height or feed.height, width or feed.width)
    if found != wanted:
        raise InputError(
            f"{where}: expected a graph for images of {size_text(of_sides(*wanted))} px, as its "
            f"metadata says, found one for {size_text(of_sides(*found))} px; do not trust this file"
        )
    if images is not None:
        raise InputError(
            f"{where}: expected a graph for any number of images, found one for {images} at once; "
            "export it with a free first axis"
        )
    return feed


def feed_of(metadata: ArtifactMetadata | None) -> Feed:
    """The feed of an artefact; a model that says nothing about itself takes preprocessed images."""
    if metadata is None:
        return Feed()
    preprocessing = metadata.spec.preprocessing
    height, width = preprocessing.crop_size
    return Feed(input=metadata.input, preprocessing=preprocessing, height=height, width=width)
