"""The weights of a file for a module that is already built."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eightbit.models.doors.checkpoints import usable
from eightbit.models.doors.key_words import names_training
from eightbit.models.doors.matching import COUNTER
from eightbit.models.doors.state_dicts import ROOT, StateDict, find_under, state_dicts
from eightbit.models.doors.weight_files import SAVE_AGAIN, read_weight_file, shown_path
from eightbit.models.doors.wordings import listed, option, shape_of, shown
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.torch_state import own_state


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What weights a module was given: their file's digest and name, their place, and notes."""

    sha256: str
    name: str
    key: str
    notes: tuple[str, ...] = ()

    def source(self, asked: str | None) -> str:
        """The file's name, behind it in brackets the key if one was asked for."""
        return self.name if asked is None else f"{self.name}[{printable(self.key)}]"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A state dict, and the prefix of the keys that are meant."""

    state: StateDict
    prefix: str

    @property
    def label(self) -> str:
        return self.state.label(self.prefix)

    @property
    def entries(self) -> Mapping[str, object]:
        return {
            key.removeprefix(self.prefix): value
            for key, value in self.state.entries.items()
            if key.startswith(self.prefix)
        }


@own_state()
def fit_weights(module: nn.Module, path: Path, weights_key: str | None = None) -> Fitted:
    """Load a file's weights into a module, in place; every weight of either has to have a place.

    The keys are the module's own, perhaps behind a prefix that all have in common, such as
    ``module.`` or ``model.``. What stands beside the network in training is left out.

    Raises:
        InputError: The file is no checkpoint, or holds no weights for this module, or several.
    """
    where = shown_path(path)
    file = read_weight_file(path)
    content, top = file.content, ""
    if weights_key is not None:
        under = find_under(content, weights_key)
        if under is None:
            raise InputError(
                f"{where}: --weights-key: expected a path in the file, found none that is "
                f"{shown(weights_key)!r}"
            )
        top, content = under
    wanted = {key: shape_of(value) for key, value in module.state_dict().items()}
    found = [part for state in state_dicts(content, top) for part in _parts(state, wanted)]
    if not found:
        raise InputError(f"{where}: expected a state dict, found none; {SAVE_AGAIN}")
    whole = [part for part in found if not _misfit(part, wanted)]
    if not whole:
        nearest = max(found, key=lambda part: len(part.entries.keys() & wanted.keys()))
        raise InputError(f"{where}: {_misfit(nearest, wanted)}")
    labels = list(dict.fromkeys(part.label for part in whole))
    exact = [part for part in whole if part.label == (top or ROOT)]
    if len(labels) > 1 and not exact:
        options = " or ".join(option(label) for label in labels[:3])
        raise InputError(
            f"{where}: expected weights of one network, found {len(labels)}: {listed(labels)}; "
            f"say which: {options}"
        )
    taken = (exact or whole)[0]
    left_out = [key for key in taken.entries if key not in wanted]
    tensors = {
        key: _tensor(value, f"{where}: {shown(key)}", file.size_bytes)
        for key, value in taken.entries.items()
        if key in wanted
    }
    _take(module, tensors, where)
    notes = (f"left out beside the network: {listed(left_out)}",) if left_out else ()
    name = printable(path.name)
    return Fitted(sha256=file.sha256, name=name, key=taken.label, notes=notes)


def _take(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put tensors that fit into a module, as of the version that its own parts say they have.

    Plain tensors have lost theirs, and some modules (torchvision's MNASNet) refuse to guess.
    """
    state: Any = OrderedDict(tensors)
    state._metadata = getattr(module.state_dict(), "_metadata", {})
    try:
        module.load_state_dict(state, strict=False)  # compared before
    except Exception as exc:  # a module may do there what it likes
        raise InputError(
            f"{where}: expected weights that the network takes, found that its own loading raises "
            f"{type(exc).__name__}: {one_line(str(exc), 160)}"
        ) from exc


def classes_of(path: Path, key: str, weights_key: str | None = None) -> int | None:
    """Number of classes of a classifier's weights in a file, by their name; None without them.

    Raises:
        InputError: The file is no checkpoint.
    """
    content = read_weight_file(path).content
    top = find_under(content, weights_key) if weights_key is not None else ("", content)
    for state in state_dicts(top[1], top[0]) if top else ():
        for name, value in state.entries.items():
            if name == key or name.endswith(f".{key}"):
                return shape_of(value)[0] if shape_of(value) else None
    return None


def _parts(state: StateDict, wanted: Mapping[str, object]) -> Iterator[_Found]:
    """A state dict by every prefix under which its keys may be those of the module."""
    first = next((key for key in wanted if not key.endswith(COUNTER)), "")
    prefixes = {
        key.removesuffix(first)
        for key in state.entries
        if key == first or key.endswith(f".{first}")
    }
    yield from (_Found(state=state, prefix=prefix) for prefix in sorted(prefixes or {""}))


def _misfit(found: _Found, wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What is in the way of a module's weights, as part of a message; empty if nothing is."""
    entries = found.entries
    for key, shape in wanted.items():
        if key.endswith(COUNTER):
            continue
        if key not in entries:
            return f"{shown(key)}: expected this weight of the network, found none; is it another?"
        if shape_of(entries[key]) != shape:
            return (
                f"{shown(key)}: expected shape {shape}, as the network has it, found "
                f"{shown(shape_of(entries[key]))}; build it with other arguments"
            )
    for key, value in entries.items():
        if key not in wanted and isinstance(value, Tensor) and not names_training(key):
            return (
                f"{shown(key)}: expected only weights that the network has, found this beside "
                "them; is it another network?"
            )
    return ""


def _tensor(value: object, where: str, file_size: int) -> Tensor:
    """Finite float32; a counter, or a table of indices, as it is."""
    if isinstance(value, Tensor) and value.dtype in (torch.int64, torch.int32, torch.bool):
        return value.detach()
    return usable(value, where, file_size)
