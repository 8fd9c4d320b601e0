"""A web page in a real browser, handed pictures as a user would hand them over."""

import base64
import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError

if TYPE_CHECKING:
    from playwright.sync_api import Page

_LAUNCH: Final = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_PATIENCE_MS: Final = 120_000

# Resolved by the page's own event, or by what it says instead of an answer.
_WATCH: Final = """() => {
  window.found = new Promise((resolve) => {
    document.addEventListener("classified", ({ detail }) => resolve(detail), { once: true });
    const problem = document.getElementById("problem");
    new MutationObserver(() => problem.hidden || resolve({ problem: problem.textContent }))
      .observe(problem, { attributes: true });
  });
}"""
_FOUND: Final = """async () => {
  const found = await window.found;
  if (found.problem) return found;
  let text = "";
  for (const byte of found.pixels) text += String.fromCharCode(byte);
  const answers = Object.entries(found.answers).map(([name, { logits, milliseconds }]) =>
    [name, { logits: Array.from(logits), milliseconds }]);
  return {
    pixels: btoa(text), crop: found.crop, prepare: found.prepareMilliseconds,
    answers: Object.fromEntries(answers),
  };
}"""


@dataclass(frozen=True, kw_only=True)
class PageAnswer:
    """What a page made of a picture.

    Attributes:
        pixels: uint8, shape (H, W, 3) of the crop: what the models were given.
        prepare_ms: Decoding, resizing and cropping.
        logits: By the name of the model ("int8", "fp32"): float32, shape (classes,).
        infer_ms: Milliseconds of the model alone, likewise.
    """

    pixels: npt.NDArray[np.uint8]
    prepare_ms: float
    logits: Mapping[str, FloatArray]
    infer_ms: Mapping[str, float]


class OpenPage:
    """A page that is open and ready.

    Args:
        page: The tab.
        version: Version of the browser.
    """

    def __init__(self, page: "Page", version: str) -> None:
        self._page = page
        self.version = version

    def classify(self, photo: Path) -> PageAnswer:
        """Choose a file, and wait for the answer.

        Raises:
            InputError: The page says that it cannot classify it.
        """
        self._page.evaluate(_WATCH)
        self._page.set_input_files("#file", photo)
        found: dict[str, Any] = self._page.evaluate(_FOUND)
        if "problem" in found:
            raise InputError(f"{photo.name}: the page says: {found['problem']}")
        pixels = np.frombuffer(base64.b64decode(found["pixels"]), np.uint8)
        answers = found["answers"]
        return PageAnswer(
            pixels=pixels.reshape(*found["crop"], 3),
            prepare_ms=found["prepare"],
            logits={
                name: np.asarray(answer["logits"], np.float32) for name, answer in answers.items()
            },
            infer_ms={name: answer["milliseconds"] for name, answer in answers.items()},
        )


@contextmanager
def opened_page(site: Path) -> Iterator[OpenPage]:
    """Serve a page to this machine alone, open it in Chromium, and wait until it is ready.

    Raises:
        InputError: There is no Chromium or no playwright, or the page does not become ready.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError as exc:
        raise InputError(
            'playwright: expected it to open the page, found none; pip install "eightbit[dev]"'
        ) from exc
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        raise InputError("chromium: expected it on the PATH, found none; install it")
    with served(site) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_LAUNCH)
        try:
            page = browser.new_page()
            page.set_default_timeout(_PATIENCE_MS)
            page.goto(url)
            page.locator("#status:has-text('Ready')").wait_for()
            yield OpenPage(page, f"Chromium {browser.version}")
        except Error as exc:
            raise InputError(f"{site}: the page does not work: {str(exc).splitlines()[0]}") from exc
        finally:
            browser.close()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is handed out, to this machine alone, while the block runs."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def read_description(site: Path) -> dict[str, Any]:
    """What the page knows of its models.

    Raises:
        InputError: The folder is no such page.
    """
    try:
        found = json.loads((site / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise InputError(
            f"{site}: expected a folder that `eightbit bundle --web` wrote, found no model.json "
            "that can be read"
        ) from exc
    if not isinstance(found, dict) or not {"models", "last_bit"} <= found.keys():
        raise InputError(f"{site}: model.json: expected models and last_bit in it; write it again")
    return found


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of what it is asked for."""

    def log_message(self, format: str, *args: object) -> None:
        """See the base class."""
