"""Pages of a small network, served to a browser, and what a test asks of them."""

import base64
import functools
import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.synthetic_reports.reports import full

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.calibration import collect
from eightbit.models import Preprocessing
from eightbit.models.errors import InputError
from eightbit.quantize import Mode, QuantConfig, fuse, make_recipe, observe
from eightbit.quantize.artifacts.write import write_artifacts
from eightbit.quantize.cli.demo import load_digits_network
from eightbit.quantize.deploy import web_page
from eightbit.quantize.deploy.npm import archive_path, runtime_files
from eightbit.quantize.photos import synthetic_pixels
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.stages import Stages

# As it was before any test set another one for itself.
_CACHE: Final = archive_path().parents[2]

# A browser beside other tests is slow.
expect.set_options(timeout=20_000)

# It is resized to more than is cut out, and a label may be anything.
PREPROCESSING: Final = Preprocessing(resize=36, crop=32)
HOSTILE: Final = "<img src=x onerror=alert(1)> \u202edrow"
LABELS: Final = tuple(f"{HOSTILE} {digit}" for digit in range(10))

ISOLATING: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


@dataclass(frozen=True)
class Site:
    """A page on disk, and the bundle that it was written of."""

    folder: Path
    bundle: Path

    @property
    def int8(self) -> Path:
        return self.bundle / "model.int8.onnx"


def write_bundles(folder: Path) -> dict[InputFormat, Path]:
    """Bundles of one network for two inputs: the digits network, whose answers have margins."""
    loaded = load_digits_network()
    changed = {"preprocessing": PREPROCESSING, "labels": LABELS}
    network = replace(loaded, spec=loaded.spec.model_copy(update=changed))
    fused = fuse(network)
    observed = observe(fused, Mode.FX)
    images = synthetic_pixels(PREPROCESSING, 8)
    collected = collect(observed.module, observed.observers, images)
    found = {}
    for taken in (InputFormat.FLOAT32, InputFormat.UINT8_NHWC):
        recipe = make_recipe(fused, collected, network, QuantConfig(input=taken))
        found[taken] = folder / taken
        found[taken].mkdir()
        quantized = Quantized(network=fused, recipe=recipe)
        write_artifacts(quantized, (ONNX.key,), found[taken], Stages())
        report = full().model_copy(update={"recipe_sha256": recipe.sha256})
        (found[taken] / "report.json").write_text(report.to_json())
    return found


def write_site(out: Path, bundle: Path, *, with_float: bool) -> Site:
    """The page of a bundle; where its runtime cannot be had, the test skips."""
    with pytest.MonkeyPatch.context() as patch:
        files = _runtime()
        patch.setattr(web_page, "runtime_files", lambda _: files)
        web_page.write_web_page(bundle, out, Stages(), with_float=with_float, overwrite=False)
    return Site(out, bundle)


@functools.cache
def _runtime() -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(_CACHE))
        try:
            return runtime_files(Stages())
        except InputError as exc:
            pytest.skip(f"onnxruntime-web is not in the cache and cannot be fetched: {exc}")


class Server:
    """Hands out a folder on a port of its own; can be closed like any server."""

    def __init__(self, folder: Path, headers: Mapping[str, str]) -> None:
        handler = functools.partial(_Handler, dict(headers), directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, headers: dict[str, str], *arguments: Any, **named: Any) -> None:
        self._added = headers
        super().__init__(*arguments, **named)

    def end_headers(self) -> None:
        for name, value in self._added.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Visit:
    """A tab on a page, and everything that it did."""

    page: Page
    server: Server
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ready(self) -> "Visit":
        self.page.locator("#status:has-text('Ready')").wait_for()
        return self

    def offline(self) -> "Visit":
        """Wait until the browser keeps a copy."""
        self.page.locator("#offline:has-text('kept in this browser')").wait_for()
        return self

    def sample(self) -> str:
        """Try a sample; what is said of it."""
        self._forget()
        self.page.click("#sample")
        return self.answer()

    def choose(self, file: Path) -> str:
        """Choose a file that is a picture; what is said of it."""
        self._forget()
        self.page.set_input_files("#file", file)
        return self.answer()

    def _forget(self) -> None:
        """What was said before, so that it is not taken for the answer."""
        self.page.evaluate("() => document.getElementById('status').replaceChildren()")

    def answer(self) -> str:
        """Wait for an answer; what is said of it."""
        said = self.page.locator("#status strong")
        said.wait_for()
        return said.inner_text()

    def problem(self) -> str:
        shown = self.page.locator("#problem")
        shown.wait_for()
        return shown.inner_text()

    def run(self, script: str, argument: Any = None) -> Any:
        """The result of a function with the page's modules at hand."""
        return self.page.evaluate(script, argument)


@contextmanager
def visit(
    browser: Browser,
    folder: Path,
    *,
    headers: Mapping[str, str] | None = None,
    host: str | None = None,
    **context: Any,
) -> Iterator[Visit]:
    """Serve a page and open it, watching what it does."""
    server = Server(folder, headers or {})
    opened: BrowserContext = browser.new_context(**context)
    try:
        opened.set_default_timeout(20_000)
        there = Visit(opened.new_page(), server)
        opened.on("console", lambda message: there.complaints.append(message.text))
        there.page.on("pageerror", lambda error: there.complaints.append(str(error)))
        opened.on("request", lambda request: there.requests.append(request.url))
        there.page.goto(server.url if host is None else f"http://{host}:{server.port}/")
        yield there
    finally:
        opened.close()
        server.close()


def encoded(array: np.ndarray) -> str:
    """An array's bytes as text, which goes into a page faster than numbers."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def decoded(text: str, dtype: Any) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """RGB, every value as likely: no rounding stays hidden."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
