"""The drop class by class, with a correction for looking at many classes.

Of 1,000 classes that lost nothing, 50 would look worse or better with a test at 5 %. So the tests'
probabilities are adjusted to bound the false discovery rate: of the classes called changed, on
average at most one in twenty is not. Y. Benjamini and Y. Hochberg, "Controlling the false discovery
rate", Journal of the Royal Statistical Society B 57 (1995), 289-300. Their condition holds: every
image belongs to one class, so the tests are independent. Holm's correction, which guards against a
single false alarm, would hardly ever name a class with the few images that classes have.
"""

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from eightbit.benchmarks.accuracy.paired import SIGNIFICANT, mcnemar_p
from eightbit.models.spec import Count, Finite, Fraction, FrozenModel, PositiveCount


class ClassDrop(FrozenModel):
    """The drop on the images of one class.

    Attributes:
        index: Class index.
        n: Its images.
        top1_fp32: Fraction of them that the float model gets right.
        drop_pp: Float top-1 minus the candidate's on them, in percentage points.
        broke: Those that the float model gets right and the candidate wrong.
        fixed: The other way round.
        p_value: Exact two-sided McNemar test on this class alone.
        p_adjusted: The same after correcting for all classes that were looked at.
    """

    index: Count
    n: PositiveCount
    top1_fp32: Fraction
    drop_pp: Finite
    broke: Count
    fixed: Count
    p_value: Fraction
    p_adjusted: Fraction

    @model_validator(mode="after")
    def _one_of_two_right_on_no_more_than_all(self) -> Self:
        changed = self.broke + self.fixed
        if changed > self.n:
            raise ValueError(f"broke, fixed: expected at most {self.n} together, found {changed}")
        return self

    @property
    def lost(self) -> bool:
        """Whether it lost answers, and chance does not explain that."""
        return self.drop_pp > 0 and self.p_adjusted < SIGNIFICANT


class ClassCounter:
    """Counts images and right answers by their true class, in four numbers per class."""

    def __init__(self, classes: int) -> None:
        # One row each: images, those that float gets right, broke, fixed.
        self._counts = np.zeros((4, classes), dtype=np.int64)

    def update(
        self,
        truth: npt.NDArray[np.int64],
        reference_right: npt.NDArray[np.bool_],
        candidate_right: npt.NDArray[np.bool_],
    ) -> None:
        """Adds one batch.

        Args:
            truth: True class of each image, int64, shape (N,), 0 to classes - 1.
            reference_right: Whether the float model names it, bool, shape (N,).
            candidate_right: Whether the candidate does, bool, shape (N,).
        """
        chosen = (
            truth,
            truth[reference_right],
            truth[reference_right & ~candidate_right],
            truth[candidate_right & ~reference_right],
        )
        for counts, of_class in zip(self._counts, chosen, strict=True):
            counts += np.bincount(of_class, minlength=len(counts))

    def result(self) -> tuple[ClassDrop, ...]:
        """Every class that has images, by index.

        Raises:
            ValueError: No image has been added.
        """
        seen = np.flatnonzero(self._counts[0])
        if not seen.size:
            raise ValueError("no image has been added: call update first")
        counts = self._counts[:, seen].T.tolist()
        p_values = [mcnemar_p(broke, fixed) for _, _, broke, fixed in counts]
        return tuple(
            ClassDrop(
                index=index,
                n=n,
                top1_fp32=right / n,
                drop_pp=100 * (broke - fixed) / n,
                broke=broke,
                fixed=fixed,
                p_value=p_value,
                p_adjusted=p_adjusted,
            )
            for index, (n, right, broke, fixed), p_value, p_adjusted in zip(
                seen.tolist(), counts, p_values, adjusted(p_values), strict=True
            )
        )


def adjusted(p_values: list[float]) -> list[float]:
    """The lowest false discovery rate at which each test is still significant, in the same order.

    Benjamini and Hochberg's correction of at least one p-value of independent tests.
    """
    from scipy.stats import false_discovery_control

    return [float(p_value) for p_value in false_discovery_control(p_values, method="bh")]
