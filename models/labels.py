"""Matches images to a model's classes, by class folder or label file."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final, TypeVar

from eightbit.models.class_match import (
    ClassMatch,
    ClassOrder,
    LabelRule,
    by_name,
    in_words,
    match_classes,
    some,
)
from eightbit.models.class_names import is_split
from eightbit.models.errors import InputError
from eightbit.models.images.sources import Listing
from eightbit.models.plain_text import printable
from eightbit.models.spec import ModelSpec

LabelT = TypeVar("LabelT")

_BY_NAME: Final = (LabelRule.LABEL, LabelRule.WORDNET_ID)


def match_images(
    listing: Listing,
    spec: ModelSpec,
    image_labels: Mapping[str, str] | None = None,
    order: ClassOrder | None = None,
) -> ClassMatch | None:
    """Class index by image name, and the rule; None without class folders or labels.

    Where ``image_labels`` are given, by name, folders are ignored. Otherwise class folders are the
    top folders, or those inside a single one if their names say so. ``order`` is what the names of
    folders or labels are; None if they alone shall tell.

    Raises:
        InputError: An image has no label, a label or folder has no class of its own, or it is not
            clear which folders are the classes.
    """
    if image_labels is not None:
        match = match_classes(set(image_labels.values()), spec, order)
        return _of_images(table_labels(listing, image_labels), match)
    if not listing.folders:
        return None
    strays = [item.name for item in listing.items if item.folder is None]
    if strays:
        raise InputError(
            f"expected every image in a class folder, found {some(strays)} outside; move it"
            " into its folder, or label all images by a CSV file"
        )
    if listing.wrapping is not None:
        return _inside_one_folder(listing, listing.wrapping, spec, order)
    return _of_images(_folder_of_image(listing), _top_folders(listing, spec, order))


def _of_images(names: Mapping[str, str], match: ClassMatch) -> ClassMatch:
    """Class index by image, whose folder or label is given."""
    return ClassMatch(
        rule=match.rule,
        indices={image: match.indices[name] for image, name in names.items()},
        names={index: name for name, index in match.indices.items()},
    )


def _folder_of_image(listing: Listing) -> dict[str, str]:
    return {item.name: item.folder for item in listing.items if item.folder is not None}


def _inside_one_folder(
    listing: Listing, wrapping: str, spec: ModelSpec, order: ClassOrder | None
) -> ClassMatch:
    """Tell folders of classes inside one folder from folders inside a class."""
    inner = _tried(listing.folders, spec, order, listing.empty_folders)
    outer = _tried({wrapping}, spec, order, listing.beside_wrapping)
    sure = [match is not None and match.rule in _BY_NAME for match in (inner, outer)]
    if outer is not None and (inner is None or sure == [False, True]):
        return _of_images(dict.fromkeys(_folder_of_image(listing), wrapping), outer)
    if outer is not None and sure != [True, False]:
        raise _unclear_depth(listing, {wrapping}, spec, inner, outer)
    inner = match_classes(listing.folders, spec, order, absent=listing.empty_folders)
    stem = listing.name.rpartition(".")[0] or listing.name
    plain = is_split(wrapping) or wrapping.casefold() == stem.casefold()
    if order is None and inner.rule is LabelRule.SORTED_ORDER and not plain:
        raise _unclear_depth(listing, {wrapping}, spec, inner, None)
    return _of_images(_folder_of_image(listing), inner)


def _top_folders(listing: Listing, spec: ModelSpec, order: ClassOrder | None) -> ClassMatch:
    """Match the top folders, unless they are something else than classes."""
    folders = listing.folders
    if order in (None, ClassOrder.NAMES):
        match = by_name(folders, spec)
        if match is not None:
            return match
    inner_of: dict[str, set[str]] = defaultdict(set)
    for item in listing.items:
        inner_of[item.folder or ""].update(item.name.split("/")[1:-1][:1] or ("",))
    _refuse_splits(listing, inner_of)
    inside = set().union(*inner_of.values())
    deeper = None if "" in inside else _tried(inside, spec, None)
    if deeper is not None and deeper.rule in _BY_NAME:
        raise InputError(
            f"expected class folders, found them ({some(inside)}) inside {some(folders)}; "
            f"{_give(listing, min(folders))}"
        )
    match = match_classes(folders, spec, order, absent=listing.empty_folders)
    if deeper is not None and order is None:
        raise _unclear_depth(listing, folders, spec, deeper, match)
    return match


def _refuse_splits(listing: Listing, inner_of: Mapping[str, set[str]]) -> None:
    """Refuse the parts of a data set, such as train and val, for class folders."""
    splits = [folder for folder in sorted(inner_of) if is_split(folder)]
    if len(splits) == len(inner_of) or any("" not in inner_of[split] for split in splits):
        order = ("val", "eval", "test", "dev", "")
        best = min(splits, key=lambda name: [part in name.casefold() for part in order].index(True))
        raise InputError(
            f"expected class folders, found the splits of a data set ({some(splits)});"
            f" {_give(listing, best)}"
        )


def _give(listing: Listing, folder: str) -> str:
    """What to do where the classes lie in a folder of the source."""
    if listing.name.lower().endswith((".tar", ".zip")):
        return f"unpack the archive and give one of them, such as {folder}"
    return f"give one of them, such as {listing.name}/{folder}"


def _tried(
    names: Collection[str],
    spec: ModelSpec,
    order: ClassOrder | None,
    absent: Collection[str] = (),
) -> ClassMatch | None:
    try:
        return match_classes(names, spec, order, absent=absent)
    except InputError:
        return None


def _unclear_depth(
    listing: Listing,
    tops: Collection[str],
    spec: ModelSpec,
    inner: ClassMatch | None,
    outer: ClassMatch | None,
) -> InputError:
    """Both readings of folders in folders."""
    above = in_words(outer, spec) if outer else f"{some(tops)}, of which the class is not known"
    below = in_words(inner, spec) if inner else "none"
    decides = (
        "say --class-order sorted for the latter"
        if outer is None
        else f"give a folder with the class folders alone, such as {listing.name}/{min(tops)} for"
        " the latter, or name the folders as the classes are"
    )
    return InputError(
        f"expected class folders, found folders in folders, which may be classes ({above}) with"
        f" folders of their own, or folders around the classes ({below}); {decides}"
    )


def table_labels(listing: Listing, image_labels: Mapping[str, LabelT]) -> dict[str, LabelT]:
    """What a table says of every image; names that are equal once composed (NFC) are equal.

    Raises:
        InputError: It says nothing of an image.
    """
    labels = {printable(name): label for name, label in image_labels.items()}
    around = f"{listing.wrapping}/" if listing.wrapping else ""
    found = {
        item.name: name
        for item in listing.items
        if (name := next((n for n in (item.name, around + item.name) if n in labels), None))
    }
    # A label of another file's very name is not for this one.
    free = set(labels) - set(found.values())
    similar: dict[str, list[str]] = defaultdict(list)
    for name in free:
        similar[_composed(name)].append(name)
    missing = []
    for item in listing.items:
        if item.name in found:
            continue
        names = similar.pop(_composed(item.name), ()) or similar.pop(
            _composed(around + item.name), ()
        )
        if len(names) == 1:
            found[item.name] = names[0]
        else:
            missing.append(item.name)
    if missing:
        raise InputError(
            f"expected a label for every image, found none for {some(missing)}; the label file"
            f" names {some(image_labels)}"
        )
    return {image: labels[name] for image, name in found.items()}


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
