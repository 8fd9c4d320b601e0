"""A browser, and what a page does when it is opened in it."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page
from tests.browser.web_sites import Site, write_bundles, write_site

from eightbit.benchmarks.artifact.model_input import InputFormat

SCREENSHOTS: Final = Path(__file__).resolve().parents[2] / "build" / "screenshots"
PHONE: Final = 375
DESK: Final = 1280
_ALWAYS: Final = ("full-", "comparison-several-")
_PATIENCE_MS: Final = 10_000


@dataclass
class Opened:
    """A page in a tab, and everything that it did.

    Attributes:
        page: The tab.
        complaints: Messages on the console, and errors of its scripts.
        requests: What it asked for, itself not counted.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def screenshot(self, name: str) -> None:
        """Leave a picture of the whole page for a person to look at.

        Pictures of every synthetic report take half a minute: they are for those who ask.
        """
        if not name.startswith(_ALWAYS) and not os.environ.get("EIGHTBIT_SCREENSHOTS"):
            return
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = re.sub(r"\W+", "-", name)
        self.page.screenshot(path=SCREENSHOTS / f"{file}.png", full_page=True)

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(width))


_CONTRAST: Final = "color-contrast"


def check_accessibility(page: Page, **options: Any) -> None:
    """axe-core finds nothing, by all of its rules or by those that its options select."""
    results = Axe().run(page, options={"resultTypes": ["violations"], **options})
    assert results.violations_count == 0, results.generate_report()


def check_schemes_and_phone(opened: Opened, name: str, *, contrast: bool = True) -> None:
    """It is accessible in light and dark, fits on a phone, and nothing went wrong meanwhile.

    Contrasts are most of the work, and the same on pages of one style sheet: a page with every
    element and every verdict stands for the others.
    """
    check_accessibility(opened.page, rules={_CONTRAST: {"enabled": contrast}})
    opened.screenshot(f"{name}-light")
    opened.page.emulate_media(color_scheme="dark")
    if contrast:
        check_accessibility(opened.page, runOnly={"type": "rule", "values": [_CONTRAST]})
    opened.screenshot(f"{name}-dark")
    opened.page.emulate_media(color_scheme="light")
    opened.page.set_viewport_size({"width": PHONE, "height": 800})
    opened.screenshot(f"{name}-phone")
    assert opened.overflow() == 0
    assert opened.complaints == []
    assert opened.requests == []


OpenPage = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[OpenPage]:
    """Opens HTML as a file, as a user would, and watches what it does."""
    contexts: list[BrowserContext] = []

    def open_html(
        html: str, *, width: int = DESK, scheme: str = "light", scripts: bool = True
    ) -> Opened:
        file = tmp_path / f"page-{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            java_script_enabled=scripts,
        )
        context.set_default_timeout(_PATIENCE_MS)
        contexts.append(context)
        opened = Opened(page=context.new_page())
        opened.page.on("console", lambda message: opened.complaints.append(message.text))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.goto(file.as_uri())
        opened.requests.remove(file.as_uri())
        # Pictures in the page itself are no requests of anything else.
        opened.requests[:] = [url for url in opened.requests if not url.startswith("data:")]
        return opened

    yield open_html
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def web_bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[InputFormat, Path]:
    """Bundles of one network by what they take; to be read only."""
    return write_bundles(tmp_path_factory.mktemp("web-bundles"))


@pytest.fixture(scope="session")
def site(web_bundles: dict[InputFormat, Path], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A page with an INT8 and a float model that take preprocessed images; to be read only."""
    out = tmp_path_factory.mktemp("web") / "site"
    return write_site(out, web_bundles[InputFormat.FLOAT32], with_float=True)


@pytest.fixture(scope="session")
def pixel_site(
    web_bundles: dict[InputFormat, Path], tmp_path_factory: pytest.TempPathFactory
) -> Site:
    """A page with one model, which takes pixels; to be read only."""
    out = tmp_path_factory.mktemp("web-pixels") / "site"
    return write_site(out, web_bundles[InputFormat.UINT8_NHWC], with_float=False)
