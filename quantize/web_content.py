"""What is written anew for each model's page: its texts, and what its scripts have to know."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.metadata import version
from typing import Any, Final

from jinja2 import Environment, StrictUndefined

from eightbit.benchmarks.artifact.artifact import ArtifactMetadata
from eightbit.benchmarks.key_figures import key_figures
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import counted, decimal_bytes
from eightbit.benchmarks.report.pages.page import Tile
from eightbit.models.spec import Architecture
from eightbit.quantize.deploy.npm import RUNTIME, RUNTIME_VERSION

DESCRIPTION: Final = "model.json"
FILE_LIST: Final = "files.js"
MANIFEST: Final = "manifest.webmanifest"
INDEX: Final = "index.html"
SELF_TEST: Final = "self_test.json"

STATIC: Final = (
    *("answers.js", "app.js", "camera.js", "decoding.js", "engine.js", "fetching.js", "model.js"),
    *("offline.js", "preprocessing.js", "problem.js", "self_test.js", "view.js", "digest.js"),
    *("worker.js", "page.css", "icon.svg", "icon.png", f"{RUNTIME}.LICENSE.txt"),
)
SERVICE_WORKER: Final = "service-worker.js"

_FORMAT_VERSION: Final = 1

# Figures of a report that say nothing about a browser.
_ELSEWHERE: Final = frozenset({"Speedup over float", "Latency"})


def asset(name: str) -> bytes:
    """A file of the page that is the same for every model."""
    return (resources.files("eightbit.quantize.deploy") / "assets" / "web" / name).read_bytes()


def figures_of(report: Report | None, models: Mapping[str, bytes]) -> tuple[Tile, ...]:
    """What a run found out about the model, but for what depends on where it runs.

    Args:
        report: Of the bundle, or None where there is none.
        models: The ONNX files, by name, INT8 first.
    """
    name, tiles = key_figures(report) if report else ("", ())
    if name == "ONNX":
        return tuple(tile for tile in tiles if tile.label not in _ELSEWHERE)
    size = len(next(iter(models.values())))
    return (Tile(label="Size", value=decimal_bytes(size), detail="the INT8 model"),)


def description(
    metadata: ArtifactMetadata,
    last_bit: float,
    models: Mapping[str, bytes],
    figures: Sequence[Tile],
) -> bytes:
    """The content of `model.json`.

    Args:
        metadata: Of the models.
        last_bit: The unit in which their logits are compared.
        models: The ONNX files, by name.
        figures: What is known of the INT8 model.
    """
    spec = metadata.spec
    return _as_json(
        {
            "format_version": _FORMAT_VERSION,
            "name": spec.architecture.value,
            "classes": spec.num_classes,
            "labels": spec.labels,
            "preprocessing": spec.preprocessing.model_dump(mode="json"),
            "input": metadata.input.model_dump(mode="json"),
            "last_bit": last_bit,
            "models": {
                name.split(".")[1]: {
                    "file": name,
                    "sha256": sha256(content),
                    "bytes": len(content),
                }
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


def manifest(architecture: Architecture) -> bytes:
    """The content of the web manifest, by which a phone can put the page on its home screen."""
    return _as_json(
        {
            "name": f"{architecture.value} in your browser",
            "short_name": architecture.value,
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
    """The page itself."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    guard = asset("guard.js").decode()
    digest = base64.b64encode(hashlib.sha256(guard.encode()).digest()).decode()
    spec = metadata.spec
    template = environment.from_string(asset("index.html.j2").decode())
    return template.render(
        guard=guard,
        guard_source=f"sha256-{digest}",
        name=spec.architecture.value,
        classes=counted(spec.num_classes, "class", "classes"),
        crop=spec.preprocessing.crop,
        resize=spec.preprocessing.resize,
        last_bit=f"{last_bit:.4g}",
        figures=figures,
        version=version("eightbit"),
        runtime_version=RUNTIME_VERSION,
    ).encode()


def file_list(files: Mapping[str, bytes]) -> bytes:
    """The script that tells the service worker every file and its digest.

    Args:
        files: Content by name.
    """
    digests = {name: sha256(files[name]) for name in sorted(files)}
    listed = json.dumps(digests, indent=2)
    return f'self.FILES = {listed};\nself.VERSION = "{sha256(listed.encode())}";\n'.encode()


def sha256(content: bytes) -> str:
    """Its digest in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _as_json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
