"""One pass over the calibration images.

Float convolutions give other last bits for another batch size or thread count, so the images
run through the network in batches of one fixed size, whatever size they come in; the last batch
is filled up with zeros, which the observers ignore.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from eightbit.calibration.observers import ActivationObserver
from eightbit.calibration.qparams import FloatArray
from eightbit.calibration.statistics import TensorStatistics

# Small enough for the activations to stay in cache and memory to stay low, large enough for
# two cores to be busy: measured with ResNet-50 at 224 px, between 4 and 32.
BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class CalibrationResult:
    """What the calibration images said, before any choice of a method.

    Attributes:
        tensors: Statistics by tensor name.
        images: How many images were seen.
        images_sha256: Digest of their preprocessed pixels, whatever their order.
        threads: torch's thread count during the pass, on which float's last bits depend.
    """

    tensors: Mapping[str, TensorStatistics]
    images: int
    images_sha256: str
    threads: int


def collect(
    model: Callable[[torch.Tensor], object],
    observers: Mapping[str, ActivationObserver],
    images: Iterable[FloatArray],
    *,
    on_batch: Callable[[int], None] | None = None,
) -> CalibrationResult:
    """Run the images through the observed model and read its observers.

    Args:
        model: Float network with the observers inside it.
        observers: The same observers by tensor name, fresh: what they saw before counts too.
        images: Preprocessed images, each float32 of shape (3, H, W).
        on_batch: Called after each batch with the number of images in it.

    Raises:
        ValueError: There is no image, an activation is not finite, or an observer saw nothing.
    """
    digests: list[bytes] = []
    stream = iter(images)
    with torch.inference_mode():
        while batch := list(islice(stream, BATCH_SIZE)):
            digests += [hashlib.sha256(image.tobytes()).digest() for image in batch]
            for name, observer in observers.items():
                observer.name, observer.expected = name, len(batch)
            model(_padded(batch))
            if on_batch is not None:
                on_batch(len(batch))
    if not digests:
        raise ValueError("calibration: expected at least one image, found none")
    return CalibrationResult(
        tensors={name: observer.statistics() for name, observer in observers.items()},
        images=len(digests),
        images_sha256=hashlib.sha256(b"".join(sorted(digests))).hexdigest(),
        threads=torch.get_num_threads(),
    )


def _padded(images: list[FloatArray]) -> torch.Tensor:
    """A batch of BATCH_SIZE in channels_last order: the images, then zeros."""
    batch = np.zeros((BATCH_SIZE, *images[0].shape), dtype=np.float32)
    batch[: len(images)] = np.stack(images)
    return torch.from_numpy(batch).to(memory_format=torch.channels_last)
