"""Every command line of the pages is one that the program takes."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from sybil.document import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from tests.docs.pages import PAGES, ROOT, name_of

from eightbit.quantize.cli.quantize import app

PROGRAM: Any = typer.main.get_command(app)

FENCE = RawFencedCodeBlockLexer(re.compile(r"(?P<language>.*)$\n", re.MULTILINE))
INLINE = re.compile(r"`((?:eightbit|make|python -m) [^`\n]*(?:\n[^`\n]+)?)`")
STARTS = ("eightbit ", "make ", "python -m eightbit")

# What stands for a value of the reader's, such as DIR, SRC..., [FILE], N|auto or '...'.
PLACEHOLDER = re.compile(r"\[?[A-Z][A-Z0-9_/.]*(\.\.\.)?\]?|\.\.\.")


def commands(page: Path) -> Iterator[str]:
    """Every command line in a page: in code blocks, with continued lines joined, and in a text."""
    text = page.read_text()
    between, end = [], 0
    for region in FENCE(Document(text, str(page))):
        if region.lexemes["language"] != "python":
            yield from _lines(str(region.lexemes["source"]))
        between.append(text[end : region.start])
        end = region.end
    between.append(text[end:])
    yield from (" ".join(match.split()) for part in between for match in INLINE.findall(part))


def _lines(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        command = " ".join(line.strip().removeprefix("run: ").removeprefix("$ ").split())
        command = command.removeprefix(".venv/bin/")
        if command.startswith(STARTS):
            yield command


FOUND = sorted({(name_of(page), command) for page in PAGES for command in commands(page)})


def check(command: str) -> None:
    """Whether the program takes such a command line.

    Raises:
        typer.TyperException: It does not.
        AssertionError: The same, of `make` and of modules.
    """
    words = [word for word in shlex.split(command, comments=True) if word not in {"|", "..."}]
    if words[0] == "make":
        _check_make(words[1:])
    elif words[0] == "python":
        assert importlib.util.find_spec(words[2]), words[2]
    else:
        _check_eightbit(words[1:])


def _check_make(words: list[str]) -> None:
    targets = [word for word in words if "=" not in word]
    makefile = (ROOT / "Makefile").read_text()
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def _check_eightbit(words: list[str]) -> None:
    command = PROGRAM
    if words and not words[0].startswith("-"):
        name, *words = words
        assert name in PROGRAM.commands, name
        command = PROGRAM.commands[name]
    _check_arguments(command, words)


def _check_arguments(command: Any, words: list[str]) -> None:
    """Every option is known, has as many values as it takes, and these are of its type."""
    context = command.context_class(command)
    given, rest, _ = command.make_parser(context).parse_args(args=words)
    assert not rest, rest
    for parameter in command.params:
        value = given.get(parameter.name)
        words_of = value if isinstance(value, list | tuple) else [value]
        if value is not None and not any(_stands_for_another(word) for word in words_of):
            parameter.process_value(context, value)


def _stands_for_another(word: object) -> bool:
    return isinstance(word, str) and PLACEHOLDER.fullmatch(word) is not None


@pytest.mark.parametrize(("page", "command"), FOUND, ids=lambda text: text)
def test_a_command_of_the_pages_exists(page: str, command: str) -> None:
    check(command)


def test_commands_are_found_in_blocks_and_in_sentences() -> None:
    assert len(FOUND) > 40
    assert ("README.md", "make demo") in FOUND
    assert any(command.startswith("python -m eightbit.benchmarks") for _, command in FOUND)


@pytest.mark.parametrize(
    "command",
    [
        "eightbit quantise resnet18",
        "eightbit quantize resnet18 --weigths W",
        "eightbit quantize resnet19 --weights W",
        "eightbit verify DIR --samples many",
        "eightbit quantize resnet18 --mean 0.5 0.5",
        "eightbit verify DIR DIR",
        "make cake",
        "python -m eightbit.benchmarks.absent",
    ],
)
def test_a_command_that_would_be_refused_is_seen(command: str) -> None:
    with pytest.raises((typer.TyperException, AssertionError)):
        check(command)
