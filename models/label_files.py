"""Files in which a user names classes, or labels the images of a flat folder."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from eightbit.models.bounded_files import read_bounded
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

MAX_LABEL_FILE_BYTES = 64 * 2**20
_FILE_COLUMNS = ("file", "filename", "image")
_LABEL_COLUMN = "label"
ImageLabels: TypeAlias = Mapping[str, str] | Mapping[str, tuple[str, ...]]
"""The label of each image by its name; for a multi-label classifier all of them."""

_BETWEEN_LABELS = re.compile(r"[|;]")


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read class names in output order: a `.json` list of strings, or text with one name per line.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    text = _read_text(path)
    names = _names_from_json(path, text) if path.suffix.lower() == ".json" else text.splitlines()
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise InputError(f"{path}: expected the names of the classes, found none")
    if "" in names:
        raise InputError(
            f"{path}: entry {names.index('') + 1}: expected a class's name, found an empty one;"
            " every class needs its name, or those after it are numbered wrongly"
        )
    return tuple(names)


def read_image_labels(path: Path) -> dict[str, str]:
    """Read labels by image name, relative to its source, from a UTF-8 `.csv` with a header.

    Only the columns `file` (or `filename`, `image`) and `label` are read.

    Raises:
        InputError: The file cannot be read, lacks a column or a value, or labels an image twice.
    """
    labels: dict[str, str] = {}
    for where, name, label in _labelled_rows(path):
        if not label:
            raise InputError(f"{where}: expected a file and its label, found an empty field")
        if labels.setdefault(name, label) != label:
            raise InputError(
                f"{where}: {_shown(name)} is labelled {_shown(labels[name])} and {_shown(label)}"
            )
    return labels


def read_multi_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the labels of every image from a UTF-8 `.csv` with the columns `file` and `label`.

    Several labels are separated by `|` or `;`, or stand in rows of their own; an empty field is an
    image that has none of the classes.

    Raises:
        InputError: The file cannot be read, or lacks a column or the name of a file.
    """
    labels: dict[str, dict[str, None]] = {}
    for _, name, field in _labelled_rows(path):
        found = (label.strip() for label in _BETWEEN_LABELS.split(field))
        labels.setdefault(name, {}).update((label, None) for label in found if label)
    return {name: tuple(found) for name, found in labels.items()}


def _labelled_rows(path: Path) -> Iterator[tuple[str, str, str]]:
    """The rows of such a table, at least one: its place, the image's name, and what labels it.

    Raises:
        InputError: As in `read_image_labels`, but for labels.
    """
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""), strict=True)
    rows = 0
    try:
        columns = {(column or "").strip().lower(): column for column in reader.fieldnames or ()}
        file_column = next((columns[name] for name in _FILE_COLUMNS if name in columns), None)
        if file_column is None or _LABEL_COLUMN not in columns:
            raise InputError(
                f"{path}: expected a header with the columns file and label, found"
                f" {one_line(', '.join(columns)) or 'an empty file'}"
            )
        for row in reader:
            name, label = row[file_column] or "", row[columns[_LABEL_COLUMN]] or ""
            name = name.strip().replace("\\", "/").removeprefix("./")
            where = f"{path}: line {reader.line_num}"
            if not name:
                raise InputError(f"{where}: expected a file and its label, found an empty field")
            rows += 1
            yield where, name, label.strip()
    except csv.Error as exc:
        raise InputError(f"{path}: after line {reader.line_num}: not valid CSV: {exc}") from exc
    if not rows:
        raise InputError(f"{path}: expected a line for each image, found only the header")


def _read_text(path: Path) -> str:
    """Read a file as UTF-8, with or without a byte order mark."""
    try:
        return read_bounded(path, MAX_LABEL_FILE_BYTES, "a file of labels").decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(
            f"{path}: expected text in UTF-8, found byte {exc.start} that is not; save it as UTF-8"
        ) from exc


def _names_from_json(path: Path, text: str) -> list[str]:
    """Parse a list of strings."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path}: not valid JSON: {one_line(exc)}") from exc
    if not isinstance(names, list) or not all(_is_text(name) for name in names):
        raise InputError(
            f"{path}: expected a JSON list of strings, one name for each class, found"
            f" {one_line(text)[:60]}"
        )
    return names


def _is_text(name: object) -> bool:
    """Whether a value is a string that UTF-8 can say: JSON can escape halves of a character."""
    return isinstance(name, str) and not any("\ud800" <= char <= "\udfff" for char in name)


def _shown(name: str) -> str:
    return repr(one_line(name, 80))
