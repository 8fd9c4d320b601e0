"""The JSON files of a folder that Hugging Face's `save_pretrained` wrote: hostile until checked.

Source of names, defaults and meaning: `ResNetConfig` and `ConvNextImageProcessor` of transformers
5.24. What a class there does not read is not read here either.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eightbit.models.bounded_files import read_bounded
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.pretrained import CHANGEABLE, check_scale
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import (
    Finite,
    Interpolation,
    PixelCount,
    Positive,
    Preprocessing,
    Task,
    size_text,
)

CONFIG: Final = "config.json"
PROCESSOR: Final = "preprocessor_config.json"

OWN_CODE: Final = "load it in your own code and give FILE.py:CALLABLE as SOURCE"

_CLASSIFIER: Final = "ResNetForImageClassification"
_PROCESSORS: Final = (
    *("ConvNextImageProcessor", "ConvNextImageProcessorFast", "ConvNextImageProcessorPil"),
    "ConvNextFeatureExtractor",
)
_MAX_BYTES: Final = 64 * 2**20
_SQUASHED_FROM_PX: Final = 384
_HALF: Final = (0.5, 0.5, 0.5)  # `IMAGENET_STANDARD_MEAN` and `_STD`, which are not ImageNet's
_FILTERS: Final = {2: Interpolation.BILINEAR, 3: Interpolation.BICUBIC}  # as Pillow counts them

# That of the published networks (microsoft/resnet-50).
_USUAL: Final = Preprocessing(resize=256, crop=224, interpolation=Interpolation.BICUBIC)
_NO_PROCESSOR: Final = (
    f"no {PROCESSOR}: shorter side 256 px, bicubic, centre 224 px and ImageNet's mean and standard "
    "deviation taken for granted, where no option says otherwise"
)
_ROUNDING: Final = (
    "images are prepared with Pillow: a library that resizes tensors differs by a grey level, and "
    "transformers begins the centre crop one pixel earlier on some sizes"
)

# What the file says whole; that images are squashed goes with their size.
# Which say what a file does not: how large photos are decoded, no file says.
_OPTIONS: Final = tuple(name for name in CHANGEABLE if name != "decode")
_IN_FILE: Final = ("resize", "crop", "interpolation", "mean", "std")

_TASKS: Final = {
    "single_label_classification": Task.SINGLE_LABEL,
    "multi_label_classification": Task.MULTI_LABEL,
    "regression": Task.REGRESSION,
}

_Width = Annotated[int, Field(ge=4, le=65_536)]
_Depth = Annotated[int, Field(ge=1, le=200)]
_Triple = tuple[Finite, Finite, Finite]
_Content = TypeVar("_Content", bound=BaseModel)


class _Json(BaseModel):
    """Base of what is read here; files hold much that no class of the library reads."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class HubResNet(_Json):
    """What `config.json` says of a ResNet.

    Attributes:
        num_channels: Of the images.
        embedding_size: Channels of the stem.
        hidden_sizes: Channels that leave each stage.
        depths: Number of blocks of each stage.
        layer_type: What the blocks are.
        hidden_act: The activation.
        downsample_in_first_stage: Whether that has stride 2 as well.
        downsample_in_bottleneck: Whether a bottleneck's stride is its first convolution's.
        id2label: A name by the index of each class.
        problem_type: What it was trained for.
    """

    model_type: Literal["resnet"]
    architectures: tuple[str, ...] | None = None
    num_channels: Literal[3] = 3
    embedding_size: _Width = 64
    hidden_sizes: Annotated[tuple[_Width, ...], Field(min_length=1, max_length=8)] = (
        *(256, 512, 1024, 2048),
    )
    depths: Annotated[tuple[_Depth, ...], Field(min_length=1, max_length=8)] = (3, 4, 6, 3)
    layer_type: Literal["basic", "bottleneck"] = "bottleneck"
    hidden_act: Literal["relu"] = "relu"
    downsample_in_first_stage: bool = False
    downsample_in_bottleneck: bool = False
    id2label: dict[str, str] | None = None
    problem_type: Literal[*_TASKS] | None = None  # type: ignore[valid-type]
    auto_map: None = None
    quantization_config: None = None

    @model_validator(mode="after")
    def _is_a_whole_classifier(self) -> Self:
        if len(self.hidden_sizes) != len(self.depths):
            raise ValueError(
                f"depths: expected one for each of {len(self.hidden_sizes)} hidden_sizes, "
                f"found {len(self.depths)}"
            )
        if self.architectures is not None and self.architectures != (_CLASSIFIER,):
            raise ValueError(
                f"architectures: expected {_CLASSIFIER}, found "
                f"{one_line(', '.join(self.architectures), 80) or 'none'}"
            )
        return self

    def labels(self, num_classes: int, where: str) -> tuple[str, ...] | None:
        """The names of the classes in their order; None where the library made them up.

        Raises:
            InputError: There is not one for each class.
        """
        if self.id2label is None:
            return None
        names = tuple(self.id2label.get(str(index), "") for index in range(num_classes))
        if len(self.id2label) != num_classes or not all(name.strip() for name in names):
            raise InputError(
                f"{where}: id2label: expected a name for each of 0 to {num_classes - 1}, the "
                f"classes of the weights, found {len(self.id2label):,} entries; give --labels"
            )
        made_up = tuple(f"LABEL_{index}" for index in range(num_classes))
        return None if names == made_up else names

    def task(self, num_classes: int) -> Task | None:
        """What the outputs mean; one output is a number where nothing else is said.

        Source: `ForSequenceClassificationLoss` of transformers.
        """
        if self.problem_type is None:
            return Task.REGRESSION if num_classes == 1 else None
        return _TASKS[self.problem_type]


class _Size(_Json):
    """A size; files of older versions have the number alone."""

    shortest_edge: PixelCount | None = None
    height: PixelCount | None = None
    width: PixelCount | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_number(cls, content: object) -> object:
        return {"shortest_edge": content} if isinstance(content, int) else content


class _Processor(_Json):
    """What `preprocessor_config.json` says; None is the library's default, as if left out."""

    image_processor_type: str | None = None
    feature_extractor_type: str | None = None
    do_resize: bool | None = None
    size: _Size | None = None
    crop_pct: Annotated[float, Field(ge=0.05, le=1)] | None = None
    resample: int | None = None
    do_center_crop: bool | None = None
    do_pad: bool | None = None
    do_rescale: bool | None = None
    rescale_factor: Annotated[float, Field(allow_inf_nan=False)] | None = None
    do_normalize: bool | None = None
    image_mean: _Triple | None = None
    image_std: tuple[Positive, Positive, Positive] | None = None

    def check_class(self, where: str) -> None:
        """Refuse a class that does something else with the same fields."""
        found = self.image_processor_type or self.feature_extractor_type
        if found not in _PROCESSORS:
            raise InputError(
                f"{where}: image_processor_type: expected {_PROCESSORS[0]}, found "
                f"{one_line(found, 60)}; say the preprocessing: "
                f"{', '.join(f'--{name}' for name in _OPTIONS)}"
            )

    def geometry(self, where: str) -> dict[str, object]:
        """Sizes in pixels, by the rule of `ConvNextImageProcessor.resize`."""
        advice = "give --resize and --crop"
        for name, wrong in (("do_resize", False), ("do_center_crop", True), ("do_pad", True)):
            if getattr(self, name) is wrong:
                raise InputError(f"{where}: {name}: found {str(wrong).lower()}; {advice}")
        edge = _SQUASHED_FROM_PX if self.size is None else self.size.shortest_edge
        if edge is None:
            raise InputError(f"{where}: size: {self._without_edge()}")
        if edge >= _SQUASHED_FROM_PX:
            return {"resize": edge, "crop": edge, "squash": True}
        ratio = 224 / 256 if self.crop_pct is None else self.crop_pct
        return {"resize": int(edge / ratio), "crop": edge}

    def _without_edge(self) -> str:
        """What is wrong with a size that the class itself refuses, and what to say in its place."""
        expected = f"expected shortest_edge, which {_PROCESSORS[0]} needs, found"
        if self.size is None or self.size.height is None or self.size.width is None:
            return f"{expected} none; give --resize and --crop"
        size = size_text((self.size.height, self.size.width))
        return (
            f"{expected} height and width {size}; give --resize {size} and --crop {size}, and "
            "--squash if images were resized to it whatever their ratio"
        )

    def filter(self, where: str) -> dict[str, object]:
        """How pixels are weighed."""
        number = 3 if self.resample is None else self.resample
        if number not in _FILTERS:
            raise InputError(
                f"{where}: resample: expected 2 (bilinear) or 3 (bicubic), found {number}; give "
                "--interpolation"
            )
        return {"interpolation": _FILTERS[number]}

    def scale(self, where: str) -> dict[str, object]:
        """Mean and standard deviation of pixels in 0..1."""
        factor = 1 / 255 if self.rescale_factor is None else self.rescale_factor
        if self.do_rescale is False or abs(factor * 255 - 1) > 1e-6:
            found = (
                "do_rescale: found false"
                if self.do_rescale is False
                else (f"rescale_factor: expected 1/255, found {factor:g}")
            )
            raise InputError(f"{where}: {found}; give --mean and --std of pixels in 0..1")
        if self.do_normalize is False:
            return {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        mean, std = self.image_mean or _HALF, self.image_std or _HALF
        try:
            check_scale(mean, std)
        except InputError as exc:
            raise InputError(f"{where}: image_{exc}") from exc
        return {"mean": mean, "std": std}


def read_config(folder: Path) -> HubResNet:
    """What `config.json` says of the network.

    Raises:
        InputError: There is none, or it is of another network than is built here.
    """
    return _read(folder / CONFIG, HubResNet, OWN_CODE)


def read_preprocessing(folder: Path, wanted: Wanted) -> tuple[Preprocessing, tuple[str, ...]]:
    """How images are prepared, and what was taken for granted; options come first.

    Raises:
        InputError: The file asks for what is not done here, and no option says otherwise.
    """
    open_fields = {name for name in _IN_FILE if getattr(wanted, name) is None}
    if wanted.preprocessing is not None or not open_fields:
        return wanted.prepared(_USUAL), ()
    path = folder / PROCESSOR
    if not path.exists():
        return wanted.prepared(_USUAL), (_NO_PROCESSOR,)
    where = printable(str(path))
    said = _read(path, _Processor, "give " + ", ".join(f"--{name}" for name in _OPTIONS))
    said.check_class(where)
    known: dict[str, object] = {}
    for names, read in (
        (("resize", "crop"), said.geometry),
        (("interpolation",), said.filter),
        (("mean", "std"), said.scale),
    ):
        if open_fields.intersection(names):
            known |= read(where)
    return wanted.prepared(Preprocessing.model_validate(known)), (_ROUNDING,)


def _read(path: Path, kind: type[_Content], advice: str) -> _Content:
    """A JSON file as a checked value."""
    where = printable(str(path))
    content = read_bounded(path, _MAX_BYTES, f"the {path.name} that save_pretrained writes")
    try:
        return kind.model_validate_json(content)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = "".join(f"{one_line(part, 60)}: " for part in first["loc"])
        said = one_line(first["msg"].removeprefix("Value error, "), 160)
        found = "" if first["type"] == "value_error" else f", found {one_line(first['input'], 60)}"
        raise InputError(f"{where}: {place}{said}{found}; {advice}") from exc
