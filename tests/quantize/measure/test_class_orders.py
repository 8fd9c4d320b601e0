"""Usual orders of the classes."""

from eightbit.models import Architecture, ModelSpec
from eightbit.quantize.measure.class_orders import class_names, option_for, other_orders, told_apart


def _orders(names: list[str], labels: list[str] | None = None) -> dict[str, list[int]]:
    return {name: order.tolist() for name, order in other_orders(names, labels).items()}


def test_folders_of_numbers_are_sorted_as_text_or_as_numbers() -> None:
    by_number = [str(index) for index in range(11)]
    assert _orders(by_number)["classes in sorted order"] == [0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 2]
    as_text = sorted(by_number)
    orders = _orders(as_text)
    assert "classes in sorted order" not in orders
    assert orders["classes in the order of their numbers"] == [int(name) for name in as_text]


def test_numbers_with_zeros_are_in_the_same_order_either_way() -> None:
    assert set(_orders([f"{index:02}" for index in range(11)])) == {
        "classes in an order one place further on",
        "classes in an order one place back",
    }


def test_case_is_an_order_of_its_own() -> None:
    orders = _orders(["apple", "Birch", "cherry"])
    assert orders["classes in sorted order"] == [1, 0, 2]


def test_a_background_class_moves_all_others() -> None:
    orders = _orders(["a", "b", "c"])
    assert orders["classes in an order one place further on"] == [1, 2, -1]
    assert orders["classes in an order one place back"] == [-1, 0, 1]


def test_labels_have_an_order_as_well_as_folders() -> None:
    orders = _orders(["0", "1", "2"], ["zebra", "ant", "moth"])
    assert orders["classes in sorted order of the labels"] == [2, 0, 1]


def test_a_number_of_any_length_is_sorted() -> None:
    assert _orders(["9" * 5000, "8"])["classes in sorted order"] == [1, 0]


def test_the_option_is_a_label_file_where_the_classes_have_names() -> None:
    numbers = ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"]
    assert option_for("classes in sorted order", numbers, None) == "--class-order sorted"
    by_number = "classes in the order of their numbers"
    assert option_for(by_number, numbers, None) == "--class-order index"
    assert option_for(by_number, ["class1", "class2"], None).startswith("--labels FILE")
    assert option_for("classes in sorted order", numbers, numbers).startswith("--labels FILE")


def test_every_class_has_a_name() -> None:
    spec = ModelSpec(architecture=Architecture.RESNET18, num_classes=3)
    assert class_names(spec, {1: "n02"}) == ("0", "n02", "2")
    labelled = spec.model_copy(update={"labels": ("a", "b", "c")})
    assert class_names(labelled, {1: "n02"}) == ("a", "n02", "c")


def test_what_was_exchanged_is_told_with_few_examples() -> None:
    names = ["cat", "dog", "emu\x1b", "fox", "gnu"]
    assert told_apart({0: 0, 1: 1}, names) == ""
    assert (
        told_apart({0: 1, 1: 0}, names) == "'cat' is answered as 'dog', 'dog' is answered as 'cat'"
    )
    text = told_apart({0: 1, 1: 2, 2: 3, 3: 4, 4: 0}, names)
    assert text.endswith(" and 2 more")
    assert "\x1b" not in text
