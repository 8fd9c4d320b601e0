"""What a classifier is apart from its weights; needs neither torch nor torchvision."""

import math
from enum import StrEnum
from typing import Annotated, Any, Final, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

MAX_CLASSES = 1_000_000

# Wide enough for pixels on any usual scale, and always finite in float32.
Positive = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]

# The largest to which every reader of JSON knows all integers: a count beyond it counts nothing.
MAX_COUNT = 2**53
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
PositiveCount = Annotated[int, Field(ge=1, le=MAX_COUNT)]

MAX_SIDE: Final = 8192
PixelCount = Annotated[int, Field(ge=1, le=MAX_SIDE)]

Size: TypeAlias = int | tuple[int, int]
"""Of an image in pixels: the side of a square, or (height, width)."""


def height_and_width(size: Size) -> tuple[int, int]:
    """Both sides of an image in pixels."""
    return (size, size) if isinstance(size, int) else size


def of_sides(height: int, width: int) -> Size:
    """The size of that height and width: a square's is its side."""
    return height if height == width else (height, width)


def size_text(size: Size) -> str:
    """A size as the command line takes it: `224`, or height and width as `224x320`."""
    return str(size) if isinstance(size, int) else "x".join(map(str, size))


def _of_one_or_two(size: object) -> str:
    return "sides" if isinstance(size, list | tuple) else "side"


# With a tag for each form, what is wrong is said of the form that was given. The same size is the
# same value, however it is written.
PixelSize = Annotated[
    Annotated[PixelCount, Tag("side")] | Annotated[tuple[PixelCount, PixelCount], Tag("sides")],
    Discriminator(_of_one_or_two),
    AfterValidator(lambda size: of_sides(*height_and_width(size))),
]


class FrozenModel(BaseModel):
    """Base of every value that is read from or written to disk: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Architecture(StrEnum):
    """The networks that this project builds; the value is the name on the command line."""

    RESNET18 = "resnet18"
    RESNET34 = "resnet34"
    RESNET50 = "resnet50"
    RESNET101 = "resnet101"
    RESNET152 = "resnet152"
    RESNEXT50_32X4D = "resnext50_32x4d"
    RESNEXT101_32X8D = "resnext101_32x8d"
    RESNEXT101_64X4D = "resnext101_64x4d"
    WIDE_RESNET50_2 = "wide_resnet50_2"
    WIDE_RESNET101_2 = "wide_resnet101_2"
    CIFAR_RESNET20 = "cifar_resnet20"
    CIFAR_RESNET32 = "cifar_resnet32"
    CIFAR_RESNET44 = "cifar_resnet44"
    CIFAR_RESNET56 = "cifar_resnet56"
    CIFAR_RESNET110 = "cifar_resnet110"

    @property
    def is_cifar(self) -> bool:
        """Whether this is one of He et al.'s CIFAR networks (torchvision has none of them)."""
        return self.value.startswith("cifar_")


def _is_no_architecture(name: str) -> str:
    if name in tuple(Architecture):
        raise ValueError(f"expected the architecture {name}, found its name")
    return name


NetworkName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:+-]{0,99}$"), AfterValidator(_is_no_architecture)
]
"""What a network is called that this project does not build: a callable's name, `timm:NAME`."""


class Interpolation(StrEnum):
    """How pixels are weighed when an image is resized; always antialiased, as Pillow does it."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


class Decode(StrEnum):
    """How large a JPEG is decoded before it is resized."""

    EXACT = "exact"
    """Whole."""
    SCALED = "scaled"
    """Halved, quartered or at an eighth, as far as twice what it is resized to remains."""


class ChannelOrder(StrEnum):
    """What channels a network was trained on; artefacts take red, green, blue whatever it is."""

    RGB = "rgb"
    BGR = "bgr"
    GREY = "grey"


class Preprocessing(FrozenModel):
    """From an image file to the network's input.

    Attributes:
        resize: Length in pixels of the shorter side after resizing (antialiased); or height and
            width of what the resized image just covers.
        crop: Side in pixels of the centre square that is cut out, or its height and width.
        interpolation: Of the resizing. Not in the JSON where it is bilinear.
        squash: Whether the image becomes `resize` exactly (both sides, or height and width),
            whatever its ratio. Not in the JSON where it is not so.
        decode: Whether a large JPEG is decoded whole. Not in the JSON where it is.
        mean: Per RGB channel, subtracted after scaling the pixels to 0..1.
        std: Per RGB channel, divided by after the subtraction.
    """

    resize: PixelSize = 256
    crop: PixelSize = 224
    mean: tuple[Finite, Finite, Finite] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD
    interpolation: Interpolation = Interpolation.BILINEAR
    squash: bool = False
    decode: Decode = Decode.EXACT

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        if self.interpolation is Interpolation.BILINEAR:
            del content["interpolation"]
        if not self.squash:
            del content["squash"]
        if self.decode is Decode.EXACT:
            del content["decode"]
        return content

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of the network's input, in pixels."""
        return height_and_width(self.crop)

    @property
    def crop_pixels(self) -> int:
        """Number of the input's pixels."""
        height, width = self.crop_size
        return height * width

    @property
    def decoding(self) -> str:
        """How images are decoded, in words with a comma behind; empty where they are whole."""
        return "" if self.decode is Decode.EXACT else f"{self.decode} decoding, "

    @property
    def resized(self) -> str:
        """What is resized to how many pixels, in words."""
        size = f"{size_text(self.resize)} px"
        if isinstance(self.resize, int):
            return f"{'both sides' if self.squash else 'shorter side'} {size}"
        return f"{'squashed to' if self.squash else 'covering'} {size} (height x width)"


class Task(StrEnum):
    """What the outputs of a network mean; the value is the name on the command line."""

    SINGLE_LABEL = "single-label"
    """One class per image, that of the highest logit; probabilities by softmax."""
    BINARY = "binary"
    """One logit: the second of two classes where its sigmoid exceeds the threshold."""
    MULTI_LABEL = "multi-label"
    """One logit per class: every class whose sigmoid exceeds the threshold."""
    REGRESSION = "regression"
    """Numbers as they are."""

    @property
    def metric(self) -> str:
        """What a network is judged by, in a word; empty where nothing is right or wrong."""
        return _METRICS[self]

    @property
    def has_threshold(self) -> bool:
        """Whether each logit is a decision of its own."""
        return self in (Task.BINARY, Task.MULTI_LABEL)


_METRICS: Final = {
    Task.SINGLE_LABEL: "top-1",
    Task.BINARY: "accuracy",
    Task.MULTI_LABEL: "mAP",
    Task.REGRESSION: "",
}

EVEN: Final = 0.5  # the threshold at which a logit's sign decides

# Probabilities, but for those that no logit or every logit exceeds.
Threshold = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


def recognised_task(num_classes: int) -> Task:
    """The task where none is declared: of one output there is nothing to choose the highest of."""
    return Task.BINARY if num_classes == 1 else Task.SINGLE_LABEL


class ModelSpec(FrozenModel):
    """A network without its weights, and what its outputs mean.

    Attributes:
        architecture: Which network; a name of its own for one that this project does not build.
        num_classes: Width of the classifier: the number of outputs, at least 1.
        labels: One name per class, or per output of a regression; of a binary classifier two, the
            negative one first. None where they are not known.
        preprocessing: How an image becomes the network's input.
        task: What the outputs mean; by default single-label, and of one output binary. Not in the
            JSON where it is single-label.
        threshold: Probability above which a binary or multi-label classifier says yes. Not in the
            JSON where it is 0.5.
    """

    architecture: Annotated[Architecture | NetworkName, Field(union_mode="left_to_right")]
    num_classes: Annotated[int, Field(ge=1, le=MAX_CLASSES)]
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing = Preprocessing()
    task: Task = Field(default_factory=lambda known: recognised_task(known["num_classes"]))
    threshold: Threshold = EVEN

    @property
    def class_count(self) -> int:
        """Number of names that `labels` has: the outputs, but two for the one of a binary task."""
        return 2 if self.task is Task.BINARY else self.num_classes

    @property
    def threshold_logit(self) -> float:
        """The logit whose sigmoid is the threshold."""
        return math.log(self.threshold / (1 - self.threshold))

    @property
    def as_single_label(self) -> "ModelSpec":
        """The same classes, two or more, for all that only asks what they are called."""
        return ModelSpec(
            architecture=self.architecture,
            num_classes=self.class_count,
            labels=self.labels,
            preprocessing=self.preprocessing,
            task=Task.SINGLE_LABEL,
        )

    @model_validator(mode="after")
    def _outputs_fit_the_task(self) -> Self:
        if self.task is Task.BINARY and self.num_classes != 1:
            raise ValueError(f"task: expected one output of binary, found {self.num_classes}")
        if self.task in (Task.SINGLE_LABEL, Task.MULTI_LABEL) and self.num_classes == 1:
            raise ValueError(
                f"task: expected two outputs or more of {self.task}, found one; a classifier of "
                "one logit is binary"
            )
        if self.threshold != EVEN and not self.task.has_threshold:
            raise ValueError(f"threshold: expected none of {self.task}, found {self.threshold}")
        if self.labels is not None and len(self.labels) != self.class_count:
            raise ValueError(
                f"labels: expected {self.class_count} names, one per class, "
                f"found {len(self.labels)}"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The fields but for the task and the threshold that nearly all networks have."""
        content: dict[str, Any] = serialize(self)
        for name, usual in (("task", Task.SINGLE_LABEL), ("threshold", EVEN)):
            if content[name] == usual:
                del content[name]
        return content
