"""Whether a model that says 90 % is right nine times in ten."""

from typing import Annotated

from pydantic import Field, NonNegativeInt

from eightbit.models.spec import FrozenModel

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ConfidenceBin(FrozenModel):
    """Images to whose predicted class a model gives about the same probability.

    Attributes:
        images: How many there are.
        mean_confidence: Mean probability of the predicted class; None without images.
        accuracy: Fraction of them whose predicted class is the label; None without images.
    """

    images: NonNegativeInt
    mean_confidence: Fraction | None
    accuracy: Fraction | None


class ConfidenceResult(FrozenModel):
    """Calibration of a classifier's confidence.

    Attributes:
        ece: Expected calibration error: mean over the images of the distance between confidence
            and accuracy of their bin; C. Guo et al., "On Calibration of Modern Neural Networks",
            ICML 2017.
        mean_confidence: Mean probability of the predicted class.
        bins: Equally wide, from probability 0 to 1; a bin includes its upper end.
    """

    ece: Fraction
    mean_confidence: Fraction
    bins: tuple[ConfidenceBin, ...]
