"""Which instructions an emulated ARM processor multiplied integers of 8 bits with.

QEMU lists every instruction that it translates (`-d in_asm`): what is in the list was reached. It
is read by the bits, since its disassembler does not know all of them. The encodings are those of
the Arm Architecture Reference Manual (DDI 0487), sections C7.2 and C8.2.
"""

import re
from collections.abc import Iterable
from typing import Final

TRACE: Final = ("-d", "in_asm", "-D")
"""QEMU's options for the list; the name of its file comes behind them."""

_LINE: Final = re.compile(r"^0x[0-9a-f]+:  ([0-9a-f]{8}) ")

# Which bits tell it, and what they are: of vectors, then with one element for all.
_ENCODINGS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "sdot": ((0xBFE0FC00, 0x0E809400), (0xBFC0F400, 0x0F80E000)),
    "udot": ((0xBFE0FC00, 0x2E809400), (0xBFC0F400, 0x2F80E000)),
    "usdot": ((0xBFE0FC00, 0x0E809C00), (0xBFC0F400, 0x0F80F000)),
    "smmla": ((0xFFE0FC00, 0x4E80A400),),
    "ummla": ((0xFFE0FC00, 0x6E80A400),),
    "usmmla": ((0xFFE0FC00, 0x4E80AC00),),
    "sdot of SVE": ((0xFFE0FC00, 0x44800000),),
    "udot of SVE": ((0xFFE0FC00, 0x44800400),),
    "smmla of SVE": ((0xFFE0FC00, 0x45009800),),
    "ummla of SVE": ((0xFFE0FC00, 0x45C09800),),
    "usmmla of SVE": ((0xFFE0FC00, 0x45809800),),
    "smull": ((0xBFE0FC00, 0x0E20C000),),
    "smlal": ((0xBFE0FC00, 0x0E208000), (0xBFE0FC00, 0x0E608000)),
    "umull": ((0xBFE0FC00, 0x2E20C000),),
    "umlal": ((0xBFE0FC00, 0x2E208000), (0xBFE0FC00, 0x2E608000)),
}


def multiplications(lines: Iterable[str]) -> tuple[str, ...]:
    """The names of the multiplications in QEMU's list, in alphabetical order.

    Args:
        lines: Of the file.
    """
    words = {int(match[1], 16) for line in lines if (match := _LINE.match(line))}
    return tuple(
        sorted(
            name
            for name, encodings in _ENCODINGS.items()
            if any(word & mask == value for mask, value in encodings for word in words)
        )
    )
