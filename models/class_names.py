"""How the names of classes, folders and files are compared, and what their order may be."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from enum import IntEnum
from typing import Final

from eightbit.models.plain_text import printable

# Spaces, and what stands for them in names: underscores, hyphens and dashes.
_BETWEEN_WORDS: Final = frozenset({"Zs", "Zl", "Zp", "Pc", "Pd"})

_SPLIT: Final = re.compile(
    r"(train|training|val|valid|validation|eval|evaluation|dev|test|testing|holdout)"
    r"([ _-]?(set|data|images))?[ _-]?\d*"
)

_MAX_COMPARED: Final = 5000


class Likeness(IntEnum):
    """How two names may differ and still be equal, the strictest first."""

    SAME = 0  # after Unicode normalisation: é may be one character or two
    WORDS = 1  # one separator for another: guide_dog is guide dog
    ANY_CASE = 2


def comparable(name: str, likeness: Likeness) -> str:
    """The form in which names are equal that differ no more than `likeness` allows."""
    name = unicodedata.normalize("NFC", printable(name))
    if likeness >= Likeness.WORDS:
        spaced = (
            " " if char.isspace() or unicodedata.category(char) in _BETWEEN_WORDS else char
            for char in name
        )
        name = " ".join("".join(spaced).split())
    if likeness >= Likeness.ANY_CASE:
        # Folding may take a composed letter apart.
        name = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    return name


def as_number(name: str) -> int | None:
    """The number that a name is, from 0 and with or without leading zeros; None for other names."""
    return int(name) if name.isascii() and name.isdigit() and len(name) <= 9 else None


def is_split(name: str) -> bool:
    """Whether a folder is called as the parts of a data set are, such as train or val2017."""
    return _SPLIT.fullmatch(name.casefold()) is not None


def other_order(names: Iterable[str]) -> tuple[str, ...] | None:
    """Another order in which the names may have been sorted elsewhere; None where there is none.

    Accents come after the letter or after z, depending on how they are encoded; and numbers within
    names are sorted by their digits or by their value.
    """
    order = sorted(names)
    for key in (_composed, _decomposed, _by_value):
        other = sorted(order, key=key)
        if other != order:
            return tuple(other)
    return None


def suggestion(name: str, labels: Sequence[str]) -> str | None:
    """The label that a name may be a misspelling of."""
    if len(labels) > _MAX_COMPARED or len(name) > 100:
        return None
    forms = {comparable(label, Likeness.ANY_CASE): label for label in labels}
    close = get_close_matches(comparable(name, Likeness.ANY_CASE), forms, n=1, cutoff=0.75)
    return forms[close[0]] if close else None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


def _by_value(name: str) -> str:
    """A key that sorts class 2 before class 10, and all else as the names themselves."""
    return re.sub(r"[0-9]+", lambda number: number[0].zfill(18), name)
