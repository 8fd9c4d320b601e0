"""The two kinds of files that Keras saves a model to: its configuration, and its weights' places.

Nothing in them is run, and nothing is built before the configuration is known to be of layers
that are known here: Keras' own loader makes objects of any class that a file names.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import torch

from eightbit.models.bounded_files import open_regular
from eightbit.models.doors.file_kinds import HEAD_BYTES, described
from eightbit.models.doors.keras.hdf5 import Hdf5, library
from eightbit.models.doors.weight_files import shown_path
from eightbit.models.doors.wordings import listed, shown
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

EXPECTED: Final = "a model that Keras saved (.keras, .h5)"
SAVE_WHOLE: Final = "save the whole model, model.save(FILE)"

_ARCHIVE: Final = b"PK\x03\x04"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MAX_JSON_BYTES: Final = 64 * 2**20
_MAX_BYTES: Final = 8 * 2**30
_VERSION: Final = re.compile(r"(\d{1,3})\.(\d{1,3})")

# The folder of a model's layers; the second is that of Keras 2.12 to 2.15.
_LAYERS: Final = ("layers", "_layer_checkpoint_dependencies")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a layer's weights are.

    Attributes:
        path: Of names after classes, from the outermost model inwards: `functional/conv2d_1`.
        outer: Name of the layer of the outermost model that it is, or is in.
        name: Its own.
    """

    path: tuple[str, ...]
    outer: str
    name: str


class Weights:
    """The arrays of a layer, by their names."""

    def __init__(self, file: Hdf5, where: str, *, is_archive: bool) -> None:
        self._file = file
        self._where = where
        self._is_archive = is_archive

    def of(
        self, place: Place, names: Sequence[str], skipped: Sequence[str] = ()
    ) -> tuple[torch.Tensor, ...]:
        """Arrays of these names, float32, in their order.

        Args:
            place: Of the layer.
            names: What Keras calls them, in the order in which it makes them.
            skipped: Behind those, what is there too and is not read.

        Raises:
            InputError: The layer has others.
        """
        every = (*names, *skipped)
        paths = self._numbered(place) if self._is_archive else self._named(place, every)
        if len(paths) != len(every):
            raise InputError(
                f"{self._where}: {shown(place.name)}: expected the weights {listed(every)}, found "
                f"{len(paths)} arrays; is the file whole?"
            )
        return tuple(self._file.tensor(path) for path in paths[: len(names)])

    def _numbered(self, place: Place) -> tuple[str, ...]:
        """Paths in an archive, where arrays are numbered."""
        for folder in _LAYERS:
            group = "/".join(f"{folder}/{name}" for name in place.path) + "/vars"
            found = self._file.members(group)
            if found:
                return tuple(f"{group}/{number}" for number in range(len(found)))
        return ()

    def _named(self, place: Place, names: Sequence[str]) -> tuple[str, ...]:
        """Paths in an .h5 file: a layer's own group, or one of the model that it is in."""
        group = f"model_weights/{place.outer}"
        every = self._file.names(group, "weight_names")
        own = [name for name in every if len(place.path) == 1 or _owner(name) == place.name]
        found = [
            [name for name in own if _kind(name) in _ALIASES.get(kind, (kind,))] for kind in names
        ]
        if len(own) != len(names) or any(len(same) != 1 for same in found):
            return ()
        return tuple(f"{group}/{name}" for (name,) in found)


# What a weight may be called, by its name here.
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "kernel": ("kernel", "depthwise_kernel"),
}


def _kind(name: str) -> str:
    """What a weight is: the last part of its name, without what makes it unique."""
    return re.sub(r"(_\d+)?(:\d+)?$", "", name.rpartition("/")[2])


def _owner(name: str) -> str:
    """Name of the layer that a weight is of."""
    return name.rpartition("/")[0].rpartition("/")[2]


@dataclass(frozen=True, kw_only=True, eq=False)
class KerasFile:
    """An open file.

    Attributes:
        where: The file in messages.
        config: Of the model: its class and how it is made.
        version: Major and minor number of the Keras that wrote it.
        loss: What the model was trained with, as its configuration says; None where it does not.
        weights: Its arrays, as long as it is open.
        sha256: Of the file, hexadecimal.
    """

    where: str
    config: Mapping[str, Any]
    version: tuple[int, int]
    loss: object
    weights: Weights
    sha256: str


@contextmanager
def opened(path: Path) -> Iterator[KerasFile]:
    """Open a model's file.

    Raises:
        InputError: It is no such file, damaged, or holds weights without a model.
    """
    where = shown_path(path)
    with open_regular(path, EXPECTED) as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(HEAD_BYTES)
        if head[: len(_ARCHIVE)] == _ARCHIVE:
            content, config, version = _archive(file, where)
        elif head[: len(_HDF5)] == _HDF5:
            content, config, version = file, None, ""
        else:
            found = described(head) or "another file"
            raise InputError(f"{where}: expected {EXPECTED}, found {found}")
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        with _hdf5(content, where) as arrays:
            weights_file = Hdf5(arrays, where, size_bytes)
            is_archive = config is not None
            if config is None:
                config, version = _old_config(weights_file, where)
            found_version = _VERSION.match(version)
            yield KerasFile(
                where=where,
                config=config,
                version=(int(found_version[1]), int(found_version[2])) if found_version else (2, 0),
                loss=_loss(config, None if is_archive else weights_file, where),
                weights=Weights(weights_file, where, is_archive=is_archive),
                sha256=sha256,
            )


@contextmanager
def _hdf5(content: Any, where: str) -> Iterator[Any]:
    """The arrays of a file; what the library raises within is the file's fault."""
    h5py: Any = library()
    try:
        content.seek(0)
        with h5py.File(content, "r") as file:
            yield file
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as exc:
        raise InputError(
            f"{where}: expected {EXPECTED}, found a damaged HDF5 file ({one_line(exc, 120)}); "
            "download it again"
        ) from exc


def _archive(file: BufferedReader, where: str) -> tuple[Any, Mapping[str, Any], str]:
    """Weights, configuration and version of an archive, a zip of three files."""
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            stored = all(
                member.compress_type == zipfile.ZIP_STORED for member in archive.infolist()
            )
            if not {_CONFIG, _WEIGHTS} <= set(sizes):
                raise InputError(
                    f"{where}: expected {EXPECTED}, an archive with {_CONFIG} and {_WEIGHTS}, "
                    f"found one with {listed(list(sizes)) or 'nothing'}"
                )
            json_bytes = max(sizes[_CONFIG], sizes.get(_METADATA, 0))
            if not stored or json_bytes > _MAX_JSON_BYTES or sizes[_WEIGHTS] > _MAX_BYTES:
                raise InputError(
                    f"{where}: expected an archive as Keras writes it, found one that is "
                    "compressed or declares too much; save the model again"
                )
            config = _json(archive.read(_CONFIG), f"{where}: {_CONFIG}")
            about = archive.read(_METADATA) if _METADATA in sizes else b"{}"
            version = _json(about, f"{where}: {_METADATA}").get("keras_version")
            return io.BytesIO(archive.read(_WEIGHTS)), config, str(version)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError) as exc:
        if isinstance(exc, InputError):
            raise
        raise InputError(
            f"{where}: expected {EXPECTED}, found a damaged archive ({one_line(exc, 120)}); "
            "download it again"
        ) from exc


def _old_config(file: Hdf5, where: str) -> tuple[Mapping[str, Any], str]:
    """Configuration and version of an .h5 file, which are its attributes."""
    config = file.text("model_config")
    if config is None:
        raise InputError(
            f"{where}: expected {EXPECTED}, found an HDF5 file without a model, such as weights "
            f"alone; {SAVE_WHOLE}"
        )
    return _json(config, f"{where}: model_config"), str(file.text("keras_version"))


def _loss(config: Mapping[str, Any], file: Hdf5 | None, where: str) -> object:
    """What a model was trained with, by the name of its function or class."""
    if file is None:
        found = config.get("compile_config")
    else:
        text = file.text("training_config")
        found = None if text is None else _json(text, f"{where}: training_config")
    loss = found.get("loss") if isinstance(found, Mapping) else None
    return loss.get("class_name") if isinstance(loss, Mapping) else loss


def _json(text: str | bytes, where: str) -> Mapping[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InputError(
            f"{where}: expected JSON, found something else ({one_line(exc, 80)})"
        ) from exc
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a JSON object, found {type(content).__name__}")
    return content
