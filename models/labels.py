"""Matches images to a model's classes, by class folder or label file.

A wrong numbering would look like a bad model, so all names are matched by one rule, and doubt is
an error.

The 1,000 WordNet ids of ILSVRC-2012, in the order of its classes, are in
`assets/imagenet_wnids.txt`. Source: timm (https://github.com/huggingface/pytorch-image-models,
Apache 2.0), `timm/data/_info/imagenet_synsets.txt`; the ids themselves are ImageNet's.
"""

import functools
import importlib.resources
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from eightbit.models.errors import InputError
from eightbit.models.images.sources import ImageItem
from eightbit.models.spec import ModelSpec


class LabelRule(StrEnum):
    """How names are matched to a model's classes, in the order in which the rules are tried."""

    LABEL = "label"
    WORDNET_ID = "WordNet id"
    INDEX = "class index"
    SORTED_ORDER = "sorted order"


@dataclass(frozen=True, kw_only=True)
class ClassMatch:
    """Class index from 0 by name, and the one rule that matched all names."""

    rule: LabelRule
    indices: Mapping[str, int]


def match_images(
    items: Sequence[ImageItem], spec: ModelSpec, image_labels: Mapping[str, str] | None = None
) -> ClassMatch | None:
    """Class index by image name, and the rule; None without class folders or labels.

    All images of the source are needed: matching by sorted order counts the folders. Where
    ``image_labels`` are given, by name, folders are ignored.

    Raises:
        InputError: An image has no label, or a label or folder no class of its own.
    """
    if image_labels is not None:
        names = _csv_labels(items, image_labels)
        match = match_classes(set(image_labels.values()), spec)
    else:
        folders = {item.folder for item in items if item.folder is not None}
        if not folders:
            return None
        names = {item.name: item.folder for item in items if item.folder is not None}
        strays = [item.name for item in items if item.folder is None]
        if strays:
            raise InputError(
                f"expected every image in a class folder, found {_some(strays)} outside; move it"
                " into its folder, or label all images by a CSV file"
            )
        match = match_classes(folders, spec)
    return ClassMatch(
        rule=match.rule, indices={name: match.indices[label] for name, label in names.items()}
    )


def match_classes(names: Collection[str], spec: ModelSpec) -> ClassMatch:
    """Match folder names or labels to a model's classes, all by the same rule.

    The rules, in order: the class's label (`_` counts as a space); the same in any case; for a
    model of 1,000 classes the WordNet id, in the order of ILSVRC-2012; the class index; and the
    sorted order, only if there are as many names as classes and no other rule matched any of them.

    Raises:
        InputError: No rule matches all, two contradict each other, or a label is not unique.
    """
    tried: list[dict[str, int]] = []
    for rule, class_of in _RULES:
        found = {name: class_of(name, spec) for name in names}
        indices = {name: index for name, index in found.items() if index is not None}
        if len(indices) == len(names):
            _check_no_contradiction(indices, tried, rule)
            return ClassMatch(rule=rule, indices=indices)
        tried.append(indices)
    if not any(tried) and len(names) == spec.num_classes:
        indices = {name: index for index, name in enumerate(sorted(names))}
        return ClassMatch(rule=LabelRule.SORTED_ORDER, indices=indices)
    best = max(tried, key=len)
    raise InputError(
        f"expected a class of {spec.architecture} ({spec.num_classes} classes) for each of"
        f" {len(names)} folders or labels, found none for {_some(set(names) - set(best))}; name"
        f" them by {_rule_names(spec)}"
    )


@functools.cache
def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet ids of ILSVRC-2012's 1,000 classes, in the order of the classes."""
    asset = importlib.resources.files("eightbit.models") / "assets" / "imagenet_wnids.txt"
    return tuple(asset.read_text(encoding="ascii").split())


def _by_label(name: str, spec: ModelSpec, *, any_case: bool) -> int | None:
    """Class with that label; refuses one that several have, as `crane` in many ImageNet lists."""
    comparable = _comparable(name, any_case=any_case)
    classes = _classes_by_label(spec.labels or (), any_case).get(comparable, ())
    if len(classes) > 1:
        raise InputError(
            f"{name!r}: expected the label of one class, found classes"
            f" {' and '.join(map(str, classes))} of that name; name the folders (or labels) by"
            f" {_rule_names(spec, without_label=True)}"
        )
    return classes[0] if classes else None


@functools.lru_cache(maxsize=8)
def _classes_by_label(labels: tuple[str, ...], any_case: bool) -> Mapping[str, tuple[int, ...]]:
    classes: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for index, label in enumerate(labels):
        classes[_comparable(label, any_case=any_case)] += (index,)
    return dict(classes)


def _comparable(label: str, *, any_case: bool) -> str:
    """A label without what file names often lose: spaces for underscores, and perhaps case."""
    words = " ".join(label.replace("_", " ").split())
    return words.casefold() if any_case else words


def _by_wordnet_id(name: str, spec: ModelSpec) -> int | None:
    return _class_of_wnid().get(name) if spec.num_classes == len(imagenet_wnids()) else None


@functools.cache
def _class_of_wnid() -> Mapping[str, int]:
    return {wnid: index for index, wnid in enumerate(imagenet_wnids())}


def _by_index(name: str, spec: ModelSpec) -> int | None:
    if not (name.isascii() and name.isdigit() and len(name) <= 9):
        return None
    return int(name) if int(name) < spec.num_classes else None


def _check_no_contradiction(
    indices: Mapping[str, int], tried: Iterable[Mapping[str, int]], rule: LabelRule
) -> None:
    """Refuse a rule that an earlier one contradicts, as folders 0, 1, 2 for labels 1, 2, 3."""
    for name, index in ((name, index) for earlier in tried for name, index in earlier.items()):
        if indices[name] != index:
            raise InputError(
                f"{name!r}: expected one class, found class {indices[name]} by {rule} but"
                f" {index} by its label; name all folders (or labels) by the classes' labels"
            )


def _csv_labels(items: Sequence[ImageItem], image_labels: Mapping[str, str]) -> dict[str, str]:
    """Label of every image."""
    missing = [item.name for item in items if item.name not in image_labels]
    if missing:
        raise InputError(
            f"expected a label for every image, found none for {_some(missing)}; the label file"
            f" names {_some(image_labels)}"
        )
    return {item.name: image_labels[item.name] for item in items}


def _rule_names(spec: ModelSpec, *, without_label: bool = False) -> str:
    """The ways in which the classes of a model can be named, for a message."""
    ways = [f"index (0 to {spec.num_classes - 1})"]
    if spec.num_classes == len(imagenet_wnids()):
        ways.insert(0, f"WordNet id (such as {imagenet_wnids()[0]})")
    if not without_label:
        known = f"label (such as {spec.labels[0]!r})" if spec.labels else "label (names are needed)"
        ways.insert(0, known)
    return " or ".join(ways)


def _some(names: Iterable[str]) -> str:
    """The first few of many names, for a message."""
    ordered = sorted(names)
    shown = ", ".join(repr(name) for name in ordered[:3])
    return shown if len(ordered) <= 3 else f"{shown} and {len(ordered) - 3} more"


_RULES: tuple[tuple[LabelRule, Callable[[str, ModelSpec], int | None]], ...] = (
    # Case counts where it can: ImageNet's "Cardigan" is a dog and its "cardigan" a garment.
    (LabelRule.LABEL, functools.partial(_by_label, any_case=False)),
    (LabelRule.LABEL, functools.partial(_by_label, any_case=True)),
    (LabelRule.WORDNET_ID, _by_wordnet_id),
    (LabelRule.INDEX, _by_index),
)
