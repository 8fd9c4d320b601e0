"""How a preprocessed batch becomes what a model takes.

Everything in the program hands runners preprocessed images, but for an evaluation, which decodes
its own. A model that takes pixels is fed the very pixels that they were made of, outside the timed
call: what it does with them is its own.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.artifact import ArtifactMetadata
from eightbit.benchmarks.contract import AnyArray, FloatArray, Runner, check_batch
from eightbit.benchmarks.model_input import PREPROCESSED, ModelInput
from eightbit.models.errors import InputError
from eightbit.models.spec import FrozenModel, Preprocessing


class Feed(FrozenModel):
    """Turns batches into a model's input.

    Attributes:
        input: What the model takes.
        preprocessing: How its images are normalised.
    """

    input: ModelInput = PREPROCESSED
    preprocessing: Preprocessing = Preprocessing()

    def __call__(self, batch: AnyArray, *, exact: bool = True) -> AnyArray:
        """What to hand to the model.

        Args:
            batch: Preprocessed images, float32, shape (N, 3, H, W); or what the model takes, which
                is handed on as it is.
            exact: Whether numbers that no pixel is normalised to are refused; otherwise the
                nearest pixels are taken, which is good enough to time a call.

        Raises:
            InputError: The batch has another type or shape, or was not made of pixels.
        """
        if self.input == PREPROCESSED or batch.dtype != np.float32:
            check_batch(batch, self.input)
            return batch
        check_batch(batch)
        return self._pixels(batch, exact=exact)

    def of_pixels(self, pixels: npt.NDArray[np.uint8]) -> AnyArray:
        """What to hand to the model, from the pixels themselves.

        Args:
            pixels: uint8, shape (N, H, W, 3), resized and cropped.
        """
        if self.input == PREPROCESSED:
            # Here, so that a worker that is sent batches does not carry Pillow.
            from eightbit.models.preprocessing import normalised_images

            return normalised_images(pixels, self.preprocessing)
        if self.input.layout == "NCHW":
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels)

    def _pixels(self, batch: FloatArray, *, exact: bool) -> AnyArray:
        # Here, so that a worker, which is sent pixels, does not carry Pillow.
        from eightbit.models.preprocessing import nearest_pixels, normalise

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


def feed_of(metadata: ArtifactMetadata | None) -> Feed:
    """The feed of an artefact; a model that says nothing about itself takes preprocessed images."""
    if metadata is None:
        return Feed()
    return Feed(input=metadata.input, preprocessing=metadata.spec.preprocessing)
