"""From the bytes of a large photo to its class, decoded scaled and whole: a table in Markdown.

Usage: python -m eightbit.quantize.studies.decoding --photos SRC --out FILE.md
           --work DIR ARCHITECTURE:WEIGHTS:SIDE ...

WEIGHTS is a file, or `made`: weights that nobody trained, with statistics taken from photos. Every
photo is enlarged (Lanczos, JPEG of quality 90) to 12 megapixels and, apart, to 500 pixels of its
longer side, and goes through three paths in turns, in one process: the bundle's program as it is
delivered with `--decode scaled`, the same program decoding whole, and the usual one: Pillow,
torchvision's preset, ONNX Runtime on the file that its `quantize_static` makes of the same float
model and the same photos.
"""

import importlib.util
import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import numpy as np
import onnxruntime as ort
import torch
import typer
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from eightbit.benchmarks.artifact.formats import ONNX, Precision
from eightbit.benchmarks.report.document import read_report
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.command import Network, parse_network, quantize
from eightbit.benchmarks.studies.line import drawn_photos
from eightbit.benchmarks.studies.made_networks import Kind, make_network
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.sources import open_source
from eightbit.models.spec import Architecture, Preprocessing
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.deploy.archive import bundle_files

import_torchvision()
from torchvision.transforms._presets import ImageClassification  # noqa: E402

_SAMPLES: Final = 128
# With one, CPU time is what an idle machine takes, and other programs do not lengthen it.
_THREADS: Final = 1
_LARGE: Final = 12_000_000
_ORDINARY: Final = 500
_QUALITY: Final = 90
MADE: Final = "made"

# The paths, in the order of the table.
SCALED, WHOLE, USUAL = "scaled", "whole", "usual"


class Answered(NamedTuple):
    """What a path made of a photo.

    Attributes:
        best: The class.
        pixels: What the model was given.
        ready: When that was, in seconds of CPU time.
    """

    best: int
    pixels: Any
    ready: float


Answer = Callable[[bytes], Answered]
"""From the bytes of a photo to its class."""

# The usual path, which says nothing of what decoding changes, is taken by one photo of so many.
_USUAL_EVERY: Final = 3

# After so many photos the page is written.
_WRITE_EVERY: Final = 50


@dataclass(kw_only=True)
class Measured:
    """Photos of one size through all paths of one network.

    Attributes:
        seconds: CPU time of each photo to its pixels and to its class, by path; not numbers where
            the path was not taken.
        same: For each photo, whether the scaled path's class is the whole path's.
        levels: Mean difference of the pixels of both, per photo, in grey levels of 255.
    """

    seconds: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: {SCALED: [], WHOLE: [], USUAL: []}
    )
    same: list[bool] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One network and its paths."""

    name: str
    paths: Mapping[str, Answer]

    def measure(self, data: bytes, turn: int, found: Measured) -> None:
        """Send one photo through the paths; which is first changes with ``turn``."""
        answers: dict[str, Answered] = {}
        for name in permuted(list(self.paths), turn):
            seconds = (math.nan, math.nan)
            if name != USUAL or turn % _USUAL_EVERY == 0:
                start = time.process_time()
                answers[name] = self.paths[name](data)
                seconds = (answers[name].ready - start, time.process_time() - start)
            found.seconds[name].append(seconds)
        scaled, whole = answers[SCALED], answers[WHOLE]
        found.same.append(scaled.best == whole.best)
        found.levels.append(float(np.abs(scaled.pixels.astype(int) - whole.pixels).mean()))


def permuted(names: Sequence[str], turn: int) -> tuple[str, ...]:
    """The names in another order each turn, until all orders have come."""
    orders = list(permutations(names))
    return orders[turn // _USUAL_EVERY % len(orders)]


def prepare(network: Network, calibrate: Path, folder: Path) -> Subject:
    """Quantize a network in both ways, unless that lies in the folder, and unpack the program."""
    side = int(network.side)
    is_made = str(network.weights) == MADE
    resize = round(side * 256 / 224) if is_made else side
    how = Preprocessing(resize=resize, crop=side)
    pixels = drawn_photos(calibrate, how, _SAMPLES)
    weights = folder / "made.pth" if is_made else network.weights
    if is_made and not weights.exists():
        kind = Kind(architecture=Architecture(network.architecture), side=side, seed=1)
        torch.save(make_network(kind, pixels).state_dict(), weights)
    out, unpacked = folder / "out", folder / "unpacked"
    arguments = [network.architecture, "--weights", str(weights), "--formats", "onnx"]
    arguments += ["--resize", str(resize), "--crop", str(side), "--decode", "scaled"]
    if not out.exists():
        quantize([*arguments, "--calibrate", str(calibrate), "--samples", str(_SAMPLES)], out)
    for name, content in bundle_files(open_bundle(out), read_report(out / "report.json")).items():
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).write_bytes(content)
    theirs = _quantize_static(out / ONNX.file(Precision.FP32), folder, pixels)
    program = _program(unpacked / "classify.py")
    model = program.Model(_THREADS)
    exact = (*model.how[:-1], False)
    described = ", never trained" if is_made else ""
    return Subject(
        name=f"`{network.architecture}`, {side} px{described}",
        paths={
            SCALED: _own(program, model, model.how),
            WHOLE: _own(program, model, exact),
            USUAL: _usual(theirs, how),
        },
    )


def _own(program: ModuleType, model: Any, how: Sequence[Any]) -> Answer:
    """What the bundle's program does with a photo."""

    def answer(data: bytes) -> Answered:
        pixels = program.pixels_of(data, *how)
        ready = time.process_time()
        return Answered(int(model(pixels).argmax()), pixels, ready)

    return answer


def _program(path: Path) -> ModuleType:
    """A bundle's program, as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"classify_{path.parent.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: expected a program of Python's")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Preprocessed photos one by one."""

    def __init__(self, name: str, pixels: FloatArray) -> None:
        self._batches = ({name: image[None]} for image in pixels)

    def get_next(self) -> dict[str, FloatArray] | None:
        """The next photo, as ONNX Runtime wants it; None after the last one."""
        return next(self._batches, None)


def _quantize_static(model: Path, folder: Path, pixels: FloatArray) -> Path:
    """ONNX Runtime's own quantization, as its documentation recommends it for CPUs."""
    prepared, quantized = folder / "prepared.onnx", folder / "quantized.onnx"
    if quantized.exists():
        return quantized
    quant_pre_process(model, prepared)
    quantize_static(
        prepared,
        quantized,
        _Reader(_session(model).get_inputs()[0].name, pixels),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return quantized


def _usual(model: Path, how: Preprocessing) -> Answer:
    """What a program does that torchvision's documentation has written."""
    session = _session(model)
    name = session.get_inputs()[0].name
    preset = ImageClassification(crop_size=how.crop, resize_size=how.resize)

    def answer(data: bytes) -> Answered:
        batch = preset(Image.open(io.BytesIO(data)).convert("RGB")).unsqueeze(0).numpy()
        ready = time.process_time()
        return Answered(int(session.run(None, {name: batch})[0].argmax()), batch, ready)

    return answer


def _session(model: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = _THREADS
    return ort.InferenceSession(str(model), options, ["CPUExecutionProvider"])


def enlarged(image: Image.Image, factor: float) -> bytes:
    """A JPEG of an RGB image whose sides are so many times as long."""
    size = (round(image.width * factor), round(image.height * factor))
    file = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


# Large and ordinary photos through each network.
_Sizes: TypeAlias = tuple[list[Measured], list[Measured]]


def run(subjects: Sequence[Subject], photos: Path, count: int | None) -> Iterator[_Sizes]:
    """Photos of a source through all networks; yields what is known, now and then and at last."""
    large, ordinary = ([Measured() for _ in subjects] for _ in range(2))
    with open_source(photos) as source:
        for turn, item in enumerate(source.items[:count]):
            image = decode_image(source.read(item))
            factors = (
                math.sqrt(_LARGE / (image.width * image.height)),
                _ORDINARY / max(image.size),
            )
            for factor, found in zip(factors, (large, ordinary), strict=True):
                data = enlarged(image, factor)
                for subject, measured in zip(subjects, found, strict=True):
                    subject.measure(data, turn, measured)
            if turn % _WRITE_EVERY == 0:
                yield large, ordinary
    yield large, ordinary


_EXPLANATION: Final = """\
Milliseconds of CPU time from the bytes of a JPEG to its class, in brackets to the pixels that the
model is given: medians over the photos. Each takes the paths in turns, in every order, in one
process with one thread; the usual one is taken by every third. *scaled*, *whole*: the bundle's
own program with `--decode scaled` and without. *usual*: Pillow, torchvision's preset, and ONNX
Runtime on what its `quantize_static` makes of the same float model and photos. *usual / scaled*,
*whole / scaled*: medians of the photos' own ratios, with their quartiles. *levels*: mean
difference of the pixels that the model is given, scaled beside whole, of 255; the largest of a
photo in brackets. *same class*: photos of the same class scaled and whole, with the same INT8
model.

The large photos are enlarged (Lanczos, JPEG of quality 90) to 12 megapixels, the ordinary ones to
500 pixels of their longer side. A network that was never trained has statistics and a classifier
taken from photos: its classes mean nothing, and tell small differences as well as others."""

_COLUMNS: Final = (
    *("network", "photos", "scaled", "whole", "usual", "usual / scaled", "whole / scaled"),
    *("whole / scaled, to pixels", "levels", "same class"),
)


def document(rows: Sequence[Sequence[str]], command: str) -> str:
    """The page, in Markdown."""
    lines = [
        *("# From a large photo to its class", "", f"`{command}`", ""),
        *(f"{read_environment().summary()}.", ""),
        *(_EXPLANATION, ""),
        *(f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def row(name: str, photos: str, found: Measured) -> tuple[str, ...]:
    """The cells of one network's photos of one size."""
    ready, seconds = (
        {path: np.array(times)[:, part] for path, times in found.seconds.items()}
        for part in range(2)
    )
    return (
        name,
        f"{len(found.same):,} {photos}",
        *(
            f"{np.nanmedian(seconds[path]) * 1e3:.1f} ({np.nanmedian(ready[path]) * 1e3:.1f})"
            for path in (SCALED, WHOLE, USUAL)
        ),
        *(_spread(seconds[path] / seconds[SCALED]) for path in (USUAL, WHOLE)),
        _spread(ready[WHOLE] / ready[SCALED]),
        f"{np.mean(found.levels):.2f} [{np.max(found.levels):.2f}]",
        f"{np.mean(found.same):.2%}",
    )


def _spread(ratios: FloatArray) -> str:
    low, middle, high = np.nanquantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def main(
    networks: Annotated[list[str], typer.Argument()],
    photos: Annotated[Path, typer.Option(help="Photos to enlarge, and to calibrate on.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write, anew as photos are done.")],
    work: Annotated[Path, typer.Option(help="Folder for what is quantized, or was.")],
    count: Annotated[int | None, typer.Option(min=1, help="Photos; all by default.")] = None,
) -> None:
    """Measure decoding on some networks, as ARCHITECTURE:WEIGHTS:SIDE or ARCHITECTURE:made:SIDE."""
    torch.set_num_threads(_THREADS)
    subjects = []
    for number, given in enumerate(networks):
        folder = work / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        subjects.append(prepare(parse_network(given), photos, folder))
    command = (
        "python -m eightbit.quantize.studies.decoding --photos SRC --out FILE.md "
        "--work DIR ARCHITECTURE:WEIGHTS:SIDE ..."
    )
    for found in run(subjects, photos, count):
        rows = [
            row(subject.name, size, measured[number])
            for number, subject in enumerate(subjects)
            for size, measured in zip(("of 12 megapixels", "of 500 px"), found, strict=True)
        ]
        out.write_text(document(rows, command), encoding="utf-8")
        print(*(" | ".join(cells) for cells in rows), sep="\n", flush=True)


if __name__ == "__main__":
    typer.run(main)
