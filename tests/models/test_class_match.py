import re

import pytest

from eightbit.models.class_match import ClassOrder, LabelRule, imagenet_wnids, match_classes
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture, ModelSpec


def spec(num_classes: int, labels: tuple[str, ...] | None = None) -> ModelSpec:
    return ModelSpec(architecture=Architecture.RESNET50, num_classes=num_classes, labels=labels)


@pytest.fixture(scope="module")
def imagenet() -> ModelSpec:
    weights = import_torchvision().models.ResNet50_Weights.DEFAULT
    return spec(1000, tuple(weights.meta["categories"]))


PETS = spec(3, ("Cat", "guide dog", "fish"))
CAFE = spec(2, ("th\u00e9", "cr\u00e8me"))
UNPADDED = tuple(sorted(map(str, range(11))))
PADDED = tuple(f"{index:02}" for index in range(11))
SORTED = {name: index for index, name in enumerate(UNPADDED)}


@pytest.mark.parametrize(
    ("names", "model", "rule", "expected"),
    [
        (("cat", "guide_dog"), PETS, LabelRule.LABEL, {"cat": 0, "guide_dog": 1}),
        (("GUIDE  DOG", "Fish"), PETS, LabelRule.LABEL, {"GUIDE  DOG": 1, "Fish": 2}),
        (("guide-dog", "fish"), PETS, LabelRule.LABEL, {"guide-dog": 1, "fish": 2}),
        (("guide\u2013_ dog",), PETS, LabelRule.LABEL, {"guide\u2013_ dog": 1}),
        (("the\u0301", "CRE\u0300ME"), CAFE, LabelRule.LABEL, {"the\u0301": 0, "CRE\u0300ME": 1}),
        (("th\u00e9",), CAFE, LabelRule.LABEL, {"th\u00e9": 0}),
        (("1", "2", "0"), spec(3), LabelRule.INDEX, {"0": 0, "1": 1, "2": 2}),
        (("1", "2", "0"), PETS, LabelRule.INDEX, {"0": 0, "1": 1, "2": 2}),
        (("00", "01"), spec(2), LabelRule.INDEX, {"00": 0, "01": 1}),
        (PADDED, spec(11), LabelRule.INDEX, {name: int(name) for name in PADDED}),
        (("b", "c", "a"), spec(3), LabelRule.SORTED_ORDER, {"a": 0, "b": 1, "c": 2}),
        (
            ("n01440764", "n15075141"),
            spec(1000),
            LabelRule.WORDNET_ID,
            {"n01440764": 0, "n15075141": 999},
        ),
        (("2", "1"), spec(2, ("1", "2")), LabelRule.LABEL, {"1": 0, "2": 1}),
        # The names decide, also where they are numbers in sorted order.
        (UNPADDED, spec(11, UNPADDED), LabelRule.LABEL, SORTED),
        (("t_shirt",), spec(2, ("t shirt", "t_shirt")), LabelRule.LABEL, {"t_shirt": 1}),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple | str) else "model",
)
def test_names_are_matched_by_the_first_rule_that_matches_them_all(
    names: tuple[str, ...], model: ModelSpec, rule: LabelRule, expected: dict[str, int]
) -> None:
    match = match_classes(names, model)
    assert (match.rule, dict(match.indices)) == (rule, expected)


@pytest.mark.parametrize(
    ("names", "model", "message"),
    [
        (("cat", "horse"), PETS, "by name none for 'horse' beside 'cat' = class 0 (Cat)"),
        (("a", "b"), spec(3), "found in sorted order 2 for 3 classes; name them by label"),
        (("cat", "hund", "fisch"), PETS, "by name none for 'fisch' ('fish' misspelt?) and 1 more"),
        (("cat", "guidedog", "fish"), PETS, "by name none for 'guidedog' ('guide dog' misspelt?)"),
        (("katze", "hund", "vogel"), PETS, "none for 'hund', 'katze', 'vogel'; in sorted order"),
        (("katze", "hund", "vogel"), PETS, "'hund' = class 0 (Cat), 'katze' = class 1 (guide dog)"),
        (("n01440764", "dog"), spec(1000), "found by name none for 'dog' beside 'n01440764'"),
        (("n01440764", "x"), spec(10), "in sorted order 2 for 10 classes"),
        (("0", "2"), PETS, "by index '0' = class 0 (Cat), '2' = class 2 (fish); in sorted order 2"),
        (("0", "3"), PETS, "by index none for '3'"),
        (("0", "-1"), PETS, "by index none for '-1'"),
        (("0", "\u00b2"), PETS, "by index none for '\u00b2'"),
        (
            ("1", "2", "3"),
            spec(3),
            "none for '3'; in sorted order '1' = class 0, '2' = class 1; say",
        ),
        (("1", "01"), spec(2), "in sorted order '01' = class 0, '1' = class 1"),
        (UNPADDED, spec(11), "'10' = class 10, '2' = class 2; in sorted order '10' = class 2"),
        (UNPADDED, spec(11), "say --class-order index or sorted, or name them by label"),
        (UNPADDED, spec(11, tuple("abcdefghijk")), "say --class-order index or sorted"),
        (("10", "9"), spec(11), "by index '10' = class 10, '9' = class 9; in sorted order 2 for"),
        (tuple("abcdef"), spec(9, tuple("zyxwvutsr")), "'a', 'b', 'c' and 3 more"),
        (("a", "b", "c", "d"), spec(3), "4 folders"),
        (("cat", "th\u00e9", "the\u0301"), spec(3), "say --class-order sorted"),
        (
            tuple(f"class{index}" for index in range(11)),
            spec(11),
            "in sorted order 'class0' = class 0, 'class1' = class 1 or, sorted otherwise, 'class2'",
        ),
        (
            ("eau", "e\u0301mile", "zoo"),
            spec(3),
            "class 1 or, sorted otherwise, 'zoo' = class 1; say --class-order sorted, or",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple | str) else "model",
)
def test_names_without_a_clear_class_are_never_numbered_silently(
    names: tuple[str, ...], model: ModelSpec, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        match_classes(names, model)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 420


def test_two_readings_that_contradict_each_other_are_shown_side_by_side() -> None:
    model = spec(3, ("1", "2", "3"))
    message = (
        "by name none for '0' beside '1' = class 0 (1), '2' = class 1 (2); "
        "by index '0' = class 0 (1), '1' = class 1 (2); in sorted order '0' = class 0"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        match_classes(("0", "1", "2"), model)


@pytest.mark.parametrize(
    ("names", "model", "order", "expected"),
    [
        (UNPADDED, spec(11), ClassOrder.SORTED, SORTED),
        (UNPADDED, spec(11), ClassOrder.INDEX, {name: int(name) for name in UNPADDED}),
        (UNPADDED, spec(11, UNPADDED), ClassOrder.INDEX, {name: int(name) for name in UNPADDED}),
        (("0", "2"), PETS, ClassOrder.INDEX, {"0": 0, "2": 2}),
        (("1", "2", "3"), spec(3), ClassOrder.SORTED, {"1": 0, "2": 1, "3": 2}),
        (("katze", "hund"), spec(2, ("a", "b")), ClassOrder.SORTED, {"hund": 0, "katze": 1}),
        # Said, it holds, even if the names fit too.
        (("cat", "dog"), spec(2, ("dog", "cat")), ClassOrder.SORTED, {"cat": 0, "dog": 1}),
        (("cat", "fish"), PETS, ClassOrder.NAMES, {"cat": 0, "fish": 2}),
        (("n01440764",), spec(1000), ClassOrder.NAMES, {"n01440764": 0}),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple | str) else "model",
)
def test_the_user_says_what_names_are(
    names: tuple[str, ...], model: ModelSpec, order: ClassOrder, expected: dict[str, int]
) -> None:
    assert match_classes(names, model, order).indices == expected


@pytest.mark.parametrize(
    ("names", "model", "order", "message"),
    [
        (("cat", "dog"), spec(2), ClassOrder.NAMES, "by --class-order names one class"),
        (("cat", "horse"), PETS, ClassOrder.NAMES, "by name none for 'horse'"),
        (("cat", "0"), PETS, ClassOrder.INDEX, "by index none for 'cat'"),
        (("0", "3"), spec(3), ClassOrder.INDEX, "by index none for '3'"),
        (("a", "b"), spec(3), ClassOrder.SORTED, "in sorted order 2 for 3 classes"),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple | str) else "model",
)
def test_names_that_are_not_what_the_user_says_are_refused(
    names: tuple[str, ...], model: ModelSpec, order: ClassOrder, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        match_classes(names, model, order)


def test_a_class_without_images_counts_in_the_sorted_order() -> None:
    match = match_classes(("cat", "horse"), spec(3), absent=("dog",))
    assert match.indices == {"cat": 0, "dog": 1, "horse": 2}
    assert match_classes("0134", spec(5), absent=("2", "notes")).indices["4"] == 4
    with pytest.raises(InputError, match="--class-order sorted"):  # is it a class or not?
        match_classes(("cat", "horse"), spec(2), absent=("notes",))
    told = match_classes(("cat", "horse"), spec(2), ClassOrder.SORTED, absent=("notes",))
    assert told.indices == {"cat": 0, "horse": 1}


def test_wordnet_ids_are_imagenets_in_the_order_of_its_classes(imagenet: ModelSpec) -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == 1000
    # ILSVRC-2012's classes are in the order of their WordNet ids.
    assert list(wnids) == sorted(wnids)
    assert imagenet.labels is not None
    by_id = dict(zip(wnids, imagenet.labels, strict=True))
    assert by_id["n01440764"] == "tench"
    assert by_id["n02012849"] == "crane bird"
    assert by_id["n03126707"] == "crane"
    assert by_id["n15075141"] == "toilet tissue"


def with_two_cranes(model: ModelSpec) -> ModelSpec:
    """ImageNet's labels as most lists have them: crane the bird is crane, like the machine."""
    assert model.labels is not None
    labels = tuple("crane" if label == "crane bird" else label for label in model.labels)
    return model.model_copy(update={"labels": labels})


def test_a_label_of_two_classes_is_refused(imagenet: ModelSpec) -> None:
    with pytest.raises(InputError, match=r"'crane'.*found classes 134 and 517.*by WordNet id"):
        match_classes(("tench", "crane"), with_two_cranes(imagenet))
    assert match_classes(("tench", "crane"), imagenet).indices == {"tench": 0, "crane": 517}


def test_case_tells_labels_apart_where_all_names_have_it(imagenet: ModelSpec) -> None:
    match = match_classes(("Cardigan", "cardigan", "French_bulldog"), imagenet)
    assert match.indices == {"Cardigan": 264, "cardigan": 474, "French_bulldog": 245}
    with pytest.raises(InputError, match="found classes 264 and 474"):
        match_classes(("cardigan", "french bulldog"), imagenet)


def test_all_of_imagenets_labels_find_their_own_classes(imagenet: ModelSpec) -> None:
    assert imagenet.labels is not None
    match = match_classes([label.replace(" ", "_") for label in imagenet.labels], imagenet)
    assert list(match.indices.values()) == list(range(1000))


def test_a_label_of_two_classes_does_not_disturb_the_other_rules(imagenet: ModelSpec) -> None:
    model = with_two_cranes(imagenet)
    wnids = imagenet_wnids()
    match = match_classes(wnids, model)
    assert match.rule is LabelRule.WORDNET_ID
    assert [match.indices[wnid] for wnid in wnids] == list(range(1000))
    assert match_classes(("tench", "goldfish"), model).indices == {"tench": 0, "goldfish": 1}
