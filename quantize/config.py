"""The intent: what the user asked for, before any number is known."""

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.calibration.methods import Method
from eightbit.calibration.weight_methods import WeightMethod
from eightbit.models.spec import FrozenModel

AUTO_SAMPLES: Final = "auto"


class Mode(StrEnum):
    """Which of torch's front ends places the observers and converts; the numbers are the same."""

    FX = "fx"
    EAGER = "eager"


class ArtifactFormat(StrEnum):
    """What can be written for deployment."""

    TORCHSCRIPT = "torchscript"
    ONNX = "onnx"


class Equalize(StrEnum):
    """Whether channels between convolutions are rescaled to a common magnitude."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Target(StrEnum):
    """The CPU that the artefacts are meant for."""

    PORTABLE = "portable"
    X86_VNNI = "x86-vnni"
    ARM64 = "arm64"

    @property
    def protects_weights(self) -> bool:
        """Whether a CPU without VNNI is among those meant, see `calibration.saturation`."""
        return self is Target.PORTABLE


class Rounding(StrEnum):
    """Which of the two integers beside it a weight becomes."""

    NEAREST = "nearest"
    GPTQ = "gptq"


class QuantConfig(FrozenModel):
    """The choices that determine a recipe, together with the weights and the images.

    Attributes:
        mode: torch's front end.
        method: How activation ranges are chosen.
        weights: How weight ranges are chosen.
        rounding: How weights are rounded.
        equalize: Whether channels are rescaled first: where it saves range, everywhere, never.
        bias_correction: Whether biases take back the mean error of their channels.
        target: The CPU that the artefacts are meant for.
        samples: How many calibration images to draw, class-balanced where there are classes;
            "auto" for as many as it takes until the ranges settle.
        seed: Of that draw.
        input: What every model of the bundle takes: preprocessed images, or their pixels.
    """

    # Not strict: QuantConfig(method="mse") is what one types.
    mode: Annotated[Mode, Field(strict=False)] = Mode.FX
    method: Annotated[Method, Field(strict=False)] = Method.AUTO
    weights: Annotated[WeightMethod, Field(strict=False)] = WeightMethod.MINMAX
    rounding: Annotated[Rounding, Field(strict=False)] = Rounding.GPTQ
    equalize: Annotated[Equalize, Field(strict=False)] = Equalize.AUTO
    bias_correction: bool = True
    target: Annotated[Target, Field(strict=False)] = Target.PORTABLE
    samples: Annotated[int, Field(ge=1)] | Literal["auto"] = 128
    seed: Annotated[int, Field(ge=0)] = 0
    input: Annotated[InputFormat, Field(strict=False)] = InputFormat.FLOAT32
