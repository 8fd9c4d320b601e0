"""The drop class by class, with a correction for looking at many classes."""

from pydantic import NonNegativeInt, PositiveInt

from eightbit.benchmarks.confidence import Fraction
from eightbit.models.spec import Finite, FrozenModel


class ClassDrop(FrozenModel):
    """What quantization did to the images of one class.

    Attributes:
        index: Of the class.
        n: Its images.
        top1_fp32: Fraction of them that the float model gets right.
        drop_pp: Float top-1 minus the candidate's on them, in percentage points.
        broke: Those that the float model gets right and the candidate wrong.
        fixed: The other way round.
        p_value: Of the exact two-sided McNemar test on this class alone.
        p_adjusted: The same after correcting for all classes that were looked at.
    """

    index: NonNegativeInt
    n: PositiveInt
    top1_fp32: Fraction
    drop_pp: Finite
    broke: NonNegativeInt
    fixed: NonNegativeInt
    p_value: Fraction
    p_adjusted: Fraction
