import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.models.class_match import ClassOrder, LabelRule
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.models.labels import ClassMatch, match_images
from eightbit.models.spec import Architecture, ModelSpec

TWO = ("cat", "dog")
DAYS = ("cat/2024-01-01/1.jpg", "cat/2024-01-02/2.jpg")


def spec(num_classes: int, labels: tuple[str, ...] | None = None) -> ModelSpec:
    return ModelSpec(architecture=Architecture.RESNET50, num_classes=num_classes, labels=labels)


PETS = spec(3, ("Cat", "guide dog", "fish"))


@pytest.fixture
def matched(tmp_path: Path) -> Callable[..., ClassMatch | None]:
    """Match a folder `pets` of empty images (and of empty folders, by a / at the end)."""

    def match(
        names: tuple[str, ...],
        model: ModelSpec,
        labels: dict[str, str] | None = None,
        order: ClassOrder | None = None,
    ) -> ClassMatch | None:
        for name in names:
            path = tmp_path / "pets" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if name.endswith("/") else path.touch()
        with open_source(tmp_path / "pets") as source:
            return match_images(source.listing, model, labels, order)

    return match


def test_real_folders_of_imagenet_photos_get_their_classes(
    shared_file: Callable[[str], Path],
) -> None:
    weights = import_torchvision().models.ResNet50_Weights.DEFAULT
    imagenet = spec(1000, tuple(weights.meta["categories"]))
    with open_source(shared_file("data/imagenet-photos.tar")) as source:
        match = match_images(source.listing, imagenet)
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


Matched = Callable[..., ClassMatch | None]


def test_every_image_gets_the_class_of_its_folder(matched: Matched) -> None:
    match = matched(("cat/1.jpg", "fish/old/2.jpg"), PETS)
    assert match.indices == {"cat/1.jpg": 0, "fish/old/2.jpg": 2}
    assert match.names == {0: "cat", 2: "fish"}


def test_without_class_folders_and_label_file_there_are_no_labels(matched: Matched) -> None:
    assert matched(("1.jpg",), PETS) is None


def test_an_image_outside_the_class_folders_is_named(matched: Matched) -> None:
    with pytest.raises(InputError, match=r"'stray\.jpg' outside"):
        matched(("cat/1.jpg", "stray.jpg"), PETS)


@pytest.mark.parametrize("labels", [None, TWO], ids=["no names", "names"])
@pytest.mark.parametrize("order", [None, ClassOrder.SORTED], ids=str)
@pytest.mark.parametrize("splits", [("train", "val"), ("Training", "validation", "test2017")])
def test_the_splits_of_a_data_set_are_no_classes(
    splits: tuple[str, ...],
    order: ClassOrder | None,
    labels: tuple[str, ...] | None,
    matched: Matched,
) -> None:
    names = tuple(f"{split}/{kind}/1.jpg" for split in splits for kind in TWO)
    with pytest.raises(InputError, match=rf"splits of a data set.*give one of.* pets/{splits[1]}$"):
        matched(names, spec(2, labels), order=order)


def test_splits_without_class_folders_are_no_classes_either(matched: Matched) -> None:
    with pytest.raises(InputError, match="the splits of a data set"):
        matched(("train/1.jpg", "test/1.jpg"), spec(2))


def test_a_class_may_be_called_like_a_split(matched: Matched) -> None:
    match = matched(("bus/1.jpg", "car/1.jpg", "train/1.jpg"), spec(3))
    assert match.indices["train/1.jpg"] == 2


def test_a_class_called_train_may_have_folders_of_its_own(matched: Matched) -> None:
    match = matched(("bus/a/1.jpg", "train/a/1.jpg"), spec(2, ("train", "bus")))
    assert match.indices == {"bus/a/1.jpg": 1, "train/a/1.jpg": 0}


def test_class_folders_one_deeper_are_named(matched: Matched) -> None:
    names = tuple(f"{site}/{kind}/1.jpg" for site in ("north", "south") for kind in TWO)
    with pytest.raises(InputError, match=r"'cat', 'dog'\) inside .*such as pets/north"):
        matched(names, spec(2, TWO))


def test_folders_in_folders_that_fit_on_both_levels_are_refused(matched: Matched) -> None:
    names = tuple(f"{site}/{kind}/1.jpg" for site in ("north", "south") for kind in TWO)
    with pytest.raises(InputError, match=r"'north' = class 0.*'cat' = class 0"):
        matched(names, spec(2))


@pytest.mark.parametrize("labels", [TWO, None], ids=["names", "no names"])
def test_one_class_with_a_folder_per_day_is_no_wrapping(
    labels: tuple[str, ...] | None, matched: Matched
) -> None:
    if labels:
        match = matched(DAYS, spec(2, labels))
        assert (match.rule, set(match.indices.values())) == (LabelRule.LABEL, {0})
        return
    with pytest.raises(
        InputError, match=r"may be classes \('cat'.*'2024-01-01' = class 0"
    ) as caught:
        matched(DAYS, spec(2))
    assert "--class-order sorted" in str(caught.value)
    assert matched(DAYS, spec(2), order=ClassOrder.SORTED).names == {
        0: "2024-01-01",
        1: "2024-01-02",
    }


def test_a_folder_beside_the_only_one_with_images_is_a_class_too(matched: Matched) -> None:
    with pytest.raises(InputError, match="folders in folders"):
        matched((*DAYS, "dog/"), spec(2))


@pytest.mark.parametrize(
    ("wrapping", "folders", "model"),
    [
        ("data", TWO, spec(2, TWO)),  # by their names
        ("data", ("0", "1"), spec(2)),
        ("pets", TWO, spec(2)),  # unpacked into a folder of its own name
        ("val", TWO, spec(2)),
    ],
    ids=["names", "indices", "own name", "split"],
)
def test_a_folder_around_the_class_folders_is_dropped(
    wrapping: str, folders: tuple[str, ...], model: ModelSpec, matched: Matched
) -> None:
    match = matched(tuple(f"{wrapping}/{folder}/1.jpg" for folder in folders), model)
    assert match.indices == {f"{folder}/1.jpg": index for index, folder in enumerate(folders)}


def test_a_folder_and_the_folders_in_it_that_all_are_classes_are_refused(matched: Matched) -> None:
    with pytest.raises(InputError, match="folders in folders"):
        matched(("dog/cat/1.jpg", "dog/dog/1.jpg"), spec(2, TWO))


def test_a_label_file_labels_a_flat_folder_and_overrules_folders(matched: Matched) -> None:
    labels = {"1.jpg": "fish", "x/2.jpg": "cat", "more.jpg": "cat"}
    match = matched(("1.jpg", "x/2.jpg"), PETS, labels)
    assert match.indices == {"1.jpg": 2, "x/2.jpg": 0}


def test_a_label_file_may_name_the_folder_around_the_others(matched: Matched) -> None:
    labels = {"all/a/1.jpg": "fish", "b/2.jpg": "cat"}
    match = matched(("all/a/1.jpg", "all/b/2.jpg"), PETS, labels)
    assert match.indices == {"a/1.jpg": 2, "b/2.jpg": 0}


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_label_file_finds_names_whatever_their_normalisation(
    written: str, stored: str, matched: Matched
) -> None:
    name = unicodedata.normalize(stored, "thé.jpg")
    match = matched((name,), PETS, {unicodedata.normalize(written, "thé.jpg"): "fish"})
    assert match.indices == {name: 2}


def test_two_files_that_differ_by_normalisation_stay_two(matched: Matched) -> None:
    composed, decomposed = (unicodedata.normalize(form, "thé.jpg") for form in ("NFC", "NFD"))
    both = {composed: "cat", decomposed: "fish"}
    assert matched((composed, decomposed), PETS, both).indices == {composed: 0, decomposed: 2}
    with pytest.raises(InputError, match="expected a label for every image"):
        matched((composed, decomposed), PETS, {composed: "cat"})


def test_numbers_in_a_label_file_are_no_clearer_than_those_of_folders(matched: Matched) -> None:
    labels = {f"{index}.jpg": str(index) for index in range(11)}
    with pytest.raises(InputError, match="--class-order index or sorted"):
        matched(tuple(labels), spec(11), labels)
    match = matched((), spec(11), labels, ClassOrder.SORTED)
    assert (match.indices["10.jpg"], match.indices["2.jpg"]) == (2, 3)


def test_an_image_that_the_label_file_lacks_is_named(matched: Matched) -> None:
    with pytest.raises(InputError, match=r"found none for '2\.jpg'.*names '1\.jpg'"):
        matched(("1.jpg", "2.jpg"), PETS, {"1.jpg": "cat"})
