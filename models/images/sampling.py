"""In which order images are taken, so that every sample is balanced over the classes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from eightbit.models.images.sources import ImageItem


def balanced_order(items: Iterable[ImageItem], seed: int) -> tuple[ImageItem, ...]:
    """Put distinct items into a seeded order of which every prefix is as balanced as can be.

    Rounds take one image of each class folder that has one left. Which image, and in which order
    the classes come in a round, is drawn from SHA-256 of the seed and the name: the same on every
    machine and with every version, whatever the order of `items`. Without class folders it is a
    seeded shuffle.
    """
    classes: dict[str, list[ImageItem]] = defaultdict(list)
    for item in items:
        classes[item.folder or ""].append(item)
    places: dict[ImageItem, tuple[int, bytes]] = {}
    for folder, members in classes.items():
        members.sort(key=lambda item: _draw(seed, "image", item.name))
        for turn, item in enumerate(members):
            places[item] = (turn, _draw(seed, f"round {turn}", folder))
    return tuple(sorted(places, key=lambda item: places[item]))


def _draw(seed: int, purpose: str, name: str) -> bytes:
    """A value that looks random, compared as bytes."""
    return hashlib.sha256(f"{seed}\n{purpose}\n{name}".encode()).digest()
