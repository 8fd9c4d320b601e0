"""Tables of a multi-label classifier: mean average precision, changed decisions, classes."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.accuracy.multi_label import (
    CandidateMultiLabel,
    ClassPrecision,
    DecisionFlip,
)
from eightbit.benchmarks.report.document import MultiLabelSection
from eightbit.benchmarks.report.figures import NOTHING, Table, class_name, interval, percent, points
from eightbit.benchmarks.report.verdict import verdict
from eightbit.models.plain_text import counted

_MAX_CLASSES: Final = 5
_MAX_LISTED: Final = 20


def multi_label_tables(
    section: MultiLabelSection, labels: tuple[str, ...] | None = None
) -> Iterator[Table]:
    """Mean average precision with its drop, changed decisions, and the classes that lose."""
    fp32, candidates = section.fp32, section.candidates
    if fp32.map is not None:
        rows = tuple(
            (name, percent(one.map), interval(one.drop_pp, one.drop_ci95_pp))
            for name, one in candidates.items()
        )
        verdicts = {name: f"{verdict(one).phrase}." for name, one in candidates.items()}
        said = " ".join(f"{name}: {words}" for name, words in verdicts.items())
        yield Table(
            title=f"Mean average precision on {counted(fp32.n, 'image')}",
            columns=("", "mAP", "drop [95 %]"),
            rows=(("float", percent(fp32.map), NOTHING), *rows),
            note=f"{said} mAP: over {counted(fp32.judged_classes, 'class', 'classes')} that have "
            "positives, each alike; drop: with its 95 % interval, by a bootstrap over the images.",
        )
    yield Table(
        title=f"Decisions on {counted(fp32.n, 'image')}",
        columns=("", "decisions", "changed", "share [95 %]"),
        rows=tuple(_decisions(name, one) for name, one in candidates.items()),
        note="One for every image and class; changed: on the other side of the threshold than in "
        "float (- now wrong, + now right); share: with Wilson's interval."
        + ("" if fp32.map is not None else " Without labels a drop cannot be told."),
    )
    for name, one in candidates.items():
        losing = sorted(
            (entry for entry in one.classes if entry.drop_pp > 0),
            key=lambda entry: (-entry.drop_pp, entry.index),
        )
        if losing:
            yield _classes(name, losing[:_MAX_CLASSES], labels)
            return


def _decisions(name: str, result: CandidateMultiLabel) -> tuple[str, ...]:
    changed = f"{result.changed:,}"
    if result.broke is not None and result.fixed is not None:
        changed += f" (-{result.broke:,} +{result.fixed:,})"
    low, high = (100 * end for end in result.changed_ci95)
    share = percent(result.changed / result.decisions, 3)
    return name, f"{result.decisions:,}", changed, f"{share} [{low:.3f}, {high:.3f}]"


def _classes(name: str, losing: list[ClassPrecision], labels: tuple[str, ...] | None) -> Table:
    return Table(
        title=f"Classes that lose ({name})",
        columns=("class", "positives", "float", "INT8", "drop", "changed"),
        rows=tuple(
            (
                class_name(entry.index, labels),
                f"{entry.positives:,}",
                percent(entry.ap_fp32),
                percent(entry.ap),
                points(entry.drop_pp),
                f"{entry.changed:,}",
            )
            for entry in losing
        ),
        note="float, INT8: average precision; changed: images on which the two decide differently.",
    )


def changed_decisions(
    name: str, result: CandidateMultiLabel, labels: tuple[str, ...] | None
) -> Table:
    """The first decisions that changed."""
    listed = result.flips[:_MAX_LISTED]
    more = result.changed - len(listed)
    return Table(
        title=f"Decisions that changed ({name})",
        columns=("image", "class", "label", "float", "INT8"),
        rows=tuple(
            (
                flip.image,
                class_name(flip.index, labels),
                truth(flip),
                percent(flip.float_probability, 1),
                percent(flip.int8_probability, 1),
            )
            for flip in listed
        ),
        text_columns=5,
        note=f"And {more:,} more." if more > 0 else "",
    )


def truth(flip: DecisionFlip) -> str:
    """Whether the image has the class, in a word."""
    return NOTHING if flip.label is None else "yes" if flip.label else "no"
