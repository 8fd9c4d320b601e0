"""From an image file to the network's input, bit for bit as torchvision's preset does it.

The reference is `torchvision.transforms._presets.ImageClassification` on a Pillow image: resize
the shorter side (antialiased), cut out the centre, scale to 0..1, normalise. torchvision cannot
resize to what covers a height and a width; there it is timm's evaluation (`ResizeKeepRatio`).
A large JPEG that is decoded scaled has no such reference: it differs from it by a little.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from eightbit.models.errors import UnusableImage
from eightbit.models.images.decoding import ScaledImage, decode_image, decode_scaled
from eightbit.models.spec import Decode, Interpolation, Preprocessing, Size, height_and_width

# A strip of 1 x 30000 pixels, resized by its shorter side, would need gigabytes.
MAX_RESIZED_PIXELS = 100_000_000

PIXEL_MAX = np.float32(255)


def decode_for(data: bytes, preprocessing: Preprocessing) -> Image.Image | ScaledImage:
    """Decode an image file as far as its preprocessing needs it; for `cropped_pixels`.

    Raises:
        UnusableImage: As `decode_image`; or, decoded scaled, as `cropped_pixels`.
    """
    if preprocessing.decode is Decode.EXACT:
        return decode_image(data)
    return decode_scaled(data, lambda size: _resized_size(size, preprocessing))


def file_pixels(data: bytes, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
    """Decode, resize and crop an image file to read-only uint8, (H, W, 3) of the crop.

    Raises:
        UnusableImage: As `decode_for` and `cropped_pixels`.
    """
    return cropped_pixels(decode_for(data, preprocessing), preprocessing)


def preprocess(
    image: Image.Image | ScaledImage, preprocessing: Preprocessing
) -> npt.NDArray[np.float32]:
    """Resize, crop, scale and normalise one RGB image: contiguous float32, (3, H, W) of the crop.

    It is one of `decode_image` or of `decode_for`. One smaller than the crop is padded with black.

    Raises:
        UnusableImage: So long and narrow that resized it would not fit into memory.
        ValueError: The mode is not RGB.
    """
    pixels = cropped_pixels(image, preprocessing)
    planes: npt.NDArray[np.float32] = normalised_images(pixels[None], preprocessing)[0]
    return planes


def cropped_pixels(
    image: Image.Image | ScaledImage, preprocessing: Preprocessing
) -> npt.NDArray[np.uint8]:
    """Resize and crop one RGB image to read-only uint8, (H, W, 3) of the crop.

    An image smaller than the crop is padded with black.

    Raises:
        UnusableImage: So long and narrow that resized it would not fit into memory.
        ValueError: The mode is not RGB.
    """
    if isinstance(image, Image.Image) and image.mode != "RGB":
        raise ValueError(f"image: expected mode RGB, found {image.mode}; use decode_image")
    return np.asarray(_centre_crop(_resize(image, preprocessing), *preprocessing.crop_size))


def normalised_images(
    pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing
) -> npt.NDArray[np.float32]:
    """`normalise`, channels first: uint8 (N, H, W, 3) to contiguous float32 (N, 3, H, W).

    Each plane is scaled in place while in the cache: a fifth of the time of normalising, then
    transposing.
    """
    count, height, width, channels = pixels.shape
    images = np.empty((count, channels, height, width), dtype=np.float32)
    for image, target in zip(pixels, images, strict=True):
        for channel, mean, std in zip(
            range(channels), *channel_statistics(preprocessing), strict=True
        ):
            plane = target[channel]
            plane[...] = image[:, :, channel]
            plane /= PIXEL_MAX
            plane -= mean
            plane /= std
    return images


def normalise(
    pixels: npt.NDArray[np.uint8], preprocessing: Preprocessing
) -> npt.NDArray[np.float32]:
    """``(x / 255 - mean) / std``, each step in float32, for RGB uint8 (..., 3); same shape."""
    mean, std = channel_statistics(preprocessing)
    return (pixels.astype(np.float32) / PIXEL_MAX - mean) / std


def nearest_pixels(
    images: npt.NDArray[np.float32], preprocessing: Preprocessing
) -> npt.NDArray[np.uint8]:
    """The inverse of `normalise`: nearest uint8 of float32 (..., 3), black where not finite."""
    mean, std = channel_statistics(preprocessing)
    finite = np.nan_to_num(images, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    steps: npt.NDArray[np.float32] = (finite * std + mean) * PIXEL_MAX + np.float32(0.5)
    return np.clip(steps, 0, PIXEL_MAX).astype(np.uint8)


def channel_statistics(
    preprocessing: Preprocessing,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation as they are computed with: float32, shape (3,)."""
    mean = np.asarray(preprocessing.mean, dtype=np.float32)
    return mean, np.asarray(preprocessing.std, dtype=np.float32)


_FILTERS: Final = {
    Interpolation.BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC: Image.Resampling.BICUBIC,
}


def _resize(image: Image.Image | ScaledImage, preprocessing: Preprocessing) -> Image.Image:
    """Resize as the preprocessing says, antialiased."""
    size, kernel = _resized_size(image.size, preprocessing), _FILTERS[preprocessing.interpolation]
    return (
        image.resized(size, kernel)
        if isinstance(image, ScaledImage)
        else image.resize(size, kernel)
    )


def _resized_size(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Width and height to which an image of this width and height is resized."""
    if preprocessing.squash:
        height, width = height_and_width(preprocessing.resize)
        return width, height
    return _covering(size, preprocessing.resize)


def _covering(size: tuple[int, int], resize: Size) -> tuple[int, int]:
    """Width and height of the smallest image of the same ratio that covers a size.

    Of a square, the longer side is rounded down, as torchvision does it; otherwise the other side
    to the nearest, in the steps of timm's `ResizeKeepRatio`: halves fall as they do there.
    """
    if isinstance(resize, int):
        short, long = sorted(size)
        longer = int(resize * long / short)
        width, height = (resize, longer) if size[0] <= size[1] else (longer, resize)
    else:
        ratio = min(size[1] / resize[0], size[0] / resize[1])
        width, height = round(size[0] / ratio), round(size[1] / ratio)
    if width * height > MAX_RESIZED_PIXELS:
        raise UnusableImage(
            f"too narrow: {size[0]} x {size[1]} pixels would become"
            f" {max(width, height)} x {min(width, height)}"
        )
    return width, height


def _centre_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """Cut out the centre; what lies outside the image is black."""
    left, top = _offset(image.width, width), _offset(image.height, height)
    return image.crop((left, top, left + width, top + height))


def _offset(length: int, side: int) -> int:
    """Where the crop begins along one axis; negative where the image is smaller.

    torchvision rounds half to even when it cuts, and puts the odd pixel after when it pads.
    """
    return round((length - side) / 2) if length >= side else -((side - length) // 2)
