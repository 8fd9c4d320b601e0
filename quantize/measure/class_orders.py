"""Usual orders of a network's classes: it may have been trained in another than the one taken."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from eightbit.benchmarks.accuracy.plausibility import IntArray
from eightbit.models.class_match import ClassOrder
from eightbit.models.plain_text import one_line
from eightbit.models.spec import ModelSpec

NO_CLASS: Final = -1
LABELS_OPTION: Final = "--labels FILE that names the classes in that order"
_EXAMPLES: Final = 3


def _by_number(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key by which 10 comes after 9: of two numbers the longer one is larger."""
    parts = re.findall(r"0*([0-9]+)|([^0-9]+)", name)
    return tuple((bool(word), len(number), number or word) for number, word in parts)


# What sorts class folders: torchvision's ImageFolder by code points, file managers by number.
_KEYS: Final[Mapping[str, Callable[[str], Any]]] = {
    "sorted order": str,
    "sorted order, case ignored": str.casefold,
    "the order of their numbers": _by_number,
}


def class_names(spec: ModelSpec, given: Mapping[int, str]) -> tuple[str, ...]:
    """A name for every class: as its folder or label says, the model's label, or its index."""
    labels = spec.labels or tuple(str(index) for index in range(spec.num_classes))
    return tuple(given.get(index, label) for index, label in enumerate(labels))


def other_orders(names: Sequence[str], labels: Sequence[str] | None) -> dict[str, IntArray]:
    """Class by class taken, int64, shape (classes,), in every other usual order, by its name.

    `names` are those of the classes in the order that was taken, `labels` the model's own, if it
    has any; `NO_CLASS` where an order has none.
    """
    found: dict[str, IntArray] = {}
    for what, order in _orders(names, labels):
        known = (np.arange(len(names)), *found.values())
        if not any(np.array_equal(order, other) for other in known):
            found[f"classes in {what}"] = order
    return found


def _orders(names: Sequence[str], labels: Sequence[str] | None) -> Iterator[tuple[str, IntArray]]:
    for whose, ordered in (("", names), (" of the labels", labels or ())):
        for what, key in _KEYS.items() if ordered else ():
            ranks = np.empty(len(ordered), dtype=np.int64)
            keys = [key(name) for name in ordered]
            ranks[sorted(range(len(ordered)), key=keys.__getitem__)] = np.arange(len(ordered))
            yield what + whose, ranks
    later = np.arange(1, len(names) + 1)
    yield "an order one place further on", np.where(later < len(names), later, NO_CLASS)
    yield "an order one place back", np.arange(-1, len(names) - 1)


def option_for(name: str, names: Sequence[str], labels: Sequence[str] | None) -> str:
    """What takes one of `other_orders`."""
    by_index = sorted(names) == sorted(map(str, range(len(names))))
    if labels is None and name == "classes in sorted order":
        return f"--class-order {ClassOrder.SORTED}"
    if labels is None and name == "classes in the order of their numbers" and by_index:
        return f"--class-order {ClassOrder.INDEX}"
    return LABELS_OPTION


def told_apart(classes: Mapping[int, int], names: Sequence[str]) -> str:
    """The first classes that another order exchanges, in words."""
    moved = [(label, found) for label, found in sorted(classes.items()) if label != found]
    shown = ", ".join(
        f"{one_line(names[label], 40)!r} is answered as {one_line(names[found], 40)!r}"
        for label, found in moved[:_EXAMPLES]
    )
    more = len(moved) - _EXAMPLES
    return shown + (f" and {more:,} more" if more > 0 else "")
