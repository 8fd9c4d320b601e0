"""Pictures for those who have none at hand: enough to compare kernels, not to judge predictions.

Photographs have most of their contrast in large shapes: its amplitude falls with the frequency
(D. J. Field, JOSA A 4, 1987). So do these, in colours that vary less than brightness does.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from eightbit.models.images.preprocessing import normalised_images
from eightbit.models.spec import Preprocessing

MADE_UP: Final = "made-up pictures"

_COLOUR: Final = 0.4  # of what brightness varies
_GRAIN: Final = 8.0  # standard deviation, of 255
_MEAN, _MEAN_SPREAD, _CONTRAST = 115.0, 30.0, 60.0  # of 255


def made_up_pixels(
    preprocessing: Preprocessing, count: int, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Preprocessed pictures: float32, shape (count, 3, crop, crop); the same for the same seed."""
    rng = np.random.default_rng(seed)
    pictures = np.stack([_picture(rng, preprocessing.crop) for _ in range(count)])
    return normalised_images(pictures, preprocessing)


def made_up_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """One picture with a camera's grain, mode RGB; the same for the same seed.

    Without grain its JPEG file would be a third as long, and sooner decoded.
    """
    rng = np.random.default_rng(seed)
    picture = _picture(rng, max(width, height))[:height, :width]
    grain = _GRAIN * rng.standard_normal((height, width, 1))
    return Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))


def _picture(rng: np.random.Generator, side: int) -> npt.NDArray[np.uint8]:
    """RGB, uint8, shape (side, side, 3)."""
    shapes = np.zeros((side, side, 3))
    cells = 2
    while cells <= side:
        grid = rng.standard_normal((cells, cells, 1)) + _COLOUR * rng.standard_normal(
            (cells, cells, 3)
        )
        shapes += np.stack([_enlarged(grid[..., c], side) for c in range(3)], axis=-1) / cells
        cells *= 2
    shapes *= _CONTRAST / max(float(shapes.std()), 1e-9)
    shapes += _MEAN + _MEAN_SPREAD * rng.standard_normal(3) - shapes.mean(axis=(0, 1))
    return np.clip(shapes, 0, 255).astype(np.uint8)


def _enlarged(grid: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float32]:
    image = Image.fromarray(grid.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
