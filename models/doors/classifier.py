"""Finds the classifier of a network in a checkpoint, whatever it is called."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from eightbit.models.doors.key_words import names_classifier, names_training
from eightbit.models.doors.wordings import shape_of, shown


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Where the classifier is.

    Attributes:
        base: What its keys and the features' begin with in common, with its dot.
        weight: Key of the weights, of shape (classes, features), or (classes, features, 1, 1).
        bias: Key of the bias, of shape (classes,); None where there is none.
        note: What its form takes for granted; empty for a linear layer with bias.
    """

    base: str
    weight: str
    bias: str | None
    note: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys."""
        return (self.weight, self.bias) if self.bias else (self.weight,)


def find_classifier(
    entries: Mapping[str, object], features: str, width: int, taken: Collection[str]
) -> Classifier | str | None:
    """The one linear layer behind the features: beside them, or next to what holds them.

    Args:
        entries: The state dict.
        features: The prefix of the features' keys, with its dot.
        width: Number of features.
        taken: Keys that are something else, or of another network.

    Returns:
        None if there is none, and what is in the way, as part of a message, if it is not clear.
    """
    near: list[str] = []
    for base in _bases(features):
        rest = [
            key
            for key in entries
            if key.startswith(base) and key not in taken and not names_training(key[len(base) :])
        ]
        named = [
            key
            for key in rest
            if key.endswith(".weight")
            and names_classifier(key[len(base) :].removesuffix(".weight"))
        ]
        fitting = [key for key in named if fits(entries[key], width)]
        if len(fitting) > 1:
            return (
                f"{shown(fitting[0])} and {shown(fitting[1])}: expected one classifier, found two"
                " layers that could be it; save the network without the other"
            )
        if fitting:
            return _described(entries, base, fitting[0], rest)
        near += [key for key in named if shape_of(entries[key])[1:]]
    if near:
        return (
            f"{shown(near[0])}: expected a classifier of shape (classes, {width}), found"
            f" {shown(shape_of(entries[near[0]]))}"
        )
    return None


def more_layers(first: str, other: str) -> str:
    """Why a classifier that has these two keys in two layers is none, as part of a message."""
    return (
        f"{shown(first)} and {shown(other)}: expected a classifier of one linear layer, found more;"
        " that is another network"
    )


def _bases(features: str) -> list[str]:
    """The prefix and all that hold it: `a.b.` gives `a.b.`, `a.` and nothing."""
    parts = features.split(".")[:-1]
    return ["".join(f"{part}." for part in parts[:end]) for end in range(len(parts), -1, -1)]


def fits(value: object, width: int) -> bool:
    """Whether a layer with these weights takes so many features, (N, C) or (N, C, 1, 1)."""
    return shape_of(value)[1:] in ((width,), (width, 1, 1))


def _described(
    entries: Mapping[str, object], base: str, weight: str, rest: Collection[str]
) -> Classifier | str:
    """The classifier with these weights, if nothing else belongs to it."""
    layer = weight.removesuffix("weight")
    group = base + layer.removeprefix(base).partition(".")[0] + "."
    bias = f"{layer}bias" if f"{layer}bias" in entries else None
    for key in rest:
        value = entries[key]
        if key.startswith(group) and key not in (weight, bias) and isinstance(value, Tensor):
            return more_layers(weight, key)
    shape = shape_of(entries[weight])
    if bias is not None and shape_of(entries[bias]) != shape[:1]:
        return (
            f"{shown(bias)}: expected one bias per class, ({shape[0]},), found"
            f" {shown(shape_of(entries[bias]))}"
        )
    taken_for_granted = []
    if len(shape) == 4:
        taken_for_granted.append("a 1x1 convolution, read as a linear layer behind the pooling")
    if bias is None:
        taken_for_granted.append("without bias, read as zeros")
    if group != layer:
        taken_for_granted.append(
            "layers without weights around it (dropout, flatten) are left out as doing nothing"
        )
    note = f"classifier {shown(layer[:-1])}: {'; '.join(taken_for_granted)}"
    return Classifier(base=base, weight=weight, bias=bias, note=note if taken_for_granted else "")
