import re
import warnings

import numpy as np
import pytest
from pydantic import ValidationError

from eightbit.calibration import QuantDType, QuantParams, qparams

# Columns of the docstring's table: name, dtype, granularity, range, zero points.
_ROW = re.compile(
    r"^(activation|weight|bias) +(\w+) +(per \w+) +(\S+) \.\. (\S+) +(\d+)(?: \.\. (\d+))? ",
    re.MULTILINE,
)


def written(number: str) -> int:
    """-127 or -2^30, as an integer."""
    base, _, power = number.lstrip("-").partition("^")
    size: int = int(base) ** int(power or 1)
    return -size if number.startswith("-") else size


def truth_table() -> list[tuple[QuantDType, str, int, int, int, int]]:
    rows = []
    for _, dtype, granularity, qmin, qmax, first, last in _ROW.findall(qparams.__doc__ or ""):
        numbers = written(qmin), written(qmax), written(first), written(last or first)
        rows.append((QuantDType(dtype), granularity, *numbers))
    return rows


def params(
    dtype: QuantDType = QuantDType.UINT8,
    scale: tuple[float, ...] = (0.5,),
    zero_point: tuple[int, ...] = (0,),
    axis: int | None = None,
) -> QuantParams:
    return QuantParams(dtype=dtype, scale=scale, zero_point=zero_point, axis=axis)


def test_the_table_has_a_row_for_every_type() -> None:
    assert [row[0] for row in truth_table()] == list(QuantDType)


@pytest.mark.parametrize("row", truth_table(), ids=lambda row: row[0].value)
def test_the_table_is_what_the_code_does(row: tuple[QuantDType, str, int, int, int, int]) -> None:
    dtype, granularity, qmin, qmax, first, last = row
    assert (dtype.qmin, dtype.qmax) == (qmin, qmax)
    for zero_point in (first, last):
        assert params(dtype, zero_point=(zero_point,)).zero_point == (zero_point,)
    for zero_point in (first - 1, last + 1):
        with pytest.raises(ValidationError, match=rf"expected {dtype} zero points in {first}\.\."):
            params(dtype, zero_point=(zero_point,))
    made = {
        QuantDType.UINT8: qparams.activation_params(-1.0, 1.0),
        QuantDType.INT8: qparams.weight_params(np.ones((2, 1), "f4"), np.ones(2, "f4"), 1.0),
    }
    made[QuantDType.INT32] = qparams.bias_params(made[QuantDType.INT8], 1.0)
    assert made[dtype].dtype == dtype
    assert made[dtype].axis == {"per tensor": None, "per channel": 0}[granularity]


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(0.0, id="zero"),
        pytest.param(-1.0, id="negative"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(0.1, id="not a float32 number"),
        pytest.param(1e300, id="too large for float32"),
        pytest.param(1e-300, id="too small for float32"),
    ],
)
def test_a_scale_is_a_positive_float32_number(scale: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValidationError):
            params(scale=(scale,))


def test_float32_scales_are_accepted_as_they_are() -> None:
    tenth, denormal = float(np.float32(0.1)), 2.0**-149
    assert params(scale=(tenth,)).scale == (tenth,)
    assert params(scale=(denormal,)).scale == (denormal,)


def test_there_are_as_many_zero_points_as_scales() -> None:
    with pytest.raises(ValidationError, match="as many zero points as scales, found 1 and 2"):
        params(QuantDType.INT8, scale=(0.5, 0.5), axis=0)


def test_there_is_at_least_one_scale() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        params(scale=(), zero_point=())


def test_a_tensor_without_an_axis_has_one_scale() -> None:
    with pytest.raises(ValidationError, match="per-tensor scale is one number, found 2"):
        params(scale=(0.5, 0.5), zero_point=(0, 0))


def test_a_negative_axis_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        params(axis=-1)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"zero_point": (1.0,)}, id="a zero point that is a float"),
        pytest.param({"zero_point": (True,)}, id="a zero point that is a bool"),
        pytest.param({"scale": ("0.5",)}, id="a scale that is a string"),
        pytest.param({"scale": [0.5]}, id="scales in a list"),
        pytest.param({"dtype": "uint16"}, id="another type"),
        pytest.param({"colour": "red"}, id="an unknown key"),
    ],
)
def test_nothing_is_converted_or_ignored(changed: dict[str, object]) -> None:
    fields: dict[str, object] = {"dtype": QuantDType.UINT8, "scale": (0.5,), "zero_point": (0,)}
    QuantParams.model_validate(fields)
    with pytest.raises(ValidationError):
        QuantParams.model_validate(fields | changed)


def test_json_gives_the_same_numbers_back() -> None:
    scales = tuple(float(np.float32(s)) for s in (0.1, 1 / 3, 1e-30, 3e38, 2.0**-149))
    original = params(QuantDType.INT8, scales, (0,) * len(scales), axis=0)
    assert QuantParams.model_validate_json(original.model_dump_json()) == original


def test_equal_numbers_are_equal_and_hash_alike() -> None:
    assert params(scale=(0.5,)) == params(scale=(0.5,))
    assert len({params(), params(), params(zero_point=(1,)), params(scale=(0.25,))}) == 3


def test_params_cannot_be_changed() -> None:
    fixed = params()
    with pytest.raises(ValidationError, match="frozen"):
        fixed.scale = (1.0,)  # type: ignore[misc]


def test_broadcast_puts_the_channels_on_their_axis() -> None:
    per_channel = params(QuantDType.INT8, (0.5, 0.25, 1.0), (0, 0, 0), axis=1)
    scale, zero_point = per_channel.broadcast(4)
    assert scale.shape == zero_point.shape == (1, 3, 1, 1)
    assert scale.ravel().tolist() == [0.5, 0.25, 1.0]


def test_params_of_a_tensor_broadcast_against_any_shape() -> None:
    scale, zero_point = params(zero_point=(3,)).broadcast(4)
    assert scale.shape == zero_point.shape == (1, 1, 1, 1)
    assert (scale.item(), zero_point.item()) == (0.5, 3)
