"""The files of a source that are no images, counted by their ending."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import BeforeValidator

from eightbit.models.plain_text import counted, one_line
from eightbit.models.spec import Count, FrozenModel, PositiveCount

OTHER: Final = "other"

_MAX_ENDINGS: Final = 12
_LONGEST_ENDING: Final = 12

# What operating systems leave in a folder; hidden files begin with a dot.
_LITTER: Final = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})


def _without_surrogates(name: object) -> object:
    if not isinstance(name, str):
        return name
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


ImageName = Annotated[str, BeforeValidator(_without_surrogates)]
"""Name of an image file; bytes that are no UTF-8 become backslash escapes."""


class Ending(FrozenModel):
    """Files with one ending.

    Attributes:
        ending: Such as ".txt"; empty for files without, "other" for rare and very long ones.
        files: How many.
        example: Name of one of them.
    """

    ending: str
    files: PositiveCount
    example: ImageName


class PassedOver(FrozenModel):
    """Files of a source that are no images.

    Attributes:
        endings: Those that are not hidden, most files first; at most 12 endings and "other".
        hidden: Hidden files, and those that operating systems leave behind.
    """

    endings: tuple[Ending, ...] = ()
    hidden: Count = 0

    @property
    def files(self) -> int:
        """Those that are not hidden."""
        return sum(ending.files for ending in self.endings)

    def in_words(self) -> str:
        """The endings with their counts and an example, such as "2 .txt (such as 'a.txt')"."""
        return ", ".join(
            f"{ending.files:,} {ending.ending or 'without ending'} (such as"
            f" {one_line(ending.example, 40)!r})"
            for ending in self.endings[:4]
        ) + (f" and {counted(len(self.endings) - 4, 'ending')} more" * (len(self.endings) > 4))


class Counting:
    """Counts files that are no images, whatever their names, in bounded memory."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._examples: dict[str, str] = {}
        self._hidden = 0

    def add(self, name: str, *, hidden: bool) -> None:
        """Count one file by its printable name."""
        if hidden:
            self._hidden += 1
            return
        ending = PurePosixPath(name).suffix.lower()
        if len(ending) > _LONGEST_ENDING or (ending not in self._files and len(self._files) > 1000):
            ending = OTHER
        self._files[ending] = self._files.get(ending, 0) + 1
        self._examples.setdefault(ending, name)

    def result(self) -> PassedOver:
        """What was counted, the rarest endings together."""
        order = sorted(
            self._files, key=lambda ending: (ending == OTHER, -self._files[ending], ending)
        )
        shown, rest = order[:_MAX_ENDINGS], order[_MAX_ENDINGS:]
        endings = [self._ending(ending, (ending,)) for ending in shown]
        if rest:
            endings.append(self._ending(OTHER, rest))
        return PassedOver(endings=tuple(endings), hidden=self._hidden)

    def _ending(self, name: str, endings: Sequence[str]) -> Ending:
        files = sum(self._files[ending] for ending in endings)
        return Ending(ending=name, files=files, example=self._examples[endings[0]])


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a file or a folder around it is hidden, or left behind by an operating system."""
    return any((part.startswith(".") and part != "..") or part.lower() in _LITTER for part in parts)
