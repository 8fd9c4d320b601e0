"""Whether a page in a browser says of real photos what the desktop says.

Usage: python -m eightbit.benchmarks.studies.web_agreement SITE BUNDLE --images SRC --out FILE.md

The page gets every photo as a file and decodes it itself, as a user's browser would; the desktop
decodes it with Pillow and runs the same model in ONNX Runtime. A browser's JPEG decoder may differ
from Pillow's; what comes after it does not.
"""

import hashlib
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.benchmarks.studies.web_browser import PageAnswer, opened_page, read_description
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import file_pixels
from eightbit.models.images.sources import open_source
from eightbit.models.spec import size_text

_MODEL: Final = "model.int8.onnx"
_JPEG: Final = (".jpg", ".jpeg", ".jpe")
_NAMES: Final = {"int8": "INT8", "fp32": "float"}

_EXPLANATION: Final = """\
Each photo is a JPEG file that the page decodes, resizes and classifies; the desktop does the same
with Pillow and ONNX Runtime, one thread each. Differences are of the INT8 model: of its pixels in
grey levels, of its logits in last bits."""
_COLUMNS: Final = (
    "photos",
    "same class",
    "identical pixels",
    "largest difference of a pixel",
    "of a logit",
    "of a logit from identical pixels",
)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One photo in both places.

    Attributes:
        name: Name of the photo.
        same_class: Whether the INT8 model's first class is the same.
        last_bits: The largest difference of its logits, in last bits.
        levels: The largest difference of a pixel after cropping, of 255.
        answer: What the page said.
    """

    name: str
    same_class: bool
    last_bits: float
    levels: int
    answer: PageAnswer


def compare(site: Path, bundle: Path, images: Path, count: int) -> tuple[list[Compared], str]:
    """Hand photos to a page and to the desktop.

    Args:
        site: What `eightbit bundle --web` wrote.
        bundle: The bundle of that page.
        images: Folder or archive with JPEG files; so many are taken at equal distances.
        count: How many.

    Returns:
        What was found for each, and the browser's name and version.

    Raises:
        InputError: The page is of another model, or there are too few photos.
    """
    described = read_description(site)
    model = bundle / _MODEL
    metadata = read_metadata(model)
    if hashlib.sha256(model.read_bytes()).hexdigest() != described["models"]["int8"]["sha256"]:
        raise InputError(f"{site}: expected the page of {model}, found another; write it again")
    feed, runner = feed_of(metadata), OnnxRunner(model, 1)
    found = []
    with opened_page(site) as page, tempfile.TemporaryDirectory() as folder:
        for number, (name, data) in enumerate(_photos(images, count)):
            photo = Path(folder, f"{number}.jpg")
            photo.write_bytes(data)
            answer = page.classify(photo)
            pixels = file_pixels(data, feed.preprocessing)
            logits = runner(feed.of_pixels(pixels[None]))[0]
            theirs = answer.logits["int8"]
            difference = np.abs(theirs.astype(np.float64) - logits).max()
            found.append(
                Compared(
                    name=name,
                    same_class=int(theirs.argmax()) == int(logits.argmax()),
                    last_bits=float(difference / described["last_bit"]),
                    levels=int(np.abs(pixels.astype(int) - answer.pixels).max()),
                    answer=answer,
                )
            )
        return found, page.version


def _photos(images: Path, count: int) -> list[tuple[str, bytes]]:
    """Usable JPEG files of a source, at equal distances.

    Raises:
        InputError: There are fewer.
    """
    with open_source(images) as source:
        items = [item for item in source.items if item.name.lower().endswith(_JPEG)]
        if len(items) < count:
            raise InputError(f"{images}: expected {count} JPEG files, found {len(items)}")
        chosen = [items[index * len(items) // count] for index in range(count)]
        photos = [(item.name, source.read(item)) for item in chosen]
    for name, data in photos:
        try:
            decode_image(data)
        except UnusableImage as exc:
            raise InputError(f"{images}: {name}: expected a photo, found none: {exc}") from exc
    return photos


def markdown(found: Sequence[Compared], described: str, command: str) -> str:
    """The page about it, which ends in a newline.

    Args:
        found: Results of every photo.
        described: Browser and model.
        command: The command line.
    """
    same = [row for row in found if row.levels == 0]
    cells = (
        f"{len(found)}",
        f"{sum(row.same_class for row in found)}",
        f"{len(same)}",
        f"{max(row.levels for row in found)} of 255",
        _bits(found),
        _bits(same),
    )
    lines = [
        *("# A browser beside the desktop", "", f"`{command}`", ""),
        *(f"{read_environment().summary()}. {described}.", "", _EXPLANATION, ""),
        *(_row(_COLUMNS), _row(["---"] * len(_COLUMNS)), _row(cells), ""),
        *("Median milliseconds of a photo in the page:", "", "| step | ms |", "|---|---|"),
        f"| decode, resize, crop | {_median([row.answer.prepare_ms for row in found])} |",
    ]
    for name in found[0].answer.infer_ms:
        times = [row.answer.infer_ms[name] for row in found]
        lines.append(f"| infer, {_NAMES.get(name, name)} | {_median(times)} |")
    if "fp32" in found[0].answer.logits:
        agreed = sum(
            row.answer.logits["fp32"].argmax() == row.answer.logits["int8"].argmax()
            for row in found
        )
        lines += ["", f"Float and INT8 in the page say the same on {agreed}."]
    return "\n".join([*lines, *_others(found), ""])


def _others(found: Sequence[Compared]) -> list[str]:
    """Every photo of which the page says something else."""
    rows = [row for row in found if not row.same_class]
    if not rows:
        return []
    names = ", ".join(f"`{row.name}` ({row.last_bits:.1f} last bits)" for row in rows)
    return ["", f"Another class: {names}."]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bits(rows: Sequence[Compared]) -> str:
    return f"{max(row.last_bits for row in rows):.2f}" if rows else "-"


def _median(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.1f}"


def main(
    site: Annotated[Path, typer.Argument(help="What `eightbit bundle --web` wrote.")],
    bundle: Annotated[Path, typer.Argument(help="The bundle that it is of.")],
    images: Annotated[Path, typer.Option(help="Folder or archive of JPEG photos.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many photos.")] = 50,
) -> None:
    """Compare a page with the desktop on real photos."""
    found, browser = compare(site, bundle, images, count)
    described = read_description(site)
    model = f"{described['name']}, {size_text(described['preprocessing']['crop'])} px"
    command = (
        "python -m eightbit.benchmarks.studies.web_agreement SITE BUNDLE --images SRC "
        f"--out FILE.md --count {count}"
    )
    out.write_text(markdown(found, f"{browser}. {model}", command), encoding="utf-8")
    agreed = sum(row.same_class for row in found)
    typer.echo(f"{agreed} of {len(found)} photos have the same class in both; written to {out}")


if __name__ == "__main__":
    typer.run(main)
