"""What a classifier is apart from its weights; needs neither torch nor torchvision."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

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

PixelCount = Annotated[int, Field(ge=1, le=8192)]


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


class Preprocessing(FrozenModel):
    """From a decoded RGB image to the network's input.

    Attributes:
        resize: Length in pixels of the shorter side after resizing (bilinear, antialiased).
        crop: Side in pixels of the centre square that is cut out.
        mean: Per RGB channel, subtracted after scaling the pixels to 0..1.
        std: Per RGB channel, divided by after the subtraction.
    """

    resize: PixelCount = 256
    crop: PixelCount = 224
    mean: tuple[Finite, Finite, Finite] = IMAGENET_MEAN
    std: tuple[Positive, Positive, Positive] = IMAGENET_STD


class ModelSpec(FrozenModel):
    """A classifier without its weights.

    Attributes:
        architecture: Which network.
        num_classes: Width of the classifier, at least 1.
        labels: One name per class, or None where they are not known.
        preprocessing: How an image becomes the network's input.
    """

    architecture: Architecture
    num_classes: Annotated[int, Field(ge=1, le=MAX_CLASSES)]
    labels: tuple[str, ...] | None = None
    preprocessing: Preprocessing = Preprocessing()

    @model_validator(mode="after")
    def _one_label_per_class(self) -> Self:
        if self.labels is not None and len(self.labels) != self.num_classes:
            raise ValueError(
                f"labels: expected {self.num_classes} names, one per class, "
                f"found {len(self.labels)}"
            )
        return self
