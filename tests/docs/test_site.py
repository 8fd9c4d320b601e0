"""The site builds without a warning, asks nobody else for anything, and opens from disk."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, TimeoutError
from tests.docs.pages import DOCS, ROOT, name_of

LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
LOCAL = ("file:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # Its warning is about the future of MkDocs, not about these pages.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        # Not --quiet: what is not said does not count as a warning, and strict does not see it.
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Loads(HTMLParser):
    """Collects what a page loads as it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in LOADED and values.get("rel") not in {"canonical", "next", "prev"}:
            self.found += [value for value in (values.get(LOADED[tag]),) if value]


def loads(page: Path) -> list[str]:
    parser = Loads()
    parser.feed(page.read_text())
    return parser.found


def test_every_page_is_built(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert loads(page)
        for name in loads(page):
            assert "//" not in name, (page, name)
            if page.name != "404.html":  # it is served under any path
                assert (page.parent / name).resolve().is_file(), (page, name)


def test_pages_from_the_top_of_the_repository_are_taken_in(site: Path) -> None:
    for name, part in (("changelog", "Keep a Changelog"), ("contributing", "The map of the house")):
        assert part in (site / f"{name}.html").read_text()


def test_the_readme_and_the_quick_start_say_the_same() -> None:
    readme, start = (page.read_text() for page in (ROOT / "README.md", DOCS / "index.md"))
    shared = re.findall(r"```sh\n.*?```", readme, re.DOTALL)
    shared += re.findall(r"^\| `(?:model|recipe|report)\..*$", readme, re.MULTILINE)
    assert len(shared) == 12
    for part in shared:
        assert part.replace("](docs/", "](") in start


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_links_outside_the_site_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def opened(browser: Browser, path: Path, width: int) -> tuple[Page, list[str]]:
    """A page from disk, and what goes wrong in it: errors, and requests to elsewhere."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    wrong: list[str] = []
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda sent: sent.url.startswith(LOCAL) or wrong.append(sent.url))
    page.goto(path.as_uri())
    return page, wrong


@pytest.mark.parametrize("name", ["index.html", "report.html", "measured/peers.html"])
@pytest.mark.parametrize("width", [1280, 375])
def test_a_page_opens_from_disk(browser: Browser, site: Path, name: str, width: int) -> None:
    page, wrong = opened(browser, site / name, width)
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wrong == []
    page.close()


def test_the_search_finds_a_page_without_a_server(browser: Browser, site: Path) -> None:
    page, wrong = opened(browser, site / "index.html", 1280)
    box = page.get_by_role("textbox", name="Search")
    result = page.locator(".md-search-result__link").first
    # What is typed before the index is there may be lost.
    for _ in range(20):
        box.fill("")
        box.press_sequentially("McNemar")
        with suppress(TimeoutError):
            result.wait_for(timeout=1_500)
            break
    assert "report.html" in (result.get_attribute("href") or "")
    assert wrong == []
    page.close()
