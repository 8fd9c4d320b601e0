"""report.html, opened as a user would open it."""

import re
from collections.abc import Callable

import pytest
from tests.browser.conftest import Opened, OpenPage, check_schemes_and_phone
from tests.synthetic_reports.reports import HOSTILE, REPORTS, full

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.pages.html import render_html

HEADINGS = [
    "Accuracy",
    "Images whose class changed",
    "Fidelity of the logits",
    "Latency",
    "From photo to class",
    "Serving many",
    "Size",
    "Deploy",
    "Noise, tensor by tensor",
    "Values and weights of the worst tensors",
    "What was tried",
    "Convergence of the calibration",
    "Parity",
    "Coverage",
    "Verification",
    "Images",
    "Environment",
    "Reproduce",
]


def _headings(name: str) -> list[str]:
    """Those of a page; of a regression nothing is right or wrong."""
    if name == "regression":
        return ["Fidelity of the numbers", *HEADINGS[3:]]
    changed = "Images on which a decision changed" if name == "multi-label" else HEADINGS[1]
    return [HEADINGS[0], changed, *HEADINGS[2:]]


NAMES = sorted(REPORTS)
ANSWERS = {
    "full": "Ready to ship",
    "without labels": "Ship with care",
    "binary": "Ready to ship",
    "multi-label": "Ship with care",
    "regression": "Ship with care",
    "thousand classes": "Ready to ship",
    "float layers": "Ready to ship",
    "failed": "Do not ship",
    "implausible": "Do not ship",
    "almost empty": "Cannot tell yet",
    "hostile": "Ready to ship",
}
# Between them they have every colour of the style sheet.
COLOURS = ("full", "failed", "without labels", "almost empty")


@pytest.fixture(scope="session")
def page_of() -> Callable[[str], str]:
    """The page of a synthetic report, rendered once."""
    pages: dict[str, str] = {}

    def page(name: str) -> str:
        if name not in pages:
            pages[name] = render_html(REPORTS[name]())
        return pages[name]

    return page


PageOf = Callable[[str], str]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_accessible_and_fits(
    name: str, page_of: PageOf, open_page: OpenPage
) -> None:
    opened = open_page(page_of(name))
    check_sections(opened, _headings(name), has_fallback=name == "float layers")
    check_first_screen(opened, ANSWERS[name])
    check_schemes_and_phone(opened, name, contrast=name in COLOURS)


def check_sections(opened: Opened, expected: list[str], *, has_fallback: bool) -> None:
    """Every section is there, once, and says something."""
    sections = opened.page.evaluate(
        """Array.from(document.querySelectorAll("section"), section => ({
            heading: section.querySelector("h2").textContent,
            shown: section.querySelectorAll("svg, tbody tr, pre, .gallery li, p.nothing").length,
            words: section.innerText,
        }))"""
    )
    headings = [section["heading"] for section in sections]
    assert [heading for heading in headings if heading != "Layers in float"] == expected
    assert ("Layers in float" in headings) == has_fallback
    for section in sections:
        assert section["shown"] > 0, section
        assert not re.search(r"\b(None|nan|inf|Undefined)\b", section["words"]), section
    all_of = "Array.from(document.querySelectorAll('{}'), {})"
    targets = opened.page.evaluate(all_of.format("nav a", "a => a.getAttribute('href').slice(1)"))
    ids = opened.page.evaluate(all_of.format("[id]", "element => element.id"))
    assert set(targets) <= set(ids)
    assert len(ids) == len(set(ids))


def check_first_screen(opened: Opened, answer: str) -> None:
    """It says whether to ship, in words, before anything has to be scrolled."""
    box = opened.page.get_by_role("heading", name=answer, exact=True).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 400
    assert opened.page.title().endswith(answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_small(name: str, page_of: PageOf) -> None:
    assert len(page_of(name).encode()) < 2_000_000


def column(opened: Opened, table: str, index: int) -> list[str]:
    rows = opened.page.locator(f"#{table} tbody tr")
    return [row.locator("th, td").nth(index).inner_text() for row in rows.all()]


def test_a_table_sorts_by_a_click(page_of: PageOf, open_page: OpenPage) -> None:
    opened = open_page(page_of("full"))
    heading = opened.page.locator("#size th", has_text="size").first
    assert column(opened, "size", 1) == ["44.7 MB", "11.7 MB", "12.0 MB", "81.2 kB"]
    heading.get_by_role("button").click()
    opened.page.wait_for_selector("#size th[aria-sort=descending]")
    opened.page.wait_for_timeout(50)
    assert column(opened, "size", 1) == ["44.7 MB", "12.0 MB", "11.7 MB", "81.2 kB"]
    assert column(opened, "size", 0)[0] == "model.fp32.onnx"


def test_a_table_sorts_by_the_keyboard_alone(page_of: PageOf, open_page: OpenPage) -> None:
    opened = open_page(page_of("full"))
    page = opened.page
    page.locator("#size th button", has_text="size").focus()
    for key in ("Enter", "Space"):  # there and back
        page.keyboard.press(key)
        page.wait_for_timeout(50)
    assert column(opened, "size", 1) == ["81.2 kB", "11.7 MB", "12.0 MB", "44.7 MB"]
    assert page.locator("#size th[aria-sort=ascending]").inner_text().startswith("size")


def test_missing_numbers_sort_last_either_way(page_of: PageOf, open_page: OpenPage) -> None:
    opened = open_page(page_of("full"))
    button = opened.page.locator("#size th button", has_text="smaller")
    for _ in range(2):
        button.click()
        opened.page.wait_for_timeout(50)
        assert column(opened, "size", 2)[-2:] == ["-", "-"]


def test_a_mark_tells_its_name_and_its_numbers(page_of: PageOf, open_page: OpenPage) -> None:
    page = open_page(page_of("full")).page
    mark = page.locator("#layers svg [data-tip*='layer0.0.conv1']").first
    tip = page.locator("#tooltip")
    # Scrolling hides it, also when the browser tells of it only after the pointer has come.
    for _ in range(20):
        page.mouse.move(0, 0)
        mark.hover(force=True)
        if tip.count():
            break
        page.wait_for_timeout(100)
    assert tip.inner_text().startswith("layer0.0.conv1: alone 24.0 dB")


def test_without_scripts_the_browser_tells_it(page_of: PageOf, open_page: OpenPage) -> None:
    page = open_page(page_of("full"), scripts=False).page
    titles = page.locator("#layers svg use > title").all_text_contents()
    assert any(title.startswith("layer0.0.conv1: alone 24.0 dB") for title in titles)


def test_flips_are_shown_with_their_pictures(page_of: PageOf, open_page: OpenPage) -> None:
    page = open_page(page_of("full")).page
    cards = page.locator(".gallery li")
    assert cards.count() == 24
    assert cards.first.inner_text().split()[:4] == ["✗", "broke", "label", "cat"]
    first = page.locator(".gallery img").first
    assert first.get_attribute("alt") == "cat/0.png: float cat (86 %), INT8 dog (84 %)"
    loaded = "Array.from(document.images, i => i.complete && i.naturalWidth === 96)"
    assert page.evaluate(loaded) == [True] * 12


def test_what_has_one_order_has_no_arrows(page_of: PageOf, open_page: OpenPage) -> None:
    page = open_page(page_of("full")).page
    assert page.locator("#reproduce thead button").count() == 0
    assert page.locator("#size thead button").count() == 3


def test_on_a_phone_a_wide_picture_keeps_its_size(page_of: PageOf, open_page: OpenPage) -> None:
    page = open_page(page_of("full"), width=375).page
    label = page.locator("#layers svg text", has_text="layer0.0.conv1").first
    size = label.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    scale = page.locator("#layers svg").evaluate("e => e.clientWidth / e.viewBox.baseVal.width")
    assert size * scale >= 10


def test_hostile_text_is_shown_and_does_nothing(page_of: PageOf, open_page: OpenPage) -> None:
    html = page_of("hostile")
    opened = open_page(html)
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert shown in opened.page.locator("#reproduce pre").inner_text()
    assert shown in opened.page.locator(".about").inner_text()
    assert html.count("<script") == 1
    assert "\u202e" not in html
    assert opened.page.locator("img").count() == 0  # no thumbnail of theirs is a picture
    assert opened.complaints == []


def test_a_script_in_the_page_would_not_run(page_of: PageOf, open_page: OpenPage) -> None:
    injected = page_of("full").replace("</main>", "<script>document.title = 'x'</script></main>")
    opened = open_page(injected)
    assert opened.page.title() != "x"
    assert any("Content Security Policy" in complaint for complaint in opened.complaints)


def test_it_prints(page_of: PageOf, open_page: OpenPage) -> None:
    opened = open_page(page_of("full"), scheme="dark")
    opened.page.emulate_media(media="print")
    body = opened.page.locator("body")
    # On paper it is light, whatever the screen is.
    assert body.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
    table = opened.page.locator("#layers details table")
    assert table.is_visible()
    assert opened.page.pdf()[:5] == b"%PDF-"


def test_equal_reports_give_equal_pages(page_of: PageOf) -> None:
    again = Report.model_validate_json(full().to_json())
    assert render_html(again) == page_of("full")


def test_nothing_in_it_points_elsewhere(page_of: PageOf) -> None:
    addresses = set(re.findall(r"(?:href|src)=\"([^\"#]+)", page_of("full")))
    assert {address.split(",")[0] for address in addresses} == {"data:", "data:image/jpeg;base64"}
