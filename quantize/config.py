"""The intent: what the user asked for, before any number is known."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from eightbit.benchmarks.artifact.formats import FORMATS, default_keys
from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.calibration.range_methods import Method
from eightbit.calibration.weight_methods import WeightMethod
from eightbit.models.class_match import ClassOrder
from eightbit.models.errors import InputError
from eightbit.models.label_files import ImageLabels
from eightbit.models.spec import Count, FrozenModel, PositiveCount

AUTO_SAMPLES: Final = "auto"

# Of ONNX: the lowest that has every operator of classifiers, so that old runtimes load them; the
# first that has a scale per channel; the newest that was tried.
OPSET: Final = 17
OLDEST_OPSET: Final = 13
NEWEST_OPSET: Final = 25

# Of accuracy: all that can be lost or won.
_MOST_PP: Final = 100


class Mode(StrEnum):
    """Which of torch's front ends places the observers and converts; the numbers are the same."""

    FX = "fx"
    EAGER = "eager"


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
    """Which of the two integers beside it a weight becomes; ``AUTO``: GPTQ's where that helps."""

    AUTO = "auto"
    NEAREST = "nearest"
    GPTQ = "gptq"


class Correction(StrEnum):
    """Whether biases take up the mean error of their channels: where it helps, always, never."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class QuantConfig(FrozenModel):
    """The choices that determine a recipe, together with the weights and the images.

    Attributes:
        mode: torch's front end.
        method: How activation ranges are chosen.
        weights: How weight ranges are chosen.
        rounding: How weights are rounded.
        equalize: Whether channels are rescaled first: where it saves range, everywhere, never.
        bias_correction: Whether biases make up for the mean error of their channels.
        target: The CPU that the artefacts are meant for.
        samples: Number of calibration images, class-balanced where there are classes; "auto" for
            as many as it takes until the ranges settle.
        seed: Of that draw.
        input: What every model of the bundle takes: preprocessed images, or their pixels.
        opset: Of the ONNX models. Not in the JSON where it is the usual one.
    """

    # Not strict: QuantConfig(method="mse") is what one types.
    mode: Annotated[Mode, Field(strict=False)] = Mode.FX
    method: Annotated[Method, Field(strict=False)] = Method.AUTO
    weights: Annotated[WeightMethod, Field(strict=False)] = WeightMethod.MINMAX
    rounding: Annotated[Rounding, Field(strict=False)] = Rounding.AUTO
    equalize: Annotated[Equalize, Field(strict=False)] = Equalize.AUTO
    bias_correction: Annotated[Correction, Field(strict=False)] = Correction.AUTO
    target: Annotated[Target, Field(strict=False)] = Target.PORTABLE
    samples: PositiveCount | Literal["auto"] = 128
    seed: Count = 0
    input: Annotated[InputFormat, Field(strict=False)] = InputFormat.FLOAT32
    opset: Annotated[int, Field(ge=OLDEST_OPSET, le=NEWEST_OPSET)] = OPSET

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        if self.opset == OPSET:
            del content["opset"]
        return content


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a run shall leave behind, and on which images it shall be measured.

    Attributes:
        out: Folder for the artefacts and the report.
        evaluate: Images to measure accuracy on; None to verify only.
        image_labels: Label by name of the image, for evaluation images without class folders; all
            its labels for a multi-label classifier.
        class_order: What the names of evaluation folders or labels are; None if they alone shall
            tell, which is refused where they leave a doubt.
        formats: Keys of `FORMATS`; those of its rows that say so by default.
        threads: At least 1; None for all cores that may be used.
        max_drop_pp: Gate in percentage points: the largest upper end, in any artefact, of the 95 %
            confidence interval of the drop of top-1, of a binary classifier's accuracy or of mAP.
        fallback: Whether to leave as few operations in float as that takes.
        overwrite: Whether files of an earlier run in ``out`` may be replaced.
        command: The command line that does the same again, for the report.

    Raises:
        InputError: The values contradict each other.
    """

    out: Path
    evaluate: Path | None = None
    image_labels: ImageLabels | None = None
    class_order: ClassOrder | None = None
    formats: tuple[str, ...] = default_keys()
    threads: int | None = None
    max_drop_pp: float | None = None
    fallback: bool = False
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if unknown := [key for key in self.formats if key not in FORMATS]:
            known = ", ".join(sorted(FORMATS))
            raise InputError(f"formats: expected {known}, found {unknown[0]!r}")
        if not self.formats:
            raise InputError(f"formats: expected at least one of {', '.join(FORMATS)}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: expected at least 1, found {self.threads}")
        if self.max_drop_pp is not None:
            check_max_drop(self.max_drop_pp)
        elif self.fallback:
            raise InputError("fallback: expected a drop to stay below, found none; give --max-drop")
        for given, what in (
            (self.max_drop_pp, "max drop: expected images to measure the drop on"),
            (self.image_labels, "labels: expected images that the labels belong to"),
            (self.class_order, "class order: expected images whose classes it tells"),
        ):
            if given is not None and self.evaluate is None:
                raise InputError(f"{what}, found none; give --evaluate")

    @property
    def thread_count(self) -> int:
        """Threads, with the default filled in."""
        return self.threads or usable_cores()


def check_max_drop(max_drop_pp: float) -> None:
    """Refuse a gate that nothing could fail or pass.

    Raises:
        InputError: It is no number from -100 to 100.
    """
    if not abs(max_drop_pp) <= _MOST_PP:
        raise InputError(
            f"max drop: expected percentage points from {-_MOST_PP} to {_MOST_PP}, found "
            f"{max_drop_pp!r}"
        )
