"""The kinds of bad input: each writes one, from a seed, and says how the program is given it."""

import io
import json
import os
import random
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.hostile.inputs import models, weights
from tests.hostile.inputs.damage import TEXTS, damaged_bytes, damaged_json, garbage
from tests.hostile.inputs.judge import Bad

GONE: Final = "gone-on-purpose"
ARCHITECTURE: Final = "cifar_resnet20"


@dataclass(frozen=True, kw_only=True)
class Good:
    """Good inputs, to be read and not changed.

    Attributes:
        archive: A zip of the photos.
        answers: What `python model.zip --self-test --json` printed.
    """

    checkpoint: Path
    photos: Path
    photo: Path
    bundle: Path
    archive: Path
    answers: Path


Kind = Callable[[Good, Path, random.Random], Bad]


def _name(rng: random.Random, ending: str) -> str:
    """A file's name that a file system takes, and a terminal may not."""
    plain = [text.replace("/", "").replace("\0", "") for text in TEXTS]
    text = rng.choice(("input", "input", *plain))[:60]
    return f"{text}{ending}" if text.strip(".") else f"x{ending}"


def _no_file(path: Path, rng: random.Random) -> bool:
    """Sometimes, in place of a file: a pipe, a folder, a hole, a link to nothing or to itself."""
    kind = rng.randrange(24)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.touch()
        os.truncate(path, 2**40)
    elif kind == 3:
        path.symlink_to(path.name)
    elif kind == 4:
        path.symlink_to("/dev/zero")
    elif kind == 5:
        path.touch()
    return kind <= 5


def _quantize(good: Good, **changed: object) -> tuple[str, ...]:
    options: dict[str, object] = {
        "weights": good.checkpoint,
        "calibrate": good.photos,
        "out": "out",
        "threads": 1,
        **changed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    first = () if changed.get("recipe") else (ARCHITECTURE,)
    return ("quantize", *first, *words)


def bad_weights(good: Good, folder: Path, rng: random.Random) -> Bad:
    path = folder / _name(rng, rng.choice((".pth", ".pt", ".safetensors", ".bin", "")))
    if not _no_file(path, rng):
        path.write_bytes(weights.bad(good.checkpoint, path.suffix, rng))
    # Weights are read before images: where the damage does not matter, these are missed.
    return Bad(arguments=_quantize(good, weights=path, calibrate=GONE), decoy=GONE)


def bad_archive(good: Good, folder: Path, rng: random.Random) -> Bad:
    path = folder / _name(rng, rng.choice((".zip", ".tar")))
    if not _no_file(path, rng):
        path.write_bytes(_archive(good, path.suffix, rng))
    return Bad(arguments=("diagnose", str(good.bundle), "--data", str(path)), harmless=True)


def _archive(good: Good, ending: str, rng: random.Random) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return garbage(rng)
    if kind == 1:
        cut = good.archive.read_bytes()
        return cut[: rng.randrange(len(cut) - 200)]
    members = {
        rng.choice(("a.png", "1/b.jpg", "../c.png", "/d.png", "e.txt", f"{rng.choice(TEXTS)}.png"))[
            :90
        ]: garbage(rng)
        for _ in range(rng.choice((1, 3)))
    }
    buffer = io.BytesIO()
    if ending == ".zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name.encode("utf-8", "replace").decode(), content)
            if kind == 2:
                archive.writestr("bomb.png", bytes(70 * 2**20))
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content) if kind > 2 else rng.choice((2**40, 2**62))
                info.type = rng.choice((tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE))
                tar.addfile(info, io.BytesIO(content) if kind > 2 else None)
    return buffer.getvalue() if kind != 4 else damaged_bytes(buffer.getvalue(), rng)


def bad_images(good: Good, folder: Path, rng: random.Random) -> Bad:
    source = folder / "photos"
    source.mkdir()
    content = good.photo.read_bytes()
    for number in range(rng.choice((1, 2, 4))):
        ending = rng.choice(
            (".png", ".jpg", ".tif", ".webp", ".bmp", ".gif", ".ppm", ".jfif", ".avif")
        )
        path = source / f"{number}{_name(rng, ending)}"
        if not _no_file(path, rng):
            path.write_bytes(rng.choice((garbage(rng), content[: rng.randrange(600)])))
    return Bad(arguments=("diagnose", str(good.bundle), "--data", str(source)))


def bad_labels(good: Good, folder: Path, rng: random.Random) -> Bad:
    ending = rng.choice((".txt", ".json", ".csv"))
    path = folder / _name(rng, ending)
    names: list[Any] = [f"class {index}" for index in range(10)]
    if not _no_file(path, rng):
        if ending == ".json":
            content = damaged_json(rng.choice((names, {"names": names})), rng)
        else:
            header = ["file,label"] if ending == ".csv" else []
            lines = [f"{rng.choice(TEXTS)[:9000]},{name}" for name in names]
            content = damaged_bytes("\n".join(header + lines).encode(), rng)
        path.write_bytes(content if rng.random() < 0.8 else garbage(rng))
    return Bad(arguments=_quantize(good, labels=path, calibrate=GONE), decoy=GONE)


def bad_recipe(good: Good, folder: Path, rng: random.Random) -> Bad:
    path = folder / "recipe.json"
    tables = good.bundle / "recipe.safetensors"
    if not _no_file(path, rng):
        document = json.loads((good.bundle / "recipe.json").read_text())
        if rng.random() < 0.4:
            document["skeleton"] = models.skeleton(rng)
        path.write_bytes(damaged_json(document, rng) if rng.random() < 0.9 else garbage(rng))
        if tables.exists():
            beside = tables.read_bytes()
            changed = damaged_bytes(beside, rng) if rng.random() < 0.2 else beside
            (folder / tables.name).write_bytes(changed)
    gone = GONE if rng.random() < 0.8 else "/dev/null"
    return Bad(arguments=_quantize(good, recipe=path, weights=gone, calibrate=None), decoy=gone)


def bad_hub_folder(good: Good, folder: Path, rng: random.Random) -> Bad:
    """What `save_pretrained` of Hugging Face's would have written."""
    place = folder / _name(rng, "net")
    place.mkdir()
    config = {"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 16], "id2label": {}}
    sizes = {"size": {"shortest_edge": 32}, "crop_pct": 0.875, "resample": 3}
    processor = {"image_processor_type": "ConvNextImageProcessor", **sizes, "image_mean": [0.5] * 3}
    for name, document in (("config.json", config), ("preprocessor_config.json", processor)):
        if not _no_file(place / name, rng):
            kind = rng.random()
            whole = json.dumps(document).encode()
            damaged = damaged_json(document, rng) if kind < 0.6 else garbage(rng)
            (place / name).write_bytes(damaged if kind < 0.7 else whole)
    path = place / rng.choice(("model.safetensors", "pytorch_model.bin"))
    if not _no_file(path, rng):
        path.write_bytes(weights.bad(good.checkpoint, path.suffix, rng))
    arguments = ("quantize", f"hf:{place}", "--calibrate", GONE, "--out", "out")
    return Bad(arguments=arguments, decoy=GONE)


def bad_onnx_network(good: Good, folder: Path, rng: random.Random) -> Bad:
    """A float ONNX file, given alone."""
    path = folder / _name(rng, ".onnx")
    if not _no_file(path, rng):
        path.write_bytes(models.bad(good.bundle / "model.float.onnx", rng))
    arguments = ("quantize", "--weights", str(path), "--calibrate", GONE, "--out", "out")
    return Bad(arguments=arguments, decoy=GONE)


def bad_report(good: Good, folder: Path, rng: random.Random) -> Bad:
    path = folder / _name(rng, ".json")
    whole = good.bundle / "report.json"
    if not _no_file(path, rng):
        document = json.loads(whole.read_text())
        path.write_bytes(damaged_json(document, rng) if rng.random() < 0.9 else garbage(rng))
    places = rng.choice(
        (
            (path,),
            (path, whole),
            (whole, path),
            (whole, "--baseline", path),
            (path, "--baseline", whole),
        )
    )
    return Bad(arguments=("report", *map(str, places), *_page(places)), harmless=True)


def _page(places: tuple[object, ...]) -> tuple[str, ...]:
    several = len(places) > 1 and "--baseline" not in places
    return ("--out", "/dev/null/comparison.html") if several else ()


def bad_answers(good: Good, folder: Path, rng: random.Random) -> Bad:
    path = folder / _name(rng, ".json")
    if not _no_file(path, rng):
        document = json.loads(good.answers.read_text())
        document["model_sha256"] = "0" * 64
        path.write_bytes(damaged_json(document, rng) if rng.random() < 0.8 else garbage(rng))
    return Bad(arguments=("verify", str(good.bundle), "--self-test", str(path)))


def bad_model(good: Good, folder: Path, rng: random.Random) -> Bad:
    ending = rng.choice((".onnx", ".onnx", ".pt"))
    path = folder / _name(rng, ending)
    if not _no_file(path, rng):
        path.write_bytes(models.bad(good.bundle / f"model.int8{ending}", rng))
    command = rng.choice(("inspect", "inspect", "doctor", "classify"))
    photos = (str(good.photo),) if command == "classify" else ()
    return Bad(arguments=(command, str(path), *photos), harmless=True)


def other_file(good: Good, folder: Path, rng: random.Random) -> Bad:
    """A file of another kind, where a model, a recipe or a bundle is expected."""
    path = folder / _name(
        rng, rng.choice((".onnx", ".pt", ".json", ".tflite", ".h5", ".keras", ""))
    )
    if not _no_file(path, rng):
        path.write_bytes(garbage(rng))
    command = rng.choice(
        ("inspect", "doctor", "classify", "verify", "benchmark", "bundle", "report")
    )
    more = {"classify": (str(good.photo),), "bundle": ("--out", "made.zip")}
    return Bad(arguments=(command, str(path), *more.get(command, ())))


_OPTIONS: Final = (
    *(
        "--threads",
        "--samples",
        "--max-drop",
        "--seed",
        "--resize",
        "--crop",
        "--formats",
        "--mode",
    ),
    *("--method", "--target", "--input", "--labels", "--evaluate", "--recipe", "--mean", "--top"),
    *(
        "--batch",
        "--images",
        "--self-test",
        "--data",
        "--baseline",
        "--max-speed-loss",
        "--nonesuch",
    ),
)
_WORDS: Final = (
    *(
        "0",
        "-1",
        "9" * 5000,
        "1e400",
        "nan",
        "inf",
        "1_000",
        "\u0661",
        "0x10",
        "auto",
        "",
        " ",
        "--",
    ),
    *("/dev/null", "/proc/self/mem", "x" * 5000, "a/" * 3000, "\udcff\udcfe", "all", "fx", "."),
    *(text[:9000] for text in TEXTS),
)


def bad_command_line(good: Good, folder: Path, rng: random.Random) -> Bad:
    commands = ("quantize", "verify", "evaluate", "benchmark", "diagnose", "inspect", "classify")
    command = rng.choice((*commands, "report", "doctor", "bundle", rng.choice(_WORDS)))
    words = [rng.choice((*_OPTIONS, *_WORDS)) for _ in range(rng.randrange(8))]
    if command == "doctor" and not words:
        words = [GONE]
    place = rng.randrange(len(words) + 1)
    # Whatever else is there, this file is not, and this option is none.
    words[place:place] = [rng.choice((GONE, "--none-such"))]
    return Bad(arguments=(command, *words))


KINDS: Final[Mapping[str, Kind]] = {
    "weights": bad_weights,
    "archive": bad_archive,
    "images": bad_images,
    "labels": bad_labels,
    "recipe": bad_recipe,
    "Hugging Face's folder": bad_hub_folder,
    "ONNX network": bad_onnx_network,
    "report": bad_report,
    "answers": bad_answers,
    "model": bad_model,
    "other file": other_file,
    "command line": bad_command_line,
}
