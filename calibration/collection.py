"""One pass over the calibration images.

The last bits of a float convolution depend on batch size and thread count, so images run in
batches of one fixed size; the last is padded with zeros, which the observers ignore.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
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

# After so many a caller may look at the statistics and stop.
IMAGES_PER_CHECKPOINT = 4 * BATCH_SIZE


@dataclass(frozen=True, kw_only=True)
class CalibrationResult:
    """Statistics of the activations, before any choice of a method.

    Attributes:
        digests: SHA-256 of each image's preprocessed pixels, sorted, 32 bytes each.
        threads: torch's thread count during the pass, on which float's last bits depend.
    """

    tensors: Mapping[str, TensorStatistics]
    digests: tuple[bytes, ...]
    threads: int

    @property
    def images(self) -> int:
        """How many images were seen."""
        return len(self.digests)

    @property
    def images_sha256(self) -> str:
        """Digest of their preprocessed pixels, whatever their order: that of the sorted digests."""
        return hashlib.sha256(b"".join(self.digests)).hexdigest()

    def merge(self, other: "CalibrationResult") -> "CalibrationResult":
        """Exactly what one pass over the images of both gives, except for the moving averages.

        Two passes have no common order. An image that is in both counts twice.

        Raises:
            ValueError: Other tensors, or another thread count.
        """
        strangers = sorted(self.tensors.keys() ^ other.tensors.keys())
        if strangers:
            raise ValueError(
                f"merge: expected collections of the same network, found {strangers[0]} in only "
                "one of them"
            )
        if self.threads != other.threads:
            raise ValueError(
                "merge: expected collections with the same thread count, found "
                f"{self.threads} and {other.threads}; collect again with the same --threads"
            )
        return CalibrationResult(
            tensors={name: seen.merge(other.tensors[name]) for name, seen in self.tensors.items()},
            digests=tuple(sorted(self.digests + other.digests)),
            threads=self.threads,
        )


def collect(
    model: Callable[[torch.Tensor], object],
    observers: Mapping[str, ActivationObserver],
    images: Iterable[FloatArray],
    *,
    on_batch: Callable[[int], None] | None = None,
    until: Callable[[CalibrationResult], bool] | None = None,
    images_per_look: int = IMAGES_PER_CHECKPOINT,
) -> CalibrationResult:
    """Run the images through the observed model and read its observers.

    Args:
        model: Float network with the observers inside it.
        observers: The same observers by tensor name, fresh: what they saw before counts too.
        images: Preprocessed images, each float32 of shape (3, H, W); drawn batch by batch.
        on_batch: Called after each batch with the number of images in it.
        until: Called with the statistics so far; no image is drawn after it returns True.
        images_per_look: Images between two calls of ``until``, a multiple of 8.

    Raises:
        ValueError: There is no image, an activation is not finite, or an observer saw nothing.
    """
    digests: list[bytes] = []
    stream = iter(images)
    # Hashing lets go of the interpreter: it runs beside the network.
    with torch.inference_mode(), ThreadPoolExecutor(max_workers=1) as hashing:
        while batch := list(islice(stream, BATCH_SIZE)):
            hashed = hashing.map(_digest, batch)
            for name, observer in observers.items():
                observer.name, observer.expected = name, len(batch)
            model(_padded(batch))
            digests += hashed
            if on_batch is not None:
                on_batch(len(batch))
            if until is not None and len(digests) % images_per_look == 0:
                so_far = _result(observers, digests)
                if until(so_far):
                    return so_far
    if not digests:
        raise ValueError("calibration: expected at least one image, found none")
    return _result(observers, digests)


def _result(observers: Mapping[str, ActivationObserver], digests: list[bytes]) -> CalibrationResult:
    """A snapshot of what was seen."""
    return CalibrationResult(
        tensors={name: observer.statistics() for name, observer in observers.items()},
        digests=tuple(sorted(digests)),
        threads=torch.get_num_threads(),
    )


def _digest(image: FloatArray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()


def _padded(images: list[FloatArray]) -> torch.Tensor:
    """A batch of BATCH_SIZE in channels_last order: the images, then zeros."""
    batch = np.zeros((BATCH_SIZE, *images[0].shape), dtype=np.float32)
    batch[: len(images)] = np.stack(images)
    return torch.from_numpy(batch).to(memory_format=torch.channels_last)
