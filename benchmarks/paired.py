"""Two models on the same images: how well their difference in accuracy is known."""

import math
from statistics import NormalDist
from typing import Final

_QUANTILE: Final = NormalDist().inv_cdf(0.975)  # two sides of 95 %


def drop_interval_pp(broke: int, fixed: int, images: int) -> tuple[float, float]:
    """95 % confidence interval of the drop in percentage points.

    Both models saw the same images, so only those count that one got right and the other wrong.
    Wald's interval for paired proportions with half an image added to each of the four cells, cut
    off at 100: "Wald+2" of Agresti and Min, "Simple improved confidence intervals for comparing
    matched proportions", Statistics in Medicine 24 (2005), 729-740.

    Args:
        broke: Images that the reference gets right and the candidate wrong.
        fixed: Images that the candidate gets right and the reference wrong.
        images: All images.

    Returns:
        Lower and upper end; a drop is positive, a gain negative.

    Raises:
        ValueError: There are no images, or fewer than those that changed.
    """
    if images < 1 or min(broke, fixed) < 0 or broke + fixed > images:
        raise ValueError(f"expected counts of {images} images, found {broke} and {fixed}")
    return _interval_pp(broke, fixed, images)


def images_needed(broke: int, fixed: int, images: int, bound_pp: float) -> int | None:
    """How many images it takes for the interval to lie below a bound, if nothing else changes.

    Args:
        broke: As in `drop_interval_pp`.
        fixed: The same.
        images: On which that many changed.
        bound_pp: In percentage points.

    Returns:
        The number of images at which the same fractions give an upper end of at most the bound;
        None if the drop itself reaches the bound, whatever the number.
    """

    def inside(count: int) -> bool:
        share = count / images
        return _interval_pp(broke * share, fixed * share, count)[1] <= bound_pp

    if 100 * (broke - fixed) / images >= bound_pp:
        return None
    enough = images
    while not inside(enough):
        enough *= 2
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if inside(middle) else (middle, enough)
    return enough


def _interval_pp(broke: float, fixed: float, images: int) -> tuple[float, float]:
    """The interval itself, for counts that need not be whole."""
    padded = images + 2
    middle = (broke - fixed) / padded
    variance = broke + fixed + 1 - (broke - fixed) ** 2 / padded
    half = _QUANTILE * math.sqrt(variance) / padded
    return 100 * max(middle - half, -1.0), 100 * min(middle + half, 1.0)
