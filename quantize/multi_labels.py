"""Images that have several classes, or none: which classes of a model they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from eightbit.models.class_match import ClassOrder, LabelRule, match_classes
from eightbit.models.errors import InputError
from eightbit.models.images.sources import Listing
from eightbit.models.labels import table_labels
from eightbit.models.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class MultiLabelMatch:
    """Class indices from 0 by name of the image, ascending, and the rule that matched the names.

    Attributes:
        rule: Which rule.
        indices: By name of the image.
        names: The label of each class that has one.
    """

    rule: LabelRule
    indices: Mapping[str, tuple[int, ...]]
    names: Mapping[int, str]


def match_multi_labels(
    listing: Listing,
    spec: ModelSpec,
    image_labels: Mapping[str, tuple[str, ...]],
    order: ClassOrder | None = None,
) -> MultiLabelMatch:
    """Class indices by image name, the labels of all images matched by one rule.

    Raises:
        InputError: An image is not in the table, no image has a label, or a label has no class.
    """
    own = table_labels(listing, image_labels)
    names = {label for labels in own.values() for label in labels}
    if not names:
        raise InputError("expected labels in the table, found none for any of these images")
    match = match_classes(names, spec.as_single_label, order)
    return MultiLabelMatch(
        rule=match.rule,
        indices={
            name: tuple(sorted({match.indices[label] for label in labels}))
            for name, labels in own.items()
        },
        names={index: name for name, index in match.indices.items()},
    )
