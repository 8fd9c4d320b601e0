"""What every page has, and what its charts and tables are made of, without a browser."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from tests.synthetic_reports.reports import HOSTILE, REPORTS, float_layers, full, hostile

from eightbit.benchmarks.accuracy.tally import FINITE_CHECK
from eightbit.benchmarks.report.charts.accuracy import drop_chart, reliability_chart
from eightbit.benchmarks.report.charts.network import sqnr_chart
from eightbit.benchmarks.report.charts.rows import shortened
from eightbit.benchmarks.report.charts.svg import COLOURS, chart, figure
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.pages.gallery import gallery
from eightbit.benchmarks.report.pages.page import render_page, sort_key
from eightbit.benchmarks.report.pages.parity_grid import parity_grid
from eightbit.benchmarks.report.pages.sections import (
    accuracy_sections,
    cost_sections,
    network_sections,
    run_sections,
)
from eightbit.benchmarks.report.tables.results import coverage_table


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("81.23 %", "81.23"),
        ("-0.17 pp [-0.54, 0.18]", "-0.17"),
        ("1,234", "1234.0"),
        ("3.1x", "3.1"),
        ("11.7 MB", "11700000.0"),
        ("81.2 kB", "81200.0"),
        ("1.2e-07", "1.2e-07"),
        ("<0.001", "0.001"),
        ("identical", "Infinity"),
        ("-", ""),
        ("baseline", ""),
    ],
)
def test_numbers_sort_by_their_value(cell: str, key: str) -> None:
    assert sort_key(cell) == key


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="report"):
        render_page("report.html.j2")
    macros = {"report": full(), "shipping": None, "headline": "", "whose": "", "figures": ()}
    with pytest.raises((TypeError, UndefinedError)):
        render_page("report.html.j2", sections=(), **macros)


def drawn(id: str = "here", text: str = "there"):
    with figure(200, 100) as empty:
        axes = empty.subplots()
        axes.scatter([1, 2], [1, 2], color=COLOURS["int8"], gid="dots")
        axes.set_xlabel(shortened(text))
        tips = {"dots": [text, "two"]}
        return chart(empty, id=id, title=text, caption="", description=text, tips=tips)


def test_a_chart_has_the_colours_and_the_font_of_its_page() -> None:
    svg = str(drawn().svg)
    assert "var(--int8)" in svg
    assert not re.search(r"#fe01|font-family|<style|<metadata|DejaVu", svg)
    assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_every_id_begins_with_the_charts_and_is_pointed_to() -> None:
    svg = str(drawn("here").svg)
    ids = re.findall(r' id="([^"]+)"', svg)
    pointers = re.findall(r'(?:url\(|href=")#([^")]+)', svg)
    assert all(id.startswith("here-") for id in ids)
    assert {*pointers, "here-title", "here-desc"} == set(ids)
    assert len(ids) == len(set(ids)) == 4  # of the area that clips, and of the mark


def test_a_chart_is_named_and_described_and_its_marks_too() -> None:
    root = ET.fromstring(str(drawn(text=HOSTILE).svg))
    shown = HOSTILE.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")
    assert root.get("role") == "img"
    assert root.get("aria-label") == shown
    assert (root.findtext("title"), root.findtext("desc")) == (shown, shown)
    assert [mark.findtext("title") for mark in root.iter("use")][:2] == [shown, "two"]


def test_one_tip_too_few_is_an_error() -> None:
    with figure(200, 100) as empty:
        empty.subplots().scatter([1, 2], [1, 2], gid="dots")
        with pytest.raises(ValueError, match="shorter"):
            chart(empty, id="x", title="", caption="", description="", tips={"dots": ["one"]})


def test_letters_that_the_measuring_font_has_not_are_no_matter() -> None:
    assert "\U00020000" in drawn(text="\U00020000").svg


def test_the_drop_is_drawn_against_zero_and_the_gate() -> None:
    accuracy = full().accuracy
    assert accuracy is not None
    gated = drop_chart(accuracy, 0.5)
    assert gated is not None
    assert ">0.5 allowed<" in gated.svg
    assert "ONNX: drop 0.10 pp [-0.28, 0.48]" in gated.svg
    plain = drop_chart(accuracy)
    assert plain is not None
    assert "allowed" not in plain.svg


def test_tensors_stand_in_the_order_of_execution() -> None:
    tensors = full().diagnosis
    drawn = sqnr_chart(tensors)
    assert drawn is not None
    root = ET.fromstring(str(drawn.svg))
    told = [mark.findtext("title") for mark in root.iter("use") if mark.find("title") is not None]
    marks = [text for text in told if text is not None][: len(tensors) - 1]
    by_position = sorted(tensors, key=lambda tensor: tensor.position)
    names = [tensor.name for tensor in by_position if tensor.sqnr_alone_db is not None]
    assert [text.partition(":")[0] for text in marks] == names


def test_tensors_without_any_noise_have_no_chart() -> None:
    update = dict.fromkeys(("sqnr_alone_db", "sqnr_accumulated_db", "weight_sqnr_db"))
    assert sqnr_chart(tuple(t.model_copy(update=update) for t in full().diagnosis)) is None


def test_the_grid_of_pairs_is_square_and_symmetric() -> None:
    grid = parity_grid(full().parity)
    assert grid is not None
    assert grid.names == ("onnx", "openvino", "reference", "torchscript")
    grades = [[cell.grade for cell in row] for row in grid.rows]
    assert grades == [
        ["none", "far", "same", "same"],
        ["far", "none", "far", "none"],
        ["same", "far", "none", "same"],
        ["same", "none", "same", "none"],
    ]
    assert grid.rows[0][1].text == "50.0 %"
    assert "at most 2 last bits apart" in grid.rows[0][1].detail
    assert parity_grid({}) is None


def test_artefacts_of_equal_confidence_are_drawn_once() -> None:
    alike, apart = float_layers().accuracy, full().accuracy
    assert alike is not None
    assert apart is not None
    drawn = [str(chart.svg) for chart in map(reliability_chart, (alike, apart)) if chart]
    assert [svg.count(">ONNX and TorchScript (ECE") for svg in drawn] == [1, 0]
    assert [svg.count(">TorchScript (ECE") for svg in drawn] == [0, 1]


def test_the_gallery_tells_each_different_flip_once() -> None:
    report = full()
    assert report.accuracy is not None
    assert report.accuracy.torchscript is not None
    first, *rest = report.accuracy.torchscript.flips
    other = first.model_copy(update={"int8_class": 5})
    torchscript = report.accuracy.torchscript.model_copy(update={"flips": (other, *rest)})
    accuracy = report.accuracy.model_copy(update={"torchscript": torchscript})
    shown = gallery(report.model_copy(update={"accuracy": accuracy}))
    assert shown is not None
    assert len(shown.pictures) == 25
    assert [picture.whose for picture in shown.pictures[:3]] == [
        "only ONNX",
        "only TorchScript",
        "",
    ]
    assert shown.pictures[1].after.startswith("frog (")
    assert [picture.mark for picture in shown.pictures[:2]] == ["broke", "broke"]
    # TorchScript breaks two more than the 66 of ONNX.
    assert shown.note == "68 images of 4,000 changed class. The first 24 are shown."


@pytest.mark.parametrize(
    ("onnx", "torchscript", "count", "words"),
    [
        ((0, 1), (1, 2), 2, "3 images of"),
        ((0, 1), (1, 2), 5, "At least 5 images of"),
    ],
)
def test_the_gallery_counts_an_image_once(
    onnx: tuple[int, ...], torchscript: tuple[int, ...], count: int, words: str
) -> None:
    accuracy = full().accuracy
    assert accuracy is not None
    assert accuracy.onnx is not None
    flips = accuracy.onnx.flips
    some = {
        name: accuracy.onnx.model_copy(
            update={"flips": tuple(flips[index] for index in indices), "flip_count": count}
        )
        for name, indices in (("onnx", onnx), ("torchscript", torchscript))
    }
    shown = gallery(full().model_copy(update={"accuracy": accuracy.model_copy(update=some)}))
    assert shown is not None
    assert shown.note.startswith(words)


def test_a_picture_is_described_for_who_cannot_see_it() -> None:
    shown = gallery(full())
    assert shown is not None
    first = shown.pictures[0]
    assert first.description == f"{first.name}: float {first.before}, INT8 {first.after}"


@pytest.mark.parametrize(
    ("pair", "agreement", "grade"),
    [
        ("onnx_vs_reference", 0.95, "far"),
        ("onnx_vs_reference", 0.93, "other"),
        ("openvino_vs_reference", 0.93, "far"),
        ("openvino_vs_reference", 0.89, "other"),
    ],
)
def test_the_grid_calls_that_another_class_which_the_verification_does(
    pair: str, agreement: float, grade: str
) -> None:
    parity = dict(full().parity)
    result = parity[pair].model_copy(update={"top1_agreement": agreement, "max_lsb": 3, "n": 100})
    grid = parity_grid({**parity, pair: result})
    assert grid is not None
    row, column = (grid.names.index(name) for name in pair.split("_vs_"))
    assert grid.rows[row][column].grade == grade
    assert "more than 5 % of the images (OpenVINO 10 %)" in grid.other


@pytest.mark.parametrize("is_failed", [True, False])
def test_an_evaluation_that_stopped_is_not_called_one_without_images(is_failed: bool) -> None:
    check = Check(name=FINITE_CHECK, passed=not is_failed, detail="onnx 3")
    verification = VerificationSection(images=64, passed=not is_failed, checks=(check,))
    empty = {"accuracy": None, "evaluation": None, "fidelity": None}
    report = full().model_copy(update={**empty, "verification": verification})
    said = {section.nothing for section in accuracy_sections(report)}
    why = (
        "logits on the evaluation images are not finite"
        if is_failed
        else "no images to evaluate on were given"
    )
    assert said == {f"Not measured: {why}."}


def test_coverage_tells_what_is_meant_in_float() -> None:
    plain, mixed = full().coverage, float_layers().coverage
    assert plain is not None
    assert mixed is not None
    assert coverage_table(plain).columns == ("operator", "quantized", "of")
    assert coverage_table(mixed).rows[0] == ("convolution", "16", "20", "4")


def test_what_is_no_jpeg_is_no_picture() -> None:
    shown = gallery(hostile())
    assert shown is not None
    assert {picture.source for picture in shown.pictures} == {""}


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_an_empty_section_says_why(name: str) -> None:
    report = REPORTS[name]()
    makers = (accuracy_sections, cost_sections, network_sections, run_sections)
    for section in (section for maker in makers for section in maker(report)):
        assert section.lead.endswith((".", "?"))
        assert not section.is_empty or section.nothing.endswith("."), section.id


def test_long_names_keep_both_ends() -> None:
    assert shortened("layer1.0.conv1") == "layer1.0.conv1"
    assert shortened("a" * 20 + "b" * 20, 11) == "aaaaa…bbbbb"
    assert len(shortened("x" * 300)) == 28


def test_only_our_own_files_are_put_in_as_they_are() -> None:
    report = hostile().model_copy(update={"command": Markup("<b>")})
    (*_, reproduce) = run_sections(report)
    assert reproduce.code[0] == "<b>"


def test_matplotlib_is_loaded_only_for_a_page() -> None:
    code = (
        "import sys, eightbit.benchmarks.report.pages.html, eightbit.quantize.measure.report;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
