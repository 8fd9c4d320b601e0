"""What x86 without VNNI makes of a sum of products, instruction by instruction.

``vpmaddubsw`` multiplies uint8 with int8 and adds each two neighbours in a signed 16-bit integer
that saturates; ``vpmaddwd`` with ones adds each two of those in 32 bits. Which numbers are
neighbours is the runtime's choice: an `Order`.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer]
Order = Callable[[Integers], Integers]


def vpmaddubsw(a: Integers, b: Integers) -> npt.NDArray[np.int16]:
    """``saturate_int16(a[2i] b[2i] + a[2i + 1] b[2i + 1])`` along the last axis, of even length.

    Args:
        a: uint8.
        b: int8, broadcasts against ``a``.
    """
    products = _checked(a, np.uint8).astype(np.int64) * _checked(b, np.int8)
    sums = products[..., 0::2] + products[..., 1::2]
    limits = np.iinfo(np.int16)
    return np.clip(sums, limits.min, limits.max).astype(np.int16)


def vpmaddwd_ones(pairs: Integers) -> npt.NDArray[np.int32]:
    """``pairs[2i] + pairs[2i + 1]`` of int16 in int32, along the last axis of even length."""
    wide = _checked(pairs, np.int16).astype(np.int32)
    return wide[..., 0::2] + wide[..., 1::2]


def dot(a: Integers, b: Integers) -> npt.NDArray[np.int32]:
    """Sum of products along the last axis as the instructions make it; wraps in 32 bits.

    Args:
        a: uint8.
        b: int8, broadcasts against ``a``.
    """
    return vpmaddwd_ones(vpmaddubsw(_in_fours(a), _in_fours(b))).sum(-1, dtype=np.int32)


def channels_by_position(kernel: Integers) -> Integers:
    """Neighbouring channels at one position of the kernel; an odd channel is alone.

    Args:
        kernel: Shape (..., C, kH, kW): weights, or the inputs that meet them.

    Returns:
        Shape (..., K), with zeros where nothing is.
    """
    rows = _in_fours(np.moveaxis(kernel, -3, -1))
    return rows.reshape(*rows.shape[:-3], -1)


def flattened(kernel: Integers) -> Integers:
    """Neighbours in the row (kH, kW, C): an odd channel meets the first of the next position.

    Args and result are those of `channels_by_position`.
    """
    rows = np.moveaxis(kernel, -3, -1)
    return rows.reshape(*rows.shape[:-3], -1)


ORDERS: dict[str, Order] = {
    "channels of one position": channels_by_position,
    "the flattened row": flattened,
}


def convolution(
    x: Integers,
    weight: Integers,
    order: Order,
    *,
    zero_point: int,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> npt.NDArray[np.int32]:
    """``sum((x - z) * w)`` of a convolution; the zero point is taken out after the instructions.

    Args:
        x: uint8, shape (N, C, H, W).
        weight: int8, shape (O, C / groups, kH, kW).
        order: Which numbers are neighbours.
        zero_point: Of ``x``; also what padding holds.
        stride: In both directions.
        padding: On all four sides.
        groups: Number of groups.

    Returns:
        Shape (N, O, H', W').
    """
    width = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, width, constant_values=zero_point)
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    # (N, H', W', C, kH, kW)
    patches = np.moveaxis(windows[:, :, ::stride, ::stride], 1, 3)
    sums = [
        dot(order(inputs)[..., np.newaxis, :], order(kernel))
        for inputs, kernel in zip(
            np.split(patches, groups, axis=3), np.split(weight, groups), strict=True
        )
    ]
    shift = zero_point * weight.astype(np.int32).sum((1, 2, 3), dtype=np.int32)
    return np.moveaxis(np.concatenate(sums, axis=-1) - shift, -1, 1)


def saturates(weight: Integers, order: Order) -> npt.NDArray[np.bool_]:
    """Whether an output channel's sum can be wrong, shape (O,).

    Asked of the two worst inputs: 255 where the weight is positive and 0 elsewhere, and the
    reverse. No other input makes any pair's sum larger, or smaller.

    Args:
        weight: int8, shape (O, C, kH, kW), or (O, K) of a linear layer.
        order: Which numbers are neighbours.
    """
    row = order(weight.reshape(*weight.shape, *[1] * (4 - weight.ndim)))
    wrong = np.zeros(len(row), dtype=bool)
    for worst in (row > 0, row < 0):
        x = np.where(worst, 255, 0).astype(np.uint8)
        exact = (x.astype(np.int64) * row).sum(-1)
        wrong |= dot(x, row) != exact
    return wrong


def _in_fours(row: Integers) -> Integers:
    """The last axis filled up with zeros to a multiple of four, what one int32 is made of."""
    width = [(0, 0)] * (row.ndim - 1) + [(0, -row.shape[-1] % 4)]
    return np.pad(row, width)


def _checked(array: Integers, dtype: npt.DTypeLike) -> Integers:
    if array.dtype != dtype:
        raise TypeError(f"expected {np.dtype(dtype)}, found {array.dtype}")
    return array
