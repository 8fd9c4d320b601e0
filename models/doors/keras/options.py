"""What a layer's configuration may say: every option is read, known to mean nothing, or refused."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from eightbit.models.doors.keras.activations import name_of
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

# What says nothing of the function that a layer computes after training.
_IDLE: Final = frozenset(
    {
        *("name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dtype"),
        *("activity_regularizer", "seed", "noise_shape", "momentum", "synchronized", "autocast"),
        *(
            "renorm",
            "renorm_clipping",
            "renorm_momentum",
            "batch_size",
            "input_dim",
            "input_length",
        ),
        *("lora_rank", "lora_alpha", "fused", "virtual_batch_size"),
    }
)
_IDLE_ENDS: Final = ("_initializer", "_regularizer", "_constraint")
_POLICIES: Final = ("DTypePolicy", "Policy", "PolicyV1")
_FLOATS: Final = frozenset(
    {"float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16"}
)


def _both(value: Any) -> Any:
    """One size for both sides, as Keras takes it too."""
    return (value, value) if isinstance(value, int) else value


def _type_name(value: Any) -> Any:
    """The name of a type, of which newer versions write an object."""
    if not isinstance(value, dict):
        return value
    config = value.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return name if value.get("class_name") in _POLICIES else value.get("class_name")


Size = Annotated[int, Field(ge=1, le=2**16)]
Count = Annotated[int, Field(ge=0, le=2**16)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Pair = Annotated[tuple[Size, Size], BeforeValidator(_both)]
Padding = Annotated[Literal["valid", "same"], BeforeValidator(lambda text: str(text).lower())]
Activation = Annotated[str, BeforeValidator(name_of)]
Layout = Literal["channels_last"] | None


class Options(BaseModel):
    """Base of the options of a kind of layer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dtype: Annotated[Literal[*sorted(_FLOATS)] | None, BeforeValidator(_type_name)] = None  # type: ignore[valid-type]
    quantization_config: None = None


class AxisOptions(Options):
    """Of what works along one dimension; the name of its function says nothing more."""

    axis: Annotated[
        int, BeforeValidator(lambda axis: axis[0] if isinstance(axis, list) else axis)
    ] = -1
    function: Any = None


class NoOptions(Options):
    """Of an operation, whose options are the arguments of its call."""

    function: Any = None


class IdleOptions(Options):
    """Of what does nothing after training, whatever it is told."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Read = TypeVar("Read", bound=Options)


def read_options(kind: type[Read], config: Mapping[str, Any], where: str) -> Read:
    """A layer's options, checked.

    Raises:
        InputError: One of them is not known, or has a value that is not.
    """
    left = {
        name: value
        for name, value in config.items()
        if name not in _IDLE and not name.endswith(_IDLE_ENDS)
    }
    try:
        return kind.model_validate(left)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = "".join(f"{one_line(part, 60)}: " for part in first["loc"][:1])
        said = (
            "expected no such option"
            if first["type"] == "extra_forbidden"
            else one_line(first["msg"].removeprefix("Value error, "), 120)
        )
        raise InputError(
            f"{where}: {place}{said}, found {one_line(first['input'], 60)}; no network with it is "
            "read"
        ) from exc
