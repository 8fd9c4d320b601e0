from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import ImageItem

counts = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 9), max_size=6)


def items_of(classes: dict[str, int]) -> list[ImageItem]:
    return [
        ImageItem(name=f"{folder}/{index}.jpg", folder=folder)
        for folder, count in classes.items()
        for index in range(count)
    ]


@given(classes=counts, seed=st.integers(-5, 5), shuffle=st.randoms(use_true_random=False))
def test_every_prefix_is_balanced_and_the_input_order_does_not_matter(
    classes: dict[str, int], seed: int, shuffle: object
) -> None:
    items = items_of(classes)
    order = balanced_order(items, seed)
    assert sorted(order) == sorted(items)
    for length in range(len(order) + 1):
        taken = Counter(item.folder for item in order[:length])
        # Classes that are not used up have the most so far, or one less.
        left = [taken[folder] for folder in classes if taken[folder] < classes[folder]]
        assert not left or max(taken.values(), default=0) - min(left) <= 1
    shuffle.shuffle(items)
    assert balanced_order(items, seed) == order


def test_another_seed_takes_other_images_and_other_orders_of_classes() -> None:
    items = items_of(dict.fromkeys("abcdefgh", 20))
    firsts = {balanced_order(items, seed)[:8] for seed in range(10)}
    assert len(firsts) == 10
    rounds = [item.folder for item in balanced_order(items, 0)]
    assert rounds[:8] != rounds[8:16]


def test_without_class_folders_it_is_a_seeded_shuffle() -> None:
    items = [ImageItem(name=f"{index:02}.jpg", folder=None) for index in range(50)]
    order = balanced_order(items, 3)
    assert sorted(order) == items
    assert order not in (tuple(items), balanced_order(items, 4))


def test_the_order_is_the_same_on_every_machine_and_with_every_version() -> None:
    items = items_of({"cat": 3, "dog": 2})
    names = [item.name for item in balanced_order(items, 7)]
    assert names == ["dog/0.jpg", "cat/0.jpg", "dog/1.jpg", "cat/2.jpg", "cat/1.jpg"]


def test_every_position_is_drawn_about_equally_often() -> None:
    items = [ImageItem(name=f"{index}.jpg", folder=None) for index in range(5)]
    firsts = Counter(balanced_order(items, seed)[0].name for seed in range(1000))
    assert [firsts[item.name] for item in items] == pytest.approx([200] * 5, abs=60)
