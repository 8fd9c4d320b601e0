import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.models import label_files
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.images.sources import ImageItem, open_source
from eightbit.models.label_files import read_class_names, read_image_labels
from eightbit.models.labels import LabelRule, imagenet_wnids, match_classes, match_images
from eightbit.models.spec import Architecture, ModelSpec


def spec(num_classes: int, labels: tuple[str, ...] | None = None) -> ModelSpec:
    return ModelSpec(architecture=Architecture.RESNET50, num_classes=num_classes, labels=labels)


@pytest.fixture(scope="module")
def imagenet() -> ModelSpec:
    weights = import_torchvision().models.ResNet50_Weights.DEFAULT
    return spec(1000, tuple(weights.meta["categories"]))


PETS = spec(3, ("Cat", "guide dog", "fish"))


@pytest.mark.parametrize(
    ("names", "model", "rule", "expected"),
    [
        (("cat", "guide_dog"), PETS, LabelRule.LABEL, {"cat": 0, "guide_dog": 1}),
        (("GUIDE  DOG", "Fish"), PETS, LabelRule.LABEL, {"GUIDE  DOG": 1, "Fish": 2}),
        (("0", "2"), PETS, LabelRule.INDEX, {"0": 0, "2": 2}),
        (("00", "01"), spec(2), LabelRule.INDEX, {"00": 0, "01": 1}),
        (("10", "9"), spec(11), LabelRule.INDEX, {"10": 10, "9": 9}),
        (("b", "c", "a"), spec(3), LabelRule.SORTED_ORDER, {"a": 0, "b": 1, "c": 2}),
        (
            ("n01440764", "n15075141"),
            spec(1000),
            LabelRule.WORDNET_ID,
            {"n01440764": 0, "n15075141": 999},
        ),
        (("2", "1"), spec(2, ("1", "2")), LabelRule.LABEL, {"1": 0, "2": 1}),
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
        (("cat", "horse"), PETS, "found none for 'horse'"),
        (("a", "b"), spec(3), "found none for 'a', 'b'"),
        (("cat", "hund", "fisch"), PETS, "found none for 'fisch', 'hund'"),
        (("n01440764", "dog"), spec(1000), "found none for 'dog'"),
        (("n01440764", "x"), spec(10), "found none for 'n01440764', 'x'"),
        (("0", "3"), PETS, "found none for '3'"),
        (("0", "-1"), PETS, "found none for '-1'"),
        (("0", "²"), PETS, "found none for '²'"),
        (tuple("abcdef"), spec(9), "'a', 'b', 'c' and 3 more"),
        (("a", "b", "c", "d"), spec(3), "4 folders"),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple | str) else "model",
)
def test_names_without_a_class_are_never_numbered_silently(
    names: tuple[str, ...], model: ModelSpec, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        match_classes(names, model)
    assert "\n" not in str(caught.value)
    assert "class index" in str(caught.value) or "index (0 to" in str(caught.value)


def test_two_rules_that_contradict_each_other_are_refused() -> None:
    model = spec(3, ("1", "2", "3"))
    with pytest.raises(InputError, match="found class 1 by class index but 0"):
        match_classes(("0", "1", "2"), model)


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


def test_real_folders_of_imagenet_photos_get_their_classes(
    shared_file: Callable[[str], Path], imagenet: ModelSpec
) -> None:
    with open_source(shared_file("data/imagenet-photos.tar")) as source:
        match = match_images(source.items, imagenet)
    assert match is not None
    classes = match.indices
    assert len(set(classes.values())) == 750
    assert imagenet.labels is not None
    # A file is called like n01443537_goldfish.jpg.
    same = 0
    for name, index in classes.items():
        word = name.rsplit("/", 1)[1].partition("_")[2].removesuffix(".jpg").casefold()
        label = imagenet.labels[index].casefold().replace(" ", "_")
        same += word == label
    assert same > 650


def item(name: str) -> ImageItem:
    return ImageItem(name=name, folder=name.split("/")[0] if "/" in name else None)


def test_every_image_gets_the_class_of_its_folder() -> None:
    items = [item("cat/1.jpg"), item("fish/old/2.jpg")]
    assert match_images(items, PETS).indices == {"cat/1.jpg": 0, "fish/old/2.jpg": 2}


def test_without_class_folders_and_label_file_there_are_no_labels() -> None:
    assert match_images([item("1.jpg")], PETS) is None


def test_an_image_outside_the_class_folders_is_named() -> None:
    with pytest.raises(InputError, match=r"'stray\.jpg' outside"):
        match_images([item("cat/1.jpg"), item("stray.jpg")], PETS)


def test_a_label_file_labels_a_flat_folder_and_overrules_folders() -> None:
    labels = {"1.jpg": "fish", "x/2.jpg": "cat", "more.jpg": "cat"}
    items = [item("1.jpg"), item("x/2.jpg")]
    assert match_images(items, PETS, labels).indices == {"1.jpg": 2, "x/2.jpg": 0}


def test_an_image_that_the_label_file_lacks_is_named() -> None:
    with pytest.raises(InputError, match=r"found none for '2\.jpg'.*names '1\.jpg'"):
        match_images([item("1.jpg"), item("2.jpg")], PETS, {"1.jpg": "cat"})


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("names.txt", b"cat\nguide dog\n", ("cat", "guide dog")),
        ("names.txt", b"\xef\xbb\xbfcat\r\n dog \r\n\r\n", ("cat", "dog")),
        ("names.json", b'["cat", "dog"]', ("cat", "dog")),
        ("names.JSON", '["Köter"]'.encode(), ("Köter",)),
        ("names.txt", b"crane\ncrane", ("crane", "crane")),
    ],
)
def test_class_names_are_read_in_their_order(
    name: str, content: bytes, expected: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_class_names(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("names.txt", None, "No such file"),
        ("names.txt", b"", "found none"),
        ("names.txt", b"cat\n\ndog", "entry 2"),
        ("names.txt", b"caf\xe9", "UTF-8, found byte 3"),
        ("names.txt", b"x" * 101, "found more"),
        ("names.json", b'["cat", ', "not valid JSON"),
        ("names.json", b"[" * 100, "not valid JSON"),
        ("names.json", b'{"0": "cat"}', "JSON list of strings"),
        ("names.json", b'["cat", 3]', "JSON list of strings"),
        ("names.json", b'["cat", " ", "dog"]', "entry 2"),
        ("names.json", b"[]", "found none"),
    ],
)
def test_a_bad_file_of_class_names_is_refused_in_one_line(
    name: str,
    content: bytes | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(label_files, "MAX_LABEL_FILE_BYTES", 100)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_class_names(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_directory_is_no_file_of_class_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory"):
        read_class_names(tmp_path)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="not valid JSON"):
        read_class_names(tmp_path / "names.json")


@pytest.mark.parametrize(
    "content",
    [
        "file,label\n1.jpg,cat\na/2.jpg,guide dog\n",
        "\ufeffFilename , Label\r\n./1.jpg, cat\r\na\\2.jpg,guide dog\r\n",
        'image,colour,label\n1.jpg,red,cat\n"a/2.jpg",blue,"guide dog"\n',
    ],
)
def test_image_labels_are_read_from_the_columns_that_count(content: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_image_labels(path) == {"1.jpg": "cat", "a/2.jpg": "guide dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("file,label\n", "only the header"),
        ("1.jpg,cat\n2.jpg,dog\n", "columns file and label, found 1.jpg, cat"),
        ("file,label\n1.jpg\n", "line 2.*empty field"),
        ("file,label\n1.jpg,cat\n,dog\n", "line 3.*empty field"),
        ("file,label\n1.jpg,cat\n1.jpg,dog\n", "line 3: '1.jpg' is labelled 'cat' and 'dog'"),
        ('file,label\n"1.jpg"x,cat\n', "after line 1: not valid CSV"),
        ("file,label\n1.jpg," + "x" * 200_000, "not valid CSV"),
    ],
)
def test_a_bad_label_file_is_refused_in_one_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(InputError, match=message) as caught:
        read_image_labels(path)
    assert "\n" not in str(caught.value)


def test_json_round_trips_names_that_the_text_form_would_strip(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(json.dumps(["0", "a,b", "c#d"]))
    assert read_class_names(tmp_path / "names.json") == ("0", "a,b", "c#d")
