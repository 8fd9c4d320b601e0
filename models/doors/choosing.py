"""Which network of a file is meant: one that is the only one, or the one that was asked for."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from eightbit.models.doors.classifier import fits
from eightbit.models.doors.file_kinds import keys_described
from eightbit.models.doors.key_words import names_average, names_classifier
from eightbit.models.doors.matching import Match, Misfit, feature_width, find_networks
from eightbit.models.doors.state_dicts import (
    ROOT,
    StateDict,
    find_under,
    parts_together,
    state_dicts,
)
from eightbit.models.doors.weight_files import SAVE_AGAIN, WeightFile
from eightbit.models.doors.wordings import listed, option, shown
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import parameter_count
from eightbit.models.spec import Architecture

_MOST_OPTIONS: Final = 3
_MOST_ENTRIES_OF_A_CLASSIFIER: Final = 8


def only_match(
    file: WeightFile, architecture: Architecture, weights_key: str | None, where: str
) -> Match:
    """The one network of an architecture in a file, or under a path in it.

    Raises:
        InputError: There is none, or more than one that differ, or something that may be meant in
            its place: averaged weights that are not whole, another classifier.
    """
    content, top = file.content, ""
    if weights_key is not None:
        top, content = _under(content, weights_key, where)
        where = f"{where}: {shown(top or ROOT)}"
    states = state_dicts(content, top)
    if not states:
        raise InputError(
            f"{where}: expected a state dict, found {_described(content)}; {SAVE_AGAIN}"
        )
    matches = _shortest(_matches(states, parts_together(content, top), architecture, where))
    if weights_key is not None:
        exact = [match for match in matches if match.label == (top or ROOT)]
        if exact:
            return exact[0]
    taken, *others = matches
    others = [match for match in others if not _same(taken, match, file.size_bytes)]
    doubt = (
        _which_one([taken, *others], architecture)
        if others
        else _average_beside(taken, states, architecture)
        or _classifier_beside(taken, states, architecture)
    )
    if doubt:
        raise InputError(f"{where}: {doubt}")
    return taken


def _under(content: object, key: str, where: str) -> tuple[str, object]:
    """The path that was asked for, and what lies under it."""
    found = find_under(content, key)
    if found is None:
        labels = [state.label("") for state in state_dicts(content)]
        raise InputError(
            f"{where}: --weights-key: expected a path in the file, found none that is"
            f" {shown(key)!r}; there are tensors under {listed(labels) or 'no path'}"
        )
    return found


def _described(content: object) -> str:
    """What there is in place of a state dict."""
    if isinstance(content, Mapping):
        keys = [repr(key) for key in content if isinstance(key, str)]
        return f"a mapping of no tensors with the keys {listed(keys) or 'none'}"
    return f"an object of type {shown(type(content).__name__)}"


def _matches(
    states: Sequence[StateDict],
    together: Iterable[StateDict],
    architecture: Architecture,
    where: str,
) -> list[Match]:
    """All networks of an architecture, at least one; those that lack a classifier come last."""
    networks = [found for state in states for found in find_networks(state, architecture)]
    whole = [found for found in networks if isinstance(found, Match) and found.classifier]
    if whole:
        return whole
    networks += [found for state in together for found in find_networks(state, architecture)]
    matches = [found for found in networks if isinstance(found, Match)]
    whole = [match for match in matches if match.classifier]
    misfits = [found for found in networks if isinstance(found, Misfit)]
    nearest = max(misfits, key=_nearness, default=None)
    if not matches or (nearest and nearest.is_final and not whole):
        raise InputError(f"{where}: {_why_none(misfits, states, architecture)}")
    return whole or matches


def _shortest(matches: Sequence[Match]) -> list[Match]:
    """The same with a path each that names it and is as short as can be: often without prefix."""
    in_state = Counter(id(match.state) for match in matches)
    return [
        replace(match, label=match.state.path)
        if match.state.path and in_state[id(match.state)] == 1
        else match
        for match in matches
    ]


def _nearness(misfit: Misfit) -> tuple[bool, int]:
    return misfit.is_final, misfit.found


def _why_none(
    misfits: Sequence[Misfit], states: Sequence[StateDict], architecture: Architecture
) -> str:
    """The key that is in the way of the nearest network, and the architecture that would fit."""
    fitting = [
        other
        for other in Architecture
        if other is not architecture
        and any(
            isinstance(found, Match) for state in states for found in find_networks(state, other)
        )
    ]
    if not misfits:
        largest = max(states, key=lambda state: len(state.entries))
        problem = (
            f"expected keys such as layer1.0.conv1.weight, found {listed(list(largest.entries))}"
        )
    else:
        nearest = max(misfits, key=_nearness)
        problem = nearest.problem
        if nearest.is_final:
            return problem
    if fitting:
        return (
            f"{problem}; this looks like a {' or '.join(fitting)} checkpoint: ask for that"
            " architecture"
        )
    keys = (key for state in states for key in state.entries)
    return f"{problem}; {keys_described(keys)}"


def _which_one(matches: Sequence[Match], architecture: Architecture) -> str:
    """Names the networks, and the option for each of the first."""
    labels = list(dict.fromkeys(match.label for match in matches))
    named = [f"{shown(label)}{' (named as averaged)' * names_average(label)}" for label in labels]
    options = " or ".join(option(label) for label in labels[:_MOST_OPTIONS])
    return (
        f"expected weights of one {architecture}, found {len(labels)}: {listed(named)}; say which:"
        f" {options}"
    )


def _same(one: Match, other: Match, file_size: int) -> bool:
    """Whether two networks have the same weights, as one that is registered twice has."""
    mine, others = one.tensors, other.tensors
    return mine.keys() == others.keys() and all(
        _equal(value, others[key], file_size) for key, value in mine.items()
    )


def _equal(one: object, other: object, file_size: int) -> bool:
    """Whether both are dense tensors with the same numbers, and no larger than their file."""
    return (
        isinstance(one, Tensor)
        and isinstance(other, Tensor)
        and one.layout == other.layout == torch.strided
        and not (one.is_meta or other.is_meta or one.is_quantized or other.is_quantized)
        and (one.shape, one.dtype) == (other.shape, other.dtype)
        and one.numel() * one.element_size() <= file_size
        and torch.equal(one, other)
    )


def _average_beside(taken: Match, states: Sequence[StateDict], architecture: Architecture) -> str:
    """Averaged weights that are no whole network, such as without BatchNorm's statistics."""
    if names_average(taken.label):
        return ""
    within = [key for key in taken.left_out if names_average(key)]
    groups = {listed(within, 1): [taken.state.entries[key] for key in within]} | {
        shown(state.label("")): list(state.entries.values())
        for state in states
        if state is not taken.state and names_average(state.path)
    }
    for name, values in groups.items():
        floats = [value for value in values if isinstance(value, Tensor)]
        if sum(value.numel() for value in floats) > parameter_count(architecture) // 2:
            return (
                f"found averaged weights, {name}, that are no whole {architecture}, beside those"
                f" under {shown(taken.label)}; take these with {option(taken.label)}, or save a"
                " model that the averaged ones were copied into"
            )
    return ""


def _classifier_beside(
    taken: Match, states: Sequence[StateDict], architecture: Architecture
) -> str:
    """Another classifier in a mapping of its own, of which the taken one may be a leftover."""
    own = taken.tensors.get("fc.weight")
    if own is None:
        return ""
    for state in states:
        if state is taken.state or len(state.entries) > _MOST_ENTRIES_OF_A_CLASSIFIER:
            continue
        for key, value in state.entries.items():
            module = f"{state.path.rpartition('/')[2]}.{key}".removesuffix(".weight")
            is_layer = f".{key}".endswith(".weight") and names_classifier(module)
            if is_layer and value is not own and fits(value, feature_width(architecture)):
                return (
                    f"{shown(state.label(''))}: found {shown(key)} there, which could be the"
                    f" classifier in place of that under {shown(taken.label)}; if it is not,"
                    f" {option(taken.label)}"
                )
    return ""
