"""The page of `eightbit report A B`, opened as a user would open it."""

from collections.abc import Callable
from itertools import combinations

import pytest
from tests.browser.conftest import OpenPage, check_accessibility, check_schemes_and_phone
from tests.synthetic_reports.answers import RIGHT, accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import ENVIRONMENT, evaluation, synthetic_report

from eightbit.benchmarks.comparison.comparison import compare_reports
from eightbit.benchmarks.comparison.page import render_comparison
from eightbit.benchmarks.comparison.regression import find_regressions
from eightbit.benchmarks.report.document import Report

HEADINGS = {
    "pareto-section": "Accuracy against latency",
    "artefacts": "Every artefact",
    "against": "Against first",
    "settings": "What differs",
    "parity": "Verification and parity",
    "environments": "Environment",
    "reproduce": "How to make them again",
}
HOSTILE = "<script>document.title='broken in'</script>\"'&\u202e" + "n" * 200


def variant(broke: int, speedup: float, int8_ms: float, method: str = "auto") -> Report:
    return synthetic_report(
        accuracy=accuracy(answers(range(broke), range(RIGHT, RIGHT + 6))),
        latency=latencies(speedup, (speedup * 0.9, speedup * 1.1), int8_ms=int8_ms),
        config={"method": method, "target": "portable", "rounding": "gptq"},
    )


def several() -> dict[str, Report]:
    return {
        "first": variant(10, 3.0, 10.0),
        "minmax": variant(40, 3.2, 9.0, "minmax"),
        "mse": variant(20, 2.9, 11.0, "mse"),
    }


def many() -> dict[str, Report]:
    return {"first": variant(10, 3.0, 10.0)} | {
        f"experiment-{number}": variant(3 * number, 3 + number / 10, 10 - number / 4)
        for number in range(1, 20)
    }


def unlabelled() -> dict[str, Report]:
    section = evaluation(labelled=False)
    return {
        name: synthetic_report(
            accuracy=accuracy(answers(range(broke), labelled=False)), evaluation=section
        )
        for name, broke in (("first", 30), ("second", 60))
    }


def bare() -> dict[str, Report]:
    nothing = synthetic_report(
        accuracy=None,
        evaluation=None,
        latency=(),
        fidelity=None,
        size_bytes={},
        parity={},
        verification=None,
        command="",
    )
    return {"first": nothing, "second": nothing}


def hostile() -> dict[str, Report]:
    elsewhere = ENVIRONMENT.model_copy(update={"cpu": HOSTILE, "isa": (HOSTILE,)})
    return {
        "first": synthetic_report(),
        HOSTILE: synthetic_report(
            command=HOSTILE,
            config={"method": HOSTILE, HOSTILE: HOSTILE},
            environment=elsewhere,
            size_bytes={f"{HOSTILE}.int8.onnx": 1},
        ),
    }


CASES = {
    "several": several,
    "many": many,
    "unlabelled": unlabelled,
    "bare": bare,
    "hostile": hostile,
}
# Between them they have every colour of the style sheet.
COLOURS = ("several", "unlabelled", "bare")


@pytest.fixture(scope="session")
def page_of() -> Callable[[str], str]:
    """The page of a case, rendered once."""
    pages: dict[str, str] = {}

    def page(case: str) -> str:
        if case not in pages:
            pages[case] = render_comparison(compare_reports(CASES[case]()))
        return pages[case]

    return page


@pytest.mark.parametrize("case", CASES)
def test_a_page_is_whole_accessible_and_fits(case, page_of, open_page: OpenPage):
    opened = open_page(page_of(case))
    check_sections(opened.page)
    assert opened.page.title() == f"eightbit: {len(CASES[case]())} bundles compared"
    check_schemes_and_phone(opened, f"comparison-{case}", contrast=case in COLOURS)


def check_sections(page):
    """Every section is there, once, and says something."""
    sections = page.evaluate(
        """Array.from(document.querySelectorAll("section"), section => ({
            id: section.id,
            heading: section.querySelector("h2").innerText,
            shown: section.querySelectorAll(
                "svg, tbody tr, p.nothing, p:not(.lead), pre").length,
            words: section.innerText,
        }))"""
    )
    assert {section["id"]: section["heading"] for section in sections} == HEADINGS
    for section in sections:
        assert section["shown"] > 0, section
        for word in ("None", "nan", "Undefined"):
            assert word not in section["words"]
    ids = page.evaluate("Array.from(document.querySelectorAll('[id]'), e => e.id)")
    assert len(ids) == len(set(ids))


def names_in_chart(page):
    texts = page.locator("#pareto-section svg text").all()
    return [text for text in texts if text.text_content().startswith(("experiment", "first"))]


def test_names_in_the_picture_do_not_overlap_in_the_font_of_the_browser(
    page_of, open_page: OpenPage
):
    names = names_in_chart(open_page(page_of("many")).page)
    boxes = [name.bounding_box() for name in names]
    assert len(boxes) > 5
    for one, other in combinations(boxes, 2):
        apart_across = one["x"] + one["width"] <= other["x"] or (
            other["x"] + other["width"] <= one["x"]
        )
        apart_up = one["y"] + one["height"] <= other["y"] or (
            other["y"] + other["height"] <= one["y"]
        )
        assert apart_across or apart_up


def test_a_mark_of_the_picture_tells_its_numbers(page_of, open_page: OpenPage):
    page = open_page(page_of("several")).page
    marks = page.locator("#pareto-section svg [data-tip]")
    assert marks.count() == 6  # three artefacts and their float models
    tips = [mark.get_attribute("data-tip") for mark in marks.all()]
    assert any(
        tip.startswith("minmax, INT8 ONNX: 79.15 % [") and "9.00 ms [" in tip for tip in tips
    )
    marks.first.hover()
    assert page.locator("#tooltip").inner_text() == tips[0]


def test_what_is_beaten_by_none_is_said_in_words(page_of, open_page: OpenPage):
    page = open_page(page_of("several")).page
    said = page.locator("#pareto-section strong").first.inner_text()
    # mse is slower and less accurate than the first; the float models are the most accurate.
    assert said == "first (ONNX); minmax (ONNX); minmax (float ONNX)"
    description = page.locator("#pareto-section svg desc").text_content()
    assert description.startswith("6 models by top-1 and median time.")


def test_artefacts_sort_by_their_accuracy(page_of, open_page: OpenPage):
    page = open_page(page_of("several")).page

    def bundles():
        return page.locator("#artefacts tbody tr th").all_inner_texts()

    assert bundles() == ["first", "minmax", "mse"]
    page.locator("#artefacts thead button", has_text="top-1").click()
    page.wait_for_selector("#artefacts th[aria-sort=descending]")
    assert bundles() == ["first", "mse", "minmax"]


def test_what_is_not_comparable_is_said_before_anything_else(page_of, open_page: OpenPage):
    page = open_page(page_of("hostile")).page
    warning = page.get_by_role("heading", name="Not everything here is comparable")
    assert warning.bounding_box()["y"] < 600
    assert open_page(page_of("several")).page.locator(".verdict").count() == 0


def test_a_regression_is_the_first_thing_to_see(open_page: OpenPage):
    reports = several()
    findings = {
        name: find_regressions(reports[name], reports["first"]) for name in ("minmax", "mse")
    }
    opened = open_page(render_comparison(compare_reports(reports), findings))
    page = opened.page
    failed = page.get_by_role("heading", name="minmax against the baseline: FAILED")
    assert failed.first.bounding_box()["y"] < 300
    first, second = page.locator(".verdict").all()
    assert "regression: top-1 drop, ONNX: 0.85 pp, 0.10 pp before" in first.inner_text()
    said = second.inner_text()
    assert "No regression in 7 comparisons. 1 of them is too uncertain to show a loss" in said
    assert page.locator("#gate-1 tbody tr").count() == 7
    assert page.locator("#gate-1 .bad-text").inner_text() == "✗ FAILED"
    check_accessibility(page)
    opened.screenshot("comparison-gate-light")
    assert opened.complaints == []


def test_the_same_reports_make_the_same_page(page_of):
    assert page_of("several") == render_comparison(compare_reports(several()))


def test_the_heading_names_some_of_many(page_of, open_page: OpenPage):
    said = open_page(page_of("many")).page.locator(".about").inner_text()
    assert said.endswith("experiment-3, experiment-4 and 15 more")
