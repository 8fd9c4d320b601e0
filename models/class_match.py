"""Matches names of folders or labels to a model's classes, all by one rule.

A wrong numbering would look like a bad model, so doubt is an error: it shows the readings side by
side, and the user decides by a `ClassOrder`.

The 1,000 WordNet ids of ILSVRC-2012, in the order of its classes, are in
`assets/imagenet_wnids.txt`. Source: timm (https://github.com/huggingface/pytorch-image-models,
Apache 2.0), `timm/data/_info/imagenet_synsets.txt`; the ids themselves are ImageNet's.
"""

import functools
import importlib.resources
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from eightbit.models.class_names import (
    Likeness,
    as_number,
    comparable,
    other_order,
    suggestion,
)
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import ModelSpec


class LabelRule(StrEnum):
    """How names are matched to a model's classes, in the order in which the rules are tried."""

    LABEL = "label"
    WORDNET_ID = "WordNet id"
    INDEX = "class index"
    SORTED_ORDER = "sorted order"


class ClassOrder(StrEnum):
    """What the names of folders or labels are, where the user says it."""

    NAMES = "names"
    """The names of classes: labels or WordNet ids."""
    INDEX = "index"
    """The indices of classes, from 0."""
    SORTED = "sorted"
    """The i-th name in sorted order is class i, as in torchvision's ImageFolder."""


@dataclass(frozen=True, kw_only=True)
class ClassMatch:
    """Class index from 0 by name, and the one rule that matched all names.

    Attributes:
        rule: Which rule.
        indices: By name, of a folder or label or of an image.
        names: The folder or label of each class, where ``indices`` is by image.
    """

    rule: LabelRule
    indices: Mapping[str, int]
    names: Mapping[int, str] = field(default_factory=dict)


def match_classes(
    names: Collection[str],
    spec: ModelSpec,
    order: ClassOrder | None = None,
    *,
    absent: Collection[str] = (),
) -> ClassMatch:
    """Match folder names or labels to a model's classes, all by the same rule.

    Without an ``order``, the rules are: the class's label, as strictly as possible (`Likeness`);
    for a model of 1,000 classes the WordNet id, in the order of ILSVRC-2012; the class index, if
    the names are all indices and their sorted order is the same; the sorted order, if the classes
    have no names, there are as many names as classes, and no other sorting is likely.

    ``absent`` are names without images, such as empty folders: they count in a sorted order.

    Raises:
        InputError: No rule matches all, more than one could, or a label is not unique.
    """
    if order is None:
        match = by_name(names, spec) or _without_doubt(names, absent, spec)
    elif order is ClassOrder.NAMES:
        match = by_name(names, spec)
    else:
        match = readings(names, spec, absent=absent).get(order)
    if match is None:
        raise InputError(_doubt(names, absent, spec, order))
    return match


def by_name(names: Collection[str], spec: ModelSpec) -> ClassMatch | None:
    """Match all names by label or all by WordNet id; None if neither does.

    Raises:
        InputError: A name is the label of several classes.
    """
    for rule, class_of in _NAME_RULES:
        found = {name: class_of(name, spec) for name in names}
        indices = {name: index for name, index in found.items() if index is not None}
        if len(indices) == len(names):
            return ClassMatch(rule=rule, indices=indices)
    return None


def readings(
    names: Collection[str], spec: ModelSpec, *, absent: Collection[str] = ()
) -> Mapping[ClassOrder, ClassMatch]:
    """What the names may mean apart from names: as class index and in sorted order, if they fit.

    A match has the classes of ``absent`` names too, where they have one.
    """
    found: dict[ClassOrder, ClassMatch] = {}
    indices = {
        name: index
        for name in (*names, *absent)
        if (index := as_number(name)) is not None and index < spec.num_classes
    }
    if set(names) <= set(indices) and len(set(indices.values())) == len(indices):
        found[ClassOrder.INDEX] = ClassMatch(rule=LabelRule.INDEX, indices=indices)
    for ordered in (sorted({*names, *absent}), sorted(names)):
        if len(ordered) == spec.num_classes:
            places = {name: index for index, name in enumerate(ordered)}
            found[ClassOrder.SORTED] = ClassMatch(rule=LabelRule.SORTED_ORDER, indices=places)
            break
    return found


@functools.cache
def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet ids of ILSVRC-2012's 1,000 classes, in the order of the classes."""
    asset = importlib.resources.files("eightbit.models") / "assets" / "imagenet_wnids.txt"
    return tuple(asset.read_text(encoding="ascii").split())


def some(names: Iterable[str]) -> str:
    """The first few of many names, for a message."""
    ordered = sorted(names)
    shown = ", ".join(map(quoted, ordered[:3]))
    return shown if len(ordered) <= 3 else f"{shown} and {len(ordered) - 3:,} more"


def quoted(name: str) -> str:
    """A name as a message shows it: safe and short."""
    return repr(one_line(name, 40))


def in_words(match: ClassMatch, spec: ModelSpec, first: Iterable[str] = ()) -> str:
    """Which class a few names are, such as "'dog' = class 1"; those of ``first`` before others."""
    names = dict.fromkeys([*sorted(first), *sorted(match.indices)])
    shown = [name for name in names if name in match.indices][:2]
    return ", ".join(f"{quoted(name)} = {_class(match.indices[name], spec)}" for name in shown)


def _without_doubt(
    names: Collection[str], absent: Collection[str], spec: ModelSpec
) -> ClassMatch | None:
    """The class index or the sorted order, where nothing speaks for another reading."""
    if _partly(names, spec):
        return None
    found = readings(names, spec, absent=absent)
    every = {*names, *(name for name in absent if as_number(name) is not None)}
    if all(as_number(name) is not None for name in names):
        in_order = [as_number(name) for name in sorted(every)] == [*range(spec.num_classes)]
        return found.get(ClassOrder.INDEX) if in_order else None
    every = {*names, *absent}
    if spec.labels is not None or len(every) != spec.num_classes:
        return None
    same = len({comparable(name, Likeness.SAME) for name in every}) < len(every)
    return found.get(ClassOrder.SORTED) if not same and other_order(every) is None else None


def _partly(names: Collection[str], spec: ModelSpec) -> dict[str, int]:
    """The class of those names that the best of the rules for names finds."""
    tried = [
        {name: index for name in names if (index := class_of(name, spec)) is not None}
        for _, class_of in _NAME_RULES
    ]
    return max(tried, key=len)


def _doubt(
    names: Collection[str], absent: Collection[str], spec: ModelSpec, order: ClassOrder | None
) -> str:
    """Why no class can be told, all readings side by side, and what decides."""
    found = readings(names, spec, absent=absent)
    index, ordered = found.get(ClassOrder.INDEX), found.get(ClassOrder.SORTED)
    differ = [
        name for name in names if index and ordered and index.indices[name] != ordered.indices[name]
    ]
    parts = (
        [_as_names(names, spec)] if spec.labels or spec.num_classes == len(imagenet_wnids()) else []
    )
    outside = [name for name in names if not _is_index(name, spec)]
    if index:
        parts.append(f"by index {in_words(index, spec, differ)}")
    elif len(outside) < len(names) or order is ClassOrder.INDEX:
        parts.append(f"by index none for {some(outside or names)}")
    every = {*names, *absent}
    if ordered:
        elsewhere = "" if index else _sorted_elsewhere(every)
        parts.append(f"in sorted order {in_words(ordered, spec, differ)}{elsewhere}")
    else:
        parts.append(f"in sorted order {len(every):,} for {spec.num_classes:,} classes")
    wanted = "one class" if order is None else f"by --class-order {order} one class"
    options = " or ".join(found)
    decides = f"say --class-order {options}, or " if options and order is None else ""
    return (
        f"expected {wanted} of {spec.architecture} ({spec.num_classes:,} classes) for each of"
        f" {len(names):,} folders or labels, found {'; '.join(parts)}; {decides}name them by"
        f" {_rule_names(spec, without_index=not outside)}"
    )


def _as_names(names: Collection[str], spec: ModelSpec) -> str:
    """How far the names are those of classes."""
    known = _partly(names, spec)
    missing = sorted(set(names) - set(known))
    close = suggestion(missing[0], spec.labels or ()) if missing else None
    misspelt = f" ({quoted(close)} misspelt?)" if close else ""
    first = quoted(missing[0]) + misspelt if close else some(missing)
    more = f" and {len(missing) - 1:,} more" if close and len(missing) > 1 else ""
    match = ClassMatch(rule=LabelRule.LABEL, indices=known)
    others = f" beside {in_words(match, spec)}" if known else ""
    return f"by name none for {first}{more}{others}"


def _sorted_elsewhere(names: Iterable[str]) -> str:
    """What else the sorted order could be, if anything."""
    order = sorted(names)
    other = other_order(order)
    if other is None:
        return ""
    place = next(place for place, name in enumerate(other) if order[place] != name)
    return f" or, sorted otherwise, {quoted(other[place])} = class {place}"


def _class(index: int, spec: ModelSpec) -> str:
    label = f" ({one_line(spec.labels[index], 24)})" if spec.labels else ""
    return f"class {index}{label}"


def _is_index(name: str, spec: ModelSpec) -> bool:
    number = as_number(name)
    return number is not None and number < spec.num_classes


def _by_label(name: str, spec: ModelSpec, *, likeness: Likeness) -> int | None:
    """Class with that label; refuses one that several have, as `crane` in many ImageNet lists."""
    classes = _classes_by_label(spec.labels or (), likeness).get(comparable(name, likeness), ())
    if len(classes) > 1:
        raise InputError(
            f"{quoted(name)}: expected the label of one class, found classes"
            f" {' and '.join(map(str, classes[:5]))} of that name; name the folders (or labels) by"
            f" {_rule_names(spec, without_label=True)}"
        )
    return classes[0] if classes else None


@functools.lru_cache(maxsize=8)
def _classes_by_label(labels: tuple[str, ...], likeness: Likeness) -> Mapping[str, tuple[int, ...]]:
    classes: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for index, label in enumerate(labels):
        classes[comparable(label, likeness)] += (index,)
    return dict(classes)


def _by_wordnet_id(name: str, spec: ModelSpec) -> int | None:
    return _class_of_wnid().get(name) if spec.num_classes == len(imagenet_wnids()) else None


@functools.cache
def _class_of_wnid() -> Mapping[str, int]:
    return {wnid: index for index, wnid in enumerate(imagenet_wnids())}


def _rule_names(
    spec: ModelSpec, *, without_label: bool = False, without_index: bool = False
) -> str:
    """The ways in which the classes of a model can be named, for a message."""
    ways = [] if without_index else [f"index (0 to {spec.num_classes - 1})"]
    if spec.num_classes == len(imagenet_wnids()):
        ways.insert(0, f"WordNet id (such as {imagenet_wnids()[0]})")
    if not without_label:
        known = spec.labels and f"label (such as {quoted(spec.labels[0])})"
        ways.insert(0, known or "label (quantize --labels)")
    return " or ".join(ways)


_NAME_RULES: Sequence[tuple[LabelRule, Callable[[str, ModelSpec], int | None]]] = (
    # Case counts where it can: ImageNet's "Cardigan" is a dog and its "cardigan" a garment.
    *((LabelRule.LABEL, functools.partial(_by_label, likeness=likeness)) for likeness in Likeness),
    (LabelRule.WORDNET_ID, _by_wordnet_id),
)
