"""Two models on the same images: how well their difference in accuracy is known.

Only images that one of the two gets right and the other wrong tell them apart. SciPy is imported
where it is used: reading a report does without.
"""

import math
from bisect import bisect_left
from statistics import NormalDist
from typing import Final

_QUANTILE: Final = NormalDist().inv_cdf(0.975)  # two sides of 95 %
_POWER_QUANTILE: Final = NormalDist().inv_cdf(0.8)

SIGNIFICANT: Final = 0.05  # chance does not explain what is less probable

# Below the smallest difference of two fractions that floats can hold apart near 1.
_TOLERANCE: Final = 1e-16


def drop_interval_pp(broke: int, fixed: int, images: int) -> tuple[float, float]:
    """95 % confidence interval of the drop in percentage points.

    Tango's score interval for paired proportions: every drop that the score test at 5 % does not
    reject; T. Tango, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design", Statistics in Medicine 17 (1998), 891-908. Where no image
    changed it ends at z^2 / (n + z^2), with z = 1.96.

    Args:
        broke: Images that the reference gets right and the candidate wrong.
        fixed: Images that the candidate gets right and the reference wrong.
        images: All images.

    Returns:
        Lower and upper end; a drop is positive, a gain negative.

    Raises:
        ValueError: There are no images, or fewer than those that changed.
    """
    _check_counts(broke, fixed, images)
    return -100 * _upper_end(fixed, broke, images), 100 * _upper_end(broke, fixed, images)


def unchanged_end_pp(images: int) -> float:
    """Upper end of that interval where no image changed, in percentage points.

    Raises:
        ValueError: There are no images.
    """
    return drop_interval_pp(0, 0, images)[1]


def share_interval(count: int, total: int) -> tuple[float, float]:
    """95 % score interval of a share of independent trials, as fractions (E. B. Wilson, 1927)."""
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def images_needed(broke: int, fixed: int, images: int, bound_pp: float) -> int | None:
    """How many images the interval needs to lie below a bound in percentage points, at these rates.

    None if the drop itself reaches the bound, whatever the number. The counts are those of
    `drop_interval_pp`.

    Raises:
        ValueError: As in `drop_interval_pp`.
    """
    _check_counts(broke, fixed, images)

    def inside(count: int) -> bool:
        share = count / images
        return 100 * _upper_end(broke * share, fixed * share, count) <= bound_pp

    if 100 * (broke - fixed) / images >= bound_pp:
        return None
    few, enough = 0, images
    while not inside(enough):
        few, enough = enough, 2 * enough
    return few + 1 + bisect_left(range(few + 1, enough), True, key=inside)


def mcnemar_p(broke: int, fixed: int) -> float:
    """Exact two-sided McNemar test of whether two models are equally often right.

    If they are, each image that only one of them gets right goes to either by the toss of a coin:
    how probable a split at least as uneven is; 1 where there is no such image. Q. McNemar, "Note
    on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947), 153-157.

    Raises:
        ValueError: A count is negative.
    """
    if min(broke, fixed) < 0:
        raise ValueError(f"expected counts of images, found {broke} and {fixed}")
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(broke, fixed), broke + fixed, 0.5)))


def images_to_see(drop_pp: float, changed_share: float) -> int:
    """How many images show a drop four times in five, with a test at 5 % on two sides.

    n = (1.96 sqrt(psi) + 0.84 sqrt(psi - d^2))^2 / d^2 for a drop d and a share psi of images that
    only one model gets right; R. J. Connor, "Sample size for testing differences in proportions
    for the paired-sample design", Biometrics 43 (1987), 207-211.

    Args:
        drop_pp: The drop in percentage points, or a gain as large; not zero.
        changed_share: psi; one smaller than the drop is impossible and counts as the drop.

    Raises:
        ValueError: The drop is zero, or beyond 100 points, or the share is no share.
    """
    drop = abs(drop_pp) / 100
    if not 0 < drop <= 1 or not 0 <= changed_share <= 1:
        raise ValueError(f"expected a drop and a share, found {drop_pp} and {changed_share}")
    share = max(changed_share, drop)
    spread = _QUANTILE * math.sqrt(share) + _POWER_QUANTILE * math.sqrt(share - drop**2)
    return math.ceil((spread / drop) ** 2)


def _check_counts(broke: int, fixed: int, images: int) -> None:
    if images < 1 or min(broke, fixed) < 0 or broke + fixed > images:
        raise ValueError(f"expected counts of {images} images, found {broke} and {fixed}")


def _upper_end(broke: float, fixed: float, images: float) -> float:
    """Upper end as a fraction, of real counts; the lower one is minus that of them exchanged."""
    if broke == images:
        return 1.0
    # Chance allows nothing where all images are alike, so the root searched for below would be
    # the count itself. The other root has a closed form.
    squared = _QUANTILE**2
    if not broke + fixed:
        return squared / (images + squared)
    if fixed == images:
        return 2 * squared / (images + squared) - 1
    from scipy.optimize import brentq

    def excess(drop: float) -> float:
        """Squared distance of the drop from what was counted, less what chance allows."""
        # Fraction that the candidate alone gets right: its most likely value given this drop.
        linear = (2 * images - broke + fixed) * drop - broke - fixed
        constant = -fixed * drop * (1 - drop)
        root = math.sqrt(linear**2 - 8 * images * constant)
        gained = (root - linear) / (4 * images)
        variance = images * (2 * gained + drop * (1 - drop))
        return (broke - fixed - images * drop) ** 2 - squared * variance

    counted = (broke - fixed) / images
    return float(brentq(excess, counted, 1.0, xtol=_TOLERANCE))
