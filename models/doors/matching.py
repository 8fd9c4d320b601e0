"""Finds networks of an architecture in a state dict, whatever their keys begin with."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from eightbit.models.doors.classifier import (
    Classifier,
    find_classifier,
    fits,
    more_layers,
)
from eightbit.models.doors.key_words import names_average, names_classifier, names_training
from eightbit.models.doors.reparametrized import reparametrized
from eightbit.models.doors.state_dicts import StateDict
from eightbit.models.doors.wordings import option, shape_of, shown
from eightbit.models.networks.architectures import state_shapes
from eightbit.models.spec import Architecture

COUNTER: Final = "num_batches_tracked"  # of no effect on inference, and absent from old checkpoints

_STEM: Final = "conv1.weight"
_PROFILE: Final = ("total_ops", "total_params")
_DEEPEST: Final = 6  # more than the segments of any key of ours
_MAX_KEY: Final = 300
_MAX_NETWORKS: Final = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """A network of an architecture in a state dict.

    Attributes:
        label: The path in the file under which its keys are.
        keys: The keys in the state dict, by those of our network.
        classifier: None where there is none, as in a checkpoint of features alone.
        left_out: Keys beside the network's that its answers do not depend on.
    """

    state: StateDict
    label: str
    keys: Mapping[str, str]
    classifier: Classifier | None
    left_out: tuple[str, ...]

    @property
    def tensors(self) -> dict[str, object]:
        """The values by the keys of our network, as they are in the file."""
        return {key: self.state.entries[theirs] for key, theirs in self.keys.items()}


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """Why keys that look like a network's are none of this architecture.

    Attributes:
        problem: The key that is in the way and what is wrong with it, as part of a message.
        found: How many of the architecture's keys there are.
        is_final: Whether that says it all: no other architecture can be meant.
    """

    problem: str
    found: int
    is_final: bool


def find_networks(state: StateDict, architecture: Architecture) -> list[Match | Misfit]:
    """All prefixes under which a state dict has keys of an architecture, the fullest first."""
    features = _features(architecture)
    votes = Counter(_prefixes(state.entries, features))
    complete = [prefix for prefix, count in votes.items() if count == len(features)]
    if len(complete) > _MAX_NETWORKS:
        problem = (
            f"expected one network of {architecture}, found {len(complete):,}; name one of them,"
            f" such as {option(state.label(complete[0]))}"
        )
        return [Misfit(problem=problem, found=len(features), is_final=True)]
    if complete:
        return [_examined(state, architecture, prefix, complete) for prefix in complete]
    return [
        _incomplete(state, architecture, prefix, count) for prefix, count in votes.most_common(1)
    ]


def feature_width(architecture: Architecture) -> int:
    """How many features the classifier of an architecture takes."""
    return state_shapes(architecture)["fc.weight"][1]


def _features(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of everything but the classifier and the counters."""
    return {
        key: shape
        for key, shape in state_shapes(architecture).items()
        if not key.startswith("fc.") and not key.endswith(COUNTER)
    }


def _prefixes(entries: Mapping[str, object], features: Mapping[str, object]) -> Iterator[str]:
    """For every key that ends in one of ours, at a dot, what stands before it."""
    for key in entries:
        if len(key) > _MAX_KEY:
            continue
        parts = key.split(".")
        for start in range(max(0, len(parts) - _DEEPEST), len(parts)):
            tail = ".".join(parts[start:])
            if tail in features:
                yield key.removesuffix(tail)


def _incomplete(state: StateDict, architecture: Architecture, prefix: str, found: int) -> Misfit:
    """The first key that is missing, or of another shape, under the prefix with the most keys."""
    entries = state.entries
    parts = reparametrized((key for key in entries if key.startswith(prefix)), entries)
    keys = {key: prefix + key for key in _features(architecture)}
    problem = parts or _first_difference(entries, keys, architecture)
    return Misfit(problem=problem, found=found, is_final=bool(parts))


def _examined(
    state: StateDict, architecture: Architecture, prefix: str, complete: Collection[str]
) -> Match | Misfit:
    """What there is under a prefix where every key of the features is found."""
    entries, features = state.entries, _features(architecture)
    counters = [key for key in state_shapes(architecture) if key.endswith(COUNTER)]
    keys = {key: prefix + key for key in (*features, *counters) if prefix + key in entries}
    final = _no_tensor(entries, keys) or _other_stem(
        entries[keys[_STEM]], shown(keys[_STEM]), features[_STEM]
    )
    problem = (
        final
        or _first_difference(entries, keys, architecture)
        or _inside(entries, keys, prefix, architecture)
    )
    if problem:
        return Misfit(problem=problem, found=len(features), is_final=bool(final))
    elsewhere = _of_others(entries, prefix, complete)
    classifier = find_classifier(
        entries, prefix, feature_width(architecture), elsewhere | set(keys.values())
    )
    if classifier is None:
        rest = (key for key in entries if key not in elsewhere and names_classifier(key))
        classifier = reparametrized(rest, entries) or None
    if isinstance(classifier, str):
        return Misfit(problem=classifier, found=len(features), is_final=True)
    base = prefix
    if classifier is not None:
        base = classifier.base
        keys["fc.weight"] = classifier.weight
        keys |= {"fc.bias": classifier.bias} if classifier.bias else {}
    used = set(keys.values())
    match = Match(
        state=state,
        label=state.label(base),
        keys=keys,
        classifier=classifier,
        left_out=tuple(key for key in entries if key not in used),
    )
    problem = _stranger(match, base, elsewhere, architecture)
    if problem:
        return Misfit(problem=problem, found=len(features), is_final=True)
    return match


def _of_others(entries: Mapping[str, object], prefix: str, complete: Collection[str]) -> set[str]:
    """The keys of the other networks, whether they hold this one or it holds them."""
    within = tuple(other for other in complete if other != prefix and other.startswith(prefix))
    around = tuple(other for other in complete if other != prefix and other not in within)
    return {
        key
        for key in entries
        if key.startswith(within) or (key.startswith(around) and not key.startswith(prefix))
    }


def _stranger(
    match: Match, base: str, elsewhere: Collection[str], architecture: Architecture
) -> str:
    """The first key beside the network that its answers may depend on, as part of a message."""
    entries, classifier = match.state.entries, match.classifier
    siblings = Counter(key.rpartition(".")[0] for key in entries)
    classes = shape_of(entries[classifier.weight])[:1] if classifier else None
    for key in match.left_out:
        name, value = key.removeprefix(base), entries[key]
        alone = siblings[key.rpartition(".")[0]] == 1
        if key in elsewhere or _is_beside(name, value, classes, alone=alone):
            continue
        if names_average(name) and _is_copy(name, value, architecture):
            continue
        if fits(value, feature_width(architecture)) and classifier is None:
            return (
                f"{shown(key)}: it could be the classifier, but is not called so; if it is, call it"
                " fc.weight and its bias fc.bias"
            )
        way_out = (
            f"if the network does without it, {option(match.label)}"
            if base
            else "if the network does without it, save the weights without it"
        )
        if classifier and len(shape_of(value)) == 2 and names_classifier(name):
            return f"{more_layers(classifier.weight, key)}; {way_out}"
        problem = reparametrized([key], entries) or _too_many(entries, key, architecture)
        return f"{problem}; {way_out}"
    return ""


def _no_tensor(entries: Mapping[str, object], keys: Mapping[str, str]) -> str:
    """The first key that is no tensor."""
    for key in keys.values():
        if not isinstance(entries[key], Tensor):
            return f"{shown(key)}: expected a tensor, found {shown(type(entries[key]).__name__)}"
    return ""


def _first_difference(
    entries: Mapping[str, object], keys: Mapping[str, str], architecture: Architecture
) -> str:
    """The first key of the features that is not there, or is of another shape."""
    for key, shape in _features(architecture).items():
        where = shown(keys[key])
        if keys[key] not in entries:
            return f"{where}: {architecture} needs it, the checkpoint has no such key"
        found = shape_of(entries[keys[key]])
        if found != shape:
            return f"{where}: checkpoint has shape {shown(found)}, {architecture} needs {shape}"
    return ""


def _other_stem(value: object, where: str, shape: tuple[int, ...]) -> str:
    """Says what to do about a first layer for other images than RGB; empty for one of RGB.

    A grey photo has R = G = B, so that a kernel in R alone computes what it did.
    """
    found = shape_of(value)
    if len(found) != 4 or (found[0], *found[2:]) != (shape[0], *shape[2:]) or found == shape:
        return ""
    if found[1] != 1:
        return (
            f"{where}: found a first layer for {found[1]:,} channels, {shown(found)}, expected RGB,"
            f" {shape}; networks of other images than photos in RGB are not taken"
        )
    return (
        f"{where}: found a first layer for grey photos, {found}, expected RGB, {shape}. Put its"
        f" kernel into R, zeros into G and B: w = torch.zeros{shape}; w[:, :1] = state[{_STEM!r}];"
        f" state[{_STEM!r}] = w; repeat mean and std, --mean m m m --std s s s. Exact for grey"
        " photos; make coloured ones grey first"
    )


def _inside(
    entries: Mapping[str, object], keys: Mapping[str, str], prefix: str, architecture: Architecture
) -> str:
    """The first key in the network's own modules that the architecture does not have."""
    own = {key.partition(".")[0] for key in keys}
    known = set(keys.values())
    for key, value in entries.items():
        if key in known or not key.startswith(prefix) or value is None:
            continue
        inside = key[len(prefix) : len(prefix) + _MAX_KEY].split(".")
        if inside[0] in own and inside[-1] not in _PROFILE:
            return reparametrized([key], entries) or _too_many(entries, key, architecture)
    return ""


def _too_many(entries: Mapping[str, object], key: str, architecture: Architecture) -> str:
    value = entries[key]
    kind = f"with shape {shown(shape_of(value))}" if isinstance(value, Tensor) else "(no tensor)"
    return f"{shown(key)}: checkpoint has it {kind}, {architecture} has no such key"


def _is_beside(key: str, value: object, classes: tuple[int, ...] | None, *, alone: bool) -> bool:
    """Whether the answers of the network cannot depend on an entry: it stands beside it.

    Values that are no tensors, integers and flags, what is called a loss or a metric, and the
    weights of classes as torch's losses hold them: one vector, `weight`, alone.
    """
    if not isinstance(value, Tensor):
        return True
    if not (value.is_floating_point() or value.is_complex() or value.is_quantized):
        return True
    if value.numel() == 0 or names_training(key):
        return True
    return alone and key.endswith(".weight") and shape_of(value) == classes


def _is_copy(key: str, value: object, architecture: Architecture) -> bool:
    """Whether an average's key ends in one of the network's, with `.` or with `_`.

    Else it may be a layer's: attention is called `ema`, too, and a pooling `avg_pool`.
    """
    return any(
        shape_of(value) == shape and key.endswith((wanted, wanted.replace(".", "_")))
        for wanted, shape in _features(architecture).items()
    ) or key.endswith(("fc.weight", "fc.bias", "fc_weight", "fc_bias"))
