"""The intent: what the user asked for, before any number is known."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from eightbit.calibration.methods import Method
from eightbit.models.spec import FrozenModel


class Mode(StrEnum):
    """Which of torch's front ends places the observers and converts; the numbers are the same."""

    FX = "fx"
    EAGER = "eager"


class ArtifactFormat(StrEnum):
    """What can be written for deployment."""

    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"


class QuantConfig(FrozenModel):
    """The choices that determine a recipe, together with the weights and the images.

    Attributes:
        mode: torch's front end.
        method: How activation ranges are chosen.
        samples: How many calibration images to draw, class-balanced where there are classes.
        seed: Of that draw.
    """

    # Not strict: QuantConfig(method="mse") is what one types.
    mode: Annotated[Mode, Field(strict=False)] = Mode.FX
    method: Annotated[Method, Field(strict=False)] = Method.MSE
    samples: Annotated[int, Field(ge=1)] = 128
    seed: Annotated[int, Field(ge=0)] = 0
