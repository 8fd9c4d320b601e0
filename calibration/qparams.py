"""The integer contract: how real numbers become integers, and back.

Every artefact of this project, whatever the runtime, is measured against these lines.

=========== ======== ============ ================ ============ ================================
tensor      dtype    granularity  qmin .. qmax     zero point   scale
=========== ======== ============ ================ ============ ================================
activation  uint8    per tensor   0 .. 255         0 .. 255     (high - low) / 255, or the floor
weight      int8     per channel  -127 .. 127      0            max|w| / 127, or the floor
bias        int32    per channel  -2^30 .. 2^30    0            s_x * s_w
=========== ======== ============ ================ ============ ================================

* ``q = clamp(round_half_even(x / s) + z, qmin, qmax)``, ``x = (q - z) * s``. Real zero is an
  integer (``z``), so that zero padding and ReLU are exact.
* A convolution or linear layer computes ``y_q = clamp(round_half_even(acc * m) + z_y)`` with
  ``m = s_x * s_w / s_y`` and ``acc`` the int32 sum of ``(x_q - z_x) * w_q`` and the bias.
* A linear layer whose result is the network's output is not rounded: its logits are the float32
  numbers ``acc * (s_x * s_w)``.
* Global average pooling has a scale of its own: ``y_q`` is the mean of ``(x_q - z_x) * s_x`` over
  H x W positions, rounded to its output's grid. Max pooling keeps its input's parameters.
* A layer that is left in float takes ``(x_q - z_x) * s_x`` and its own float weights; its result is
  rounded like any activation if an operation in integers reads it.
* Every scale is a float32 number: the runtimes disagree about wider ones.

The scheme is that of Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference" (arXiv:1712.05877), section 2, with per-channel weights
(Krishnamoorthi, arXiv:1806.08342, section 3).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class QuantDType(StrEnum):
    """The integer types of the contract."""

    UINT8 = "uint8"
    INT8 = "int8"
    INT32 = "int32"

    @property
    def qmin(self) -> int:
        """Smallest integer that a tensor of this type may hold."""
        return _RANGES[self][0]

    @property
    def qmax(self) -> int:
        """Largest integer that a tensor of this type may hold."""
        return _RANGES[self][1]


# int8 is symmetric, so that a weight and its negative are both exact. And ARM without dot products
# adds two products in int16, which wraps: 2 * 128 * 127 fits, 2 * 128 * 128 does not. int32 stays
# half a range away from overflow: the products of a layer add at most 255 * 127 * K, under 2^30 up
# to K = 33,000 taps, seven times the largest ResNet's 512 * 3 * 3.
_RANGES = {
    QuantDType.UINT8: (0, 255),
    QuantDType.INT8: (-127, 127),
    QuantDType.INT32: (-(2**30), 2**30),
}

# The zero points of the table above.
_ZERO_POINTS = {
    QuantDType.UINT8: (0, 255),
    QuantDType.INT8: (0, 0),
    QuantDType.INT32: (0, 0),
}

# Under this a product of two scales could leave float32's normal numbers.
SMALLEST_SCALE = float(np.float32(2.0**-60))

Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class QuantParams(BaseModel):
    """How one tensor is quantized: plain numbers in tuples, so that equality and JSON are free.

    Attributes:
        scale: One float32 number for the tensor, or one per channel.
        zero_point: As many integers as scales.
        axis: Channel axis of a per-channel tensor, None for a per-tensor one.

    Raises:
        pydantic.ValidationError: A scale is not a positive float32 number, a zero point is out
            of what its type allows, or the lengths disagree.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dtype: QuantDType
    scale: Annotated[tuple[Scale, ...], Field(min_length=1)]
    zero_point: tuple[int, ...]
    axis: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if len(self.scale) != len(self.zero_point):
            raise ValueError(
                f"expected as many zero points as scales, found {len(self.zero_point)} "
                f"and {len(self.scale)}"
            )
        if self.axis is None and len(self.scale) != 1:
            raise ValueError(f"a per-tensor scale is one number, found {len(self.scale)}")
        scales = np.array(self.scale)
        with np.errstate(over="ignore"):
            if np.any(scales != scales.astype(np.float32)):
                raise ValueError("expected scales that are float32 numbers")
        smallest, largest = _ZERO_POINTS[self.dtype]
        if min(self.zero_point) < smallest or max(self.zero_point) > largest:
            raise ValueError(
                f"expected {self.dtype} zero points in {smallest}..{largest}, found "
                f"{min(self.zero_point)}..{max(self.zero_point)}"
            )
        return self

    def broadcast(self, ndim: int) -> tuple[DoubleArray, IntArray]:
        """Scale and zero point, shaped to broadcast against a tensor of ``ndim`` dimensions."""
        shape = [1] * ndim
        if self.axis is not None:
            shape[self.axis] = len(self.scale)
        return (
            np.array(self.scale, dtype=np.float64).reshape(shape),
            np.array(self.zero_point, dtype=np.int64).reshape(shape),
        )


def activation_params(low: float, high: float) -> QuantParams:
    """Parameters of a uint8 activation for ``low..high``, extended to represent zero exactly.

    Raises:
        ValueError: A bound is not finite, or ``low > high``.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"activation range: expected finite low <= high, found {low}..{high}")
    low, high = min(low, 0.0), max(high, 0.0)
    dtype = QuantDType.UINT8
    # A tensor that never left zero gets the range 0..1: any range represents it.
    width = (high - low) or 1.0
    scale = max(float(np.float32(width / dtype.qmax)), SMALLEST_SCALE)
    zero_point = int(np.clip(np.rint(-low / scale), dtype.qmin, dtype.qmax))
    return QuantParams(dtype=dtype, scale=(scale,), zero_point=(zero_point,))


def with_scale(params: QuantParams, scale: float | DoubleArray) -> QuantParams:
    """Parameters with a larger scale over the same range of real numbers.

    ``scale`` is a number or of shape (O,), at least the old one. It is rounded to float32, but not
    below the old one.
    """
    old = np.array(params.scale)
    new = np.maximum(np.atleast_1d(scale).astype(np.float32).astype(np.float64), old)
    zero_point = np.rint(np.array(params.zero_point) * old / new).astype(np.int64)
    return params.model_copy(
        update={"scale": tuple(new.tolist()), "zero_point": tuple(zero_point.tolist())}
    )


def largest_magnitude(weight: FloatArray) -> DoubleArray:
    """``max|w|`` per channel, shape (O,), of a float32 weight of shape (O, K)."""
    largest: FloatArray = np.abs(weight).max(axis=1)
    return largest.astype(np.float64)


def weight_params(
    weight: FloatArray,
    bias: FloatArray,
    input_scale: float,
    magnitude: Callable[[FloatArray], DoubleArray] = largest_magnitude,
) -> QuantParams:
    """Per-channel parameters of an int8 weight: symmetric, with a floor.

    The floor keeps the int32 bias inside its range: ``s_w >= |b| / (s_x * 2^30)``. It also
    gives a dead channel (all weights zero) a scale with which its bias is still exact.

    Args:
        weight: float32, shape (O, ...), O output channels.
        bias: float32, shape (O,).
        input_scale: Scale of the layer's input.
        magnitude: Maps a weight of shape (O, K) to the clipping bounds, shape (O,).

    Raises:
        ValueError: A weight or a bias is not finite.
    """
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ValueError("expected finite weights and biases, found NaN or infinity")
    largest = magnitude(weight.reshape(len(weight), -1))
    floor = np.abs(bias.astype(np.float64)) / (input_scale * QuantDType.INT32.qmax)
    scale = np.maximum(largest / QuantDType.INT8.qmax, np.maximum(floor, SMALLEST_SCALE))
    rounded = scale.astype(np.float32)
    # Rounded down, a floor would let the bias out of its range by a hair. Rounded up it cannot:
    # then s_x * s_w >= |b| / 2^30, a float32 number that rounding the product does not cross.
    rounded = np.where(rounded < scale, np.nextafter(rounded, np.float32(np.inf)), rounded)
    scales = tuple(float(s) for s in rounded)
    return QuantParams(dtype=QuantDType.INT8, scale=scales, zero_point=(0,) * len(scales), axis=0)


def bias_params(weight: QuantParams, input_scale: float) -> QuantParams:
    """Parameters of a layer's int32 bias: scale ``s_x * s_w`` per channel, zero point 0."""
    scale = (np.array(weight.scale, np.float32) * np.float32(input_scale)).astype(np.float64)
    return QuantParams(
        dtype=QuantDType.INT32,
        scale=tuple(float(s) for s in scale),
        zero_point=(0,) * len(scale),
        axis=0,
    )


def quantize(x: FloatArray | DoubleArray, params: QuantParams) -> IntArray:
    """``clamp(round_half_even(x / s) + z)`` as int64; same shape as ``x``.

    Raises:
        ValueError: ``x`` holds a NaN, which no integer stands for.
    """
    if np.isnan(x).any():
        raise ValueError("quantize: expected numbers, found NaN")
    scale, zero_point = params.broadcast(x.ndim)
    # Clipped before the conversion: an infinity is a large number, not an undefined integer.
    q = np.clip(np.rint(x / scale) + zero_point, params.dtype.qmin, params.dtype.qmax)
    return q.astype(np.int64)


def rounding_residue(x: FloatArray, dtype: QuantDType) -> FloatArray:
    """``clamp(round_half_even(x)) - x`` in float32, of numbers in units of their scale."""
    q: FloatArray = np.rint(x)
    np.clip(q, dtype.qmin, dtype.qmax, out=q)
    q -= x
    return q


def signed_steps(q: IntArray, params: QuantParams) -> IntArray:
    """``q - z``: how many steps of its grid each number lies from real zero; same shape."""
    _, zero_point = params.broadcast(q.ndim)
    return q - zero_point


def real_numbers(steps: IntArray | DoubleArray, params: QuantParams) -> DoubleArray:
    """``steps * s`` in float64, exact below 2^29 steps; for ``steps`` see `signed_steps`."""
    scale, _ = params.broadcast(steps.ndim)
    return steps * scale


def dequantize(q: IntArray, params: QuantParams) -> FloatArray:
    """``(q - z) * s`` as float32, rounded once; same shape as ``q``."""
    return real_numbers(signed_steps(q, params), params).astype(np.float32)


def requantize(acc: IntArray, bias: QuantParams, output: QuantParams) -> IntArray:
    """``clamp(round_half_even(acc * (s_x * s_w / s_y)) + z_y)``: a layer's sum to its output.

    ``acc`` are sums of products and bias, shape (O, ...), one row per output channel; ``bias`` has
    the scale ``s_x * s_w``.
    """
    scale, _ = bias.broadcast(acc.ndim)
    (output_scale,), (zero_point,) = output.scale, output.zero_point
    multiplier = (scale / output_scale).astype(np.float32).astype(np.float64)
    q: DoubleArray = np.rint(acc * multiplier) + zero_point
    return np.clip(q, output.dtype.qmin, output.dtype.qmax).astype(np.int64)
