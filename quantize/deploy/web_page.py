"""A static web page that runs the model in the browser."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import decimal_bytes
from eightbit.benchmarks.report.headline import Tile, key_figures
from eightbit.models.errors import InputError
from eightbit.models.plain_text import counted, printable
from eightbit.models.spec import Decode, ModelSpec, Preprocessing, Task
from eightbit.models.torch_state import own_state
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import Bundle, metadata_of, open_bundle
from eightbit.quantize.atomic_files import write_folder
from eightbit.quantize.deploy.npm import RUNTIME, RUNTIME_FILES, RUNTIME_VERSION, runtime_files
from eightbit.quantize.deploy.self_test import SELF_TEST_PICTURES, make_self_test
from eightbit.quantize.disk import writing
from eightbit.quantize.stages import Stages

DESCRIPTION: Final = "model.json"
FILE_LIST: Final = "files.js"
MANIFEST: Final = "manifest.webmanifest"
INDEX: Final = "index.html"
SELF_TEST: Final = "self_test.json"
SERVICE_WORKER: Final = "service-worker.js"

STATIC: Final = (
    *("answers.js", "app.js", "camera.js", "decoding.js", "engine.js", "fetching.js", "model.js"),
    *("offline.js", "preprocessing.js", "problem.js", "self_test.js", "view.js", "digest.js"),
    *("worker.js", "page.css", "icon.svg", "icon.png", f"{RUNTIME}.LICENSE.txt"),
)

_FORMAT_VERSION: Final = 1

# Figures of a report that say nothing about a browser.
_OF_ANOTHER_MACHINE: Final = frozenset({"Speedup over float", "Latency"})

# All files of a page: a folder with any other is not replaced.
_KNOWN: Final = frozenset(
    {
        *(*STATIC, *RUNTIME_FILES, bundle.ONNX, bundle.FLOAT_ONNX),
        *(INDEX, DESCRIPTION, MANIFEST),
        *(SERVICE_WORKER, FILE_LIST, SELF_TEST),
        *(f"self_test/{number}.png" for number in range(SELF_TEST_PICTURES)),
    }
)


@own_state()
def write_web_page(
    folder: Path, out: Path, stages: Stages, *, with_float: bool, overwrite: bool
) -> str:
    """Write a page that runs a bundle's INT8 ONNX model; reproducible from the same bundle.

    The float model is included, for comparison, only if `with_float`.

    Returns:
        A summary for the user, with how to serve the page.

    Raises:
        InputError: The folder is no bundle or has no ONNX model, the runtime cannot be fetched, or
            ``out`` cannot be used.
    """
    check_page_target(out, overwrite=overwrite)
    opened = open_bundle(folder)
    report = opened.read_report()
    metadata = _metadata(opened, with_float=with_float)
    runtime = runtime_files(stages)
    with stages.stage("make self-test"):
        test = make_self_test(opened)
    with stages.stage("write page"):
        names = (bundle.ONNX, bundle.FLOAT_ONNX) if with_float else (bundle.ONNX,)
        models = {name: (folder / name).read_bytes() for name in names}
        figures = figures_of(report, models)
        last_bit = opened.recipe.output_scale
        files = {name: asset(name) for name in STATIC}
        files |= {**runtime, **models, **test.pictures, SELF_TEST: test.document}
        files |= {
            DESCRIPTION: description(metadata, last_bit, models, figures),
            MANIFEST: manifest(metadata.spec.architecture),
            INDEX: index(metadata, last_bit, figures),
        }
        files[FILE_LIST] = file_list(files)
        files[SERVICE_WORKER] = asset(SERVICE_WORKER)
        with writing(out):
            write_folder(out, files)
    where, size = printable(str(out)), sum(map(len, files.values()))
    return (
        f"written to {where}: {counted(len(files), 'file')}, {decimal_bytes(size)}\n"
        f"look at it: python -m http.server --directory {where}, then http://localhost:8000"
    )


def check_page_target(out: Path, *, overwrite: bool) -> None:
    """Refuse early a folder that could not be written in the end.

    Raises:
        InputError: It is a file or a link, or holds files without ``overwrite`` or not of a page.
    """
    where = printable(str(out))
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        found = "a link" if out.is_symlink() else "a file"
        raise InputError(f"{where}: expected a folder, found {found}; choose another --out")
    if not out.is_dir():
        return
    names = sorted(_names(out))
    if names and not overwrite:
        raise InputError(
            f"{where}: expected an empty or new folder, found files in it; choose another --out "
            "or give --overwrite"
        )
    foreign = [name for name in names if name not in _KNOWN]
    if foreign or (names and DESCRIPTION not in names):
        found = printable(foreign[0]) if foreign else f"no {DESCRIPTION}"
        raise InputError(
            f"{where}: expected a folder that `eightbit bundle --web` wrote, found {found} in it; "
            "it would be replaced as a whole: choose another --out"
        )


def _names(folder: Path) -> list[str]:
    """Relative POSIX paths of all files, links and empty folders in a folder."""
    found: list[str] = []
    for path in folder.iterdir():
        inner = [] if path.is_symlink() or not path.is_dir() else _names(path)
        found += [f"{path.name}/{name}" for name in inner] or [path.name]
    return found


def _metadata(opened: Bundle, *, with_float: bool) -> ArtifactMetadata:
    """Metadata of the INT8 model; InputError if missing or if the float model's differs."""
    found = metadata_of(opened.require_onnx())
    if with_float:
        other = metadata_of(opened.float_onnx)
        if (other.spec, other.input) != (found.spec, found.input):
            raise InputError(
                f"{printable(str(opened.float_onnx))}: expected the float model of the "
                f"{bundle.ONNX} beside it, found another; keep the files of one run together"
            )
    return found


def asset(name: str) -> bytes:
    """A file of the page that is the same for every model."""
    return (resources.files("eightbit.quantize.deploy") / "assets" / "web" / name).read_bytes()


def figures_of(report: Report | None, models: Mapping[str, bytes]) -> tuple[Tile, ...]:
    """Key figures independent of the machine; without a report, the size of the first model."""
    name, tiles = key_figures(report) if report else ("", ())
    if name == ONNX.name:
        return tuple(tile for tile in tiles if tile.label not in _OF_ANOTHER_MACHINE)
    size = len(next(iter(models.values())))
    return (Tile(label="Size", value=decimal_bytes(size), detail="the INT8 model"),)


def description(
    metadata: ArtifactMetadata,
    last_bit: float,
    models: Mapping[str, bytes],
    figures: Sequence[Tile],
) -> bytes:
    """The content of `model.json`; `last_bit` is the logits' scale, `models` files by name."""
    spec = metadata.spec
    return _as_json(
        {
            "format_version": _FORMAT_VERSION,
            "name": str(spec.architecture),
            "classes": spec.num_classes,
            "labels": spec.labels,
            "head": {"task": spec.task, "threshold": spec.threshold},
            "preprocessing": spec.preprocessing.model_dump(mode="json"),
            "input": metadata.input.model_dump(mode="json"),
            "last_bit": last_bit,
            "models": {
                name.split(".")[1]: {"file": name, "sha256": sha256(content), "bytes": len(content)}
                for name, content in models.items()
            },
            "self_test": SELF_TEST,
            "figures": [
                {"label": tile.label, "value": tile.value, "detail": tile.detail}
                for tile in figures
            ],
            "versions": {"eightbit": version("eightbit"), RUNTIME: RUNTIME_VERSION},
        }
    )


def manifest(architecture: str) -> bytes:
    """The web manifest, for a phone's home screen."""
    return _as_json(
        {
            "name": f"{architecture} in your browser",
            "short_name": architecture,
            "description": "An INT8 image classifier that runs in this browser.",
            "start_url": "./",
            "scope": "./",
            "display": "standalone",
            "background_color": "#ffffff",
            "theme_color": "#ffffff",
            "icons": [
                {"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"},
                {"src": "icon.png", "sizes": "192x192", "type": "image/png"},
            ],
        }
    )


def index(metadata: ArtifactMetadata, last_bit: float, figures: Sequence[Tile]) -> bytes:
    """The HTML page."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    guard = asset("guard.js").decode()
    digest = base64.b64encode(hashlib.sha256(guard.encode()).digest()).decode()
    spec = metadata.spec
    height, width = spec.preprocessing.crop_size
    template = environment.from_string(asset("index.html.j2").decode())
    return template.render(
        guard=guard,
        guard_source=f"sha256-{digest}",
        name=str(spec.architecture),
        about=_about(spec),
        hint=_HINTS[spec.task],
        height=height,
        width=width,
        cut_out_of=_cut_out_of(spec.preprocessing),
        scaled=spec.preprocessing.decode is Decode.SCALED,
        last_bit=f"{last_bit:.4g}",
        figures=figures,
        version=version("eightbit"),
        runtime_version=RUNTIME_VERSION,
    ).encode()


def _cut_out_of(preprocessing: Preprocessing) -> str:
    """What the input is the centre of, in words."""
    resize, squash = preprocessing.resize, preprocessing.squash
    if isinstance(resize, int):
        return f"cut out of {resize} pixels on {'both sides' if squash else 'the shorter side'}"
    height, width = resize
    return f"cut out of {'' if squash else 'at least '}{width} x {height} pixels"


def _about(spec: ModelSpec) -> str:
    """What the network does, in one sentence."""
    if spec.task is Task.REGRESSION:
        return f"An INT8 network that answers with {counted(spec.num_classes, 'number')}."
    if spec.task is Task.MULTI_LABEL:
        return f"An INT8 network that looks for {spec.num_classes:,} classes in one picture."
    return f"An INT8 network that tells {spec.class_count:,} classes apart."


_CLASSES_HINT: Final = "likeliest classes will stand here, and how long it took to find them."
_HINTS: Final = {
    Task.SINGLE_LABEL: f"The five {_CLASSES_HINT}",
    Task.BINARY: "The answer will stand here, and how long it took to find it.",
    Task.MULTI_LABEL: f"The five {_CLASSES_HINT}",
    Task.REGRESSION: "The numbers will stand here, and how long it took to find them.",
}


def file_list(files: Mapping[str, bytes]) -> bytes:
    """A script with every file's digest for the service worker; `files` is content by name."""
    digests = {name: sha256(files[name]) for name in sorted(files)}
    listed = json.dumps(digests, indent=2)
    return f'self.FILES = {listed};\nself.VERSION = "{sha256(listed.encode())}";\n'.encode()


def sha256(content: bytes) -> str:
    """Digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _as_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
