"""The windows of convolutions and pools, in LiteRT's terms.

It knows two borders: none, and the one that its "same" stands for, with the odd pixel below and to
the right. Every other border of torch's is written as an operator of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Window:
    """How a kernel moves over one axis.

    Attributes:
        taken: Pixels of the input.
        given: Pixels of the output.
        kernel, stride, padding, dilation: torch's.
    """

    taken: int
    given: int
    kernel: int
    stride: int
    padding: int
    dilation: int = 1

    @property
    def border(self) -> tuple[int, int]:
        """Pixels before and behind those of the input that the kernel reads."""
        reach = (self.given - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        return self.padding, max(reach - self.padding - self.taken, 0)

    @property
    def is_same(self) -> bool:
        """Whether the border is the one that LiteRT calls "same"."""
        reach = (self.given - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
        total = max(reach - self.taken, 0)
        rounded_up = -(-self.taken // self.stride)
        return self.given == rounded_up and self.border == (total // 2, total - total // 2)


def windows(
    taken: Sequence[int],
    given: Sequence[int],
    *,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> tuple[Window, Window]:
    """The windows over height and width, from the sizes of input and output."""
    rows, columns = (
        Window(
            taken=taken[axis],
            given=given[axis],
            kernel=kernel[axis],
            stride=stride[axis],
            padding=padding[axis],
            dilation=dilation[axis],
        )
        for axis in (0, 1)
    )
    return rows, columns
