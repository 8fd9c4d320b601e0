"""Names, shapes and lists of a checkpoint in messages: printable, and cut."""

import shlex
from collections.abc import Sequence
from typing import Final

from torch import Tensor

from eightbit.models.plain_text import one_line

_MAX_NAME: Final = 60


def shown(value: object) -> str:
    """A key, path, shape or type in a message."""
    return one_line(value, _MAX_NAME)


def shape_of(value: object) -> tuple[int, ...]:
    """Shape of a tensor; of anything else that of a number, which fits no layer."""
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def listed(names: Sequence[str], most: int = 4) -> str:
    """The first names, and how many more there are."""
    first = ", ".join(shown(name) for name in names[:most])
    return f"{first} and {len(names) - most:,} more" if len(names) > most else first


def option(label: str) -> str:
    """The option of the command line that takes what lies under a path."""
    return f"--weights-key {shlex.quote(shown(label))}"
