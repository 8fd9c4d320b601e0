"""Finds the state dicts in what a file holds, and what lies there under a given path."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

ROOT: Final = "/"

_MAX_DEPTH: Final = 8
_MAX_CONTAINERS: Final = 100_000


@dataclass(frozen=True, kw_only=True, eq=False)
class StateDict:
    """A mapping, or list, with tensors directly in it.

    Attributes:
        path: The keys that lead to it, joined by `/`; empty for the top of the file.
        entries: Its values by key; a list's by their place.
    """

    path: str
    entries: Mapping[str, object]

    def label(self, prefix: str) -> str:
        """The path to a part of it: of the keys that begin with a prefix, given with its dot."""
        return joined(self.path, prefix.removesuffix(".")) or ROOT


def state_dicts(content: object, path: str = "") -> tuple[StateDict, ...]:
    """All of them, the outer ones first; a mapping that contains itself is visited once."""
    found = []
    waiting = deque([(path, content, 0)])
    seen = {id(content)}
    while waiting and len(seen) < _MAX_CONTAINERS:
        path, container, depth = waiting.popleft()
        entries = _entries(container)
        if any(isinstance(value, Tensor) for value in entries.values()):
            found.append(StateDict(path=path, entries=entries))
        for key, value in entries.items():
            if (
                depth < _MAX_DEPTH
                and id(value) not in seen
                and isinstance(value, Mapping | list | tuple)
            ):
                seen.add(id(value))
                waiting.append((joined(path, key), value, depth + 1))
    return tuple(found)


def parts_together(content: object, path: str = "") -> Iterator[StateDict]:
    """Mappings of state dicts, each as one: features here, a classifier there.

    What lies under `backbone` and `head` is found as `backbone.conv1.weight` and `head.weight`.
    """
    outers = {path: content} | {
        joined(path, key): value for key, value in _entries(content).items()
    }
    for place, outer in outers.items():
        together: dict[str, object] = {}
        waiting = deque([("", outer, 0)])
        seen = {id(outer)}
        while waiting:
            prefix, container, depth = waiting.popleft()
            for key, value in _entries(container).items():
                together[f"{prefix}{key}"] = value
                if depth < _MAX_DEPTH and isinstance(value, Mapping) and id(value) not in seen:
                    seen.add(id(value))
                    waiting.append((f"{prefix}{key}.", value, depth + 1))
        if any(isinstance(value, Tensor) for value in together.values()):
            yield StateDict(path=place, entries=together)


def find_under(content: object, key: str) -> tuple[str, object] | None:
    """What lies under a path, and the path as it is in the file; None where there is nothing.

    The path is made of keys joined by `/`, and of a prefix that keys have in common at its end:
    `state_dict/model.student` are the keys of `state_dict` that begin with `model.student.`. A key
    that itself contains `/` is found as well. `/` is the whole file.
    """
    wanted = key.strip("/").removesuffix(".")
    return _under(content, wanted, "") if wanted else ("", content)


def joined(path: str, key: str) -> str:
    """A path one key longer."""
    return f"{path}/{key}" if path and key else path or key


def _under(container: object, wanted: str, path: str) -> tuple[str, object] | None:
    entries = _entries(container)
    if wanted in entries:
        return joined(path, wanted), entries[wanted]
    for key in sorted(entries, key=len, reverse=True):
        if wanted.startswith(f"{key}/"):
            found = _under(entries[key], wanted.removeprefix(f"{key}/"), joined(path, key))
            if found is not None:
                return found
    prefix = f"{wanted}."
    part = {
        key.removeprefix(prefix): value for key, value in entries.items() if key.startswith(prefix)
    }
    return (joined(path, wanted), part) if part else None


def _entries(container: object) -> Mapping[str, object]:
    """What a mapping or a list holds, by names alone; empty for anything else."""
    if isinstance(container, Mapping):
        return {
            str(key): value
            for key, value in container.items()
            if isinstance(key, str) or (type(key) is int and abs(key) < 2**63)
        }
    if isinstance(container, list | tuple):
        return {str(index): value for index, value in enumerate(container)}
    return {}
