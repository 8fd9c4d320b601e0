"""Commands that are refused: exit code 2, one line that says what to do, and the disk as it was."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Eightbit = Callable[..., Any]


@dataclass(frozen=True)
class Place:
    """A folder to spoil, beside good inputs.

    Attributes:
        root: Empty and writable; the current folder.
        out: What --out is; does not exist.
        checkpoint: Good weights.
        photos: Good images in class folders.
        bundle: A good bundle; to be copied, not changed.
    """

    root: Path
    out: Path
    checkpoint: Path
    photos: Path
    bundle: Path

    def quantize(self, **options: object) -> tuple[object, ...]:
        """A good command, but for the given options; None leaves one out."""
        values: dict[str, object] = {
            "weights": self.checkpoint,
            "calibrate": self.photos,
            "out": self.out,
            "threads": 1,
            **options,
        }
        architecture = values.pop("architecture", "cifar_resnet20")
        given = {name: value for name, value in values.items() if value is not None}
        typed = [word for name, value in given.items() for word in _option(name, value)]
        return ("quantize", *(() if architecture is None else (architecture,)), *typed)

    def rebuild(self, recipe: Path, **options: object) -> tuple[object, ...]:
        """A good command that follows a recipe, but for the given options."""
        return self.quantize(architecture=None, calibrate=None, recipe=recipe, **options)


def _option(name: str, value: object) -> tuple[object, ...]:
    flag = f"--{name.replace('_', '-')}"
    return (flag,) if value is True else (flag, value)


Case = Callable[[Place], tuple[object, ...]]
"""Spoils one thing and returns the command."""


def cases(said: Mapping[Case, tuple[str, ...]]) -> pytest.MarkDecorator:
    """One test for each case; beside it stand the words that the line has to say."""
    return pytest.mark.parametrize(
        ("case", "said"), [pytest.param(*item, id=title(item[0])) for item in said.items()]
    )


def title(case: Case) -> str:
    """A case's name as words."""
    return case.__name__.strip("_").replace("_", " ")


def check_refused(case: Case, said: tuple[str, ...], place: Place, eightbit: Eightbit) -> None:
    """Run a case's command, which has to leave the disk as the case made it."""
    command = case(place)
    before = on_disk(place.root)
    line = eightbit(*command).error
    for words in said:
        assert words in line
    assert on_disk(place.root) == before


def on_disk(root: Path) -> dict[str, bytes | None]:
    """Everything below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }
