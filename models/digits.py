"""Handwritten digits as small photos: a real input that needs no download.

Source: the 1,797 test images of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten
Digits, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, as scikit-learn's
`load_digits` has them: 8 x 8 pixels with values 0 (paper) to 16 (ink), no names of writers. So
the split is by image, not by writer: it measures quantization, not generalization.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from eightbit.models.errors import InputError

SIDE: Final = 32
LABELS: Final = tuple("0123456789")
TRAINING_IMAGES_PER_CLASS: Final = 108

# In this package's assets, made by `train_digits`; so many of the 717 held-out images are right in
# float.
WEIGHTS_FILE: Final = "digits_resnet20.safetensors"
HELD_OUT_CORRECT: Final = 715

_SPLIT_SEED: Final = 0
_MAX_VALUE: Final = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Images with their classes.

    Attributes:
        images: uint8, shape (N, 32, 32, 3), RGB, white ink on black.
        labels: int64, shape (N,), 0..9.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class DigitsSplit:
    """The data set in two disjoint parts, 1,080 and 717 images.

    Attributes:
        training: Exactly 108 images of each class (60 %), for training and calibration.
        held_out: All others, 66 to 75 of each class, for measuring only.
    """

    training: Digits
    held_out: Digits


def load_digits_split() -> DigitsSplit:
    """Read the digits from scikit-learn and split them; always the same.

    Raises:
        InputError: scikit-learn is not installed.
    """
    values, labels = _read_digits()
    images = np.stack([_as_photo(image) for image in values])
    training, held_out = split_indices(labels)
    return DigitsSplit(
        training=Digits(images=images[training], labels=labels[training]),
        held_out=Digits(images=images[held_out], labels=labels[held_out]),
    )


def split_indices(
    labels: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the training and of the held-out images, int64 and ascending.

    Chosen per class by SHA-256 of seed and index, so that no library version changes the split.
    ``labels`` are int64, shape (N,), 0..9.
    """
    training: list[int] = []
    for label in range(len(LABELS)):
        members = np.flatnonzero(labels == label).tolist()
        training += sorted(members, key=_draw)[:TRAINING_IMAGES_PER_CLASS]
    chosen = np.isin(np.arange(len(labels)), training)
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def write_class_folders(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], folder: Path
) -> None:
    """Write RGB images, uint8 of shape (N, H, W, 3), as ``folder/<label>/<position>.png``."""
    for position, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{position:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def _read_digits() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Values int64, shape (1797, 8, 8), 0..16; labels int64, shape (1797,)."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as exc:
        raise InputError(
            "digits: expected scikit-learn, which has the images, found no such package; "
            'pip install "eightbit[demo]"'
        ) from exc
    digits = load_digits()
    return digits.images.astype(np.int64), digits.target.astype(np.int64)


def _as_photo(values: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """One digit, shape (8, 8), 0..16, as RGB uint8, enlarged (bilinear) to shape (32, 32, 3)."""
    grey = ((values * 255 + _MAX_VALUE // 2) // _MAX_VALUE).astype(np.uint8)
    photo = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(photo.convert("RGB"))


def _draw(index: int) -> bytes:
    """A value that looks random, compared as bytes."""
    return hashlib.sha256(f"{_SPLIT_SEED}\ndigit\n{index}".encode()).digest()
