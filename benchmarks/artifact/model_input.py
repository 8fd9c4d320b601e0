"""What a model takes: preprocessed images, or the pixels themselves."""

from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import model_validator

from eightbit.models.spec import FrozenModel, Size, height_and_width


class InputFormat(StrEnum):
    """The inputs that a model can be written for; the value is the name on the command line."""

    FLOAT32 = "float32"
    UINT8 = "uint8"
    UINT8_NHWC = "uint8-nhwc"


class ModelInput(FrozenModel):
    """A model's one input. As float32 it is normalised; as uint8 it is RGB pixels, 0 to 255.

    The layout is the order of its axes: N images, C channels, H rows, W columns.
    """

    name: InputFormat = InputFormat.FLOAT32
    dtype: Literal["float32", "uint8"] = "float32"
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @classmethod
    def of(cls, name: InputFormat) -> Self:
        """The input that a format's name stands for."""
        dtype, layout = _FORMATS[name]
        return cls(name=name, dtype=dtype, layout=layout)

    @model_validator(mode="after")
    def _as_the_name_says(self) -> Self:
        if (self.dtype, self.layout) != _FORMATS[self.name]:
            expected = " ".join(_FORMATS[self.name])
            raise ValueError(f"{self.name}: expected {expected}, found {self.dtype} {self.layout}")
        return self

    @property
    def shape_text(self) -> str:
        """Shape of a batch, for a message."""
        return f"({', '.join('3' if axis == 'C' else axis for axis in self.layout)})"

    def image_shape(self, size: Size) -> tuple[int, int, int]:
        """Shape of one image of that size in pixels."""
        height, width = height_and_width(size)
        return (3, height, width) if self.layout == "NCHW" else (height, width, 3)


_FORMATS: Final[dict[InputFormat, tuple[Literal["float32", "uint8"], Literal["NCHW", "NHWC"]]]] = {
    InputFormat.FLOAT32: ("float32", "NCHW"),
    InputFormat.UINT8: ("uint8", "NCHW"),
    InputFormat.UINT8_NHWC: ("uint8", "NHWC"),
}

PREPROCESSED: Final = ModelInput()
