"""Both renderings: everything there is, nothing there is not, and no harm from hostile names."""

import io
import re

import pytest
from rich.console import Console

from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import FidelitySection
from eightbit.benchmarks.report.figures import Table
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.report.pages.terminal import render_table, render_terminal
from eightbit.models.images.loading import SkippedImage

HOSTILE = "[red]a|b\n# c\x1b[31m `d` <img src=x> **e** \\[link](x)\u202eg"


def on_terminal(report, width=80):
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system="standard", force_terminal=True)
    console.print(render_terminal(report))
    return stream.getvalue()


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def tables(markdown):
    """The cells of every Markdown table, by GitHub's rule: a pipe counts unless escaped."""
    found = []
    for block in markdown.split("\n\n"):
        lines = block.splitlines()
        if lines and lines[0].startswith("|"):
            found.append([re.split(r"(?<!\\)\|", line)[1:-1] for line in lines])
    return found


@pytest.fixture
def hostile_report(full_report):
    spec = full_report.model.spec.model_copy(update={"labels": (HOSTILE,) * 7})
    onnx = full_report.accuracy.onnx
    flips = tuple(flip.model_copy(update={"image": HOSTILE}) for flip in onnx.flips[:1])
    accuracy = full_report.accuracy.model_copy(
        update={"onnx": onnx.model_copy(update={"flips": flips})}
    )
    skipped = (SkippedImage(name=HOSTILE, reason=HOSTILE),)
    return full_report.model_copy(
        update={
            "model": full_report.model.model_copy(update={"spec": spec, "weights": HOSTILE}),
            "accuracy": accuracy,
            "calibration": full_report.calibration.model_copy(
                update={"source": HOSTILE, "skipped": skipped}
            ),
            "size_bytes": {HOSTILE: 1000},
            "command": f"eightbit {HOSTILE}\n```\n# heading",
        }
    )


FACTS = [
    "81.15 %", "81.00 %", "0.15 pp", "-0.23, 0.54", "68 (-32 +26)", "97.00 %", "35.9 dB",
    "37.3 dB", "0.0043",
    "Fidelity of the logits on 4,000 images", "median SQNR: of each",
    "model.int8.onnx", "31.0", "3.05x", "11.7 MB", "3.8x", "same predictions", "passed", "90.00 %",
    "20", "photos.tar",
]  # fmt: skip


RENDERINGS = {
    "terminal": lambda report: plain(on_terminal(report)),
    "markdown": render_markdown,
}


@pytest.mark.parametrize("render", RENDERINGS.values(), ids=RENDERINGS)
def test_both_renderings_say_every_fact(render, full_report):
    text = render(full_report)
    assert [fact for fact in FACTS if fact not in text] == []


def test_both_renderings_say_which_images_were_seen_before(full_report):
    calibration = full_report.calibration.model_copy(update={"also_in_evaluation": 3})
    report = full_report.model_copy(update={"calibration": calibration})
    for text in (plain(on_terminal(report)), render_markdown(report)):
        assert "3 calibration images were also evaluated" in text


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", ["full_report", "almost_empty_report", "hostile_report"])
def test_the_terminal_rendering_keeps_to_its_width(name, width, request):
    text = plain(on_terminal(request.getfixturevalue(name), width))
    assert max(len(line) for line in text.splitlines()) <= width


def test_at_80_columns_no_number_is_broken_or_cut(full_report):
    text = plain(on_terminal(full_report))
    assert "…" not in text
    for row in (
        r"TorchScript +81\.00 % +92\.07 % +0\.15 pp \[-0\.23, 0\.54\] +0\.51 +68 \(-32 \+26\)",
        r"TorchScript +97\.00 % +35\.9 dB +37\.3 dB +0\.0043",
        r"model\.int8\.pt +torchscript +14\.0 +15\.4 +21\.0 +3\.05x \[2\.94, 3\.16\]",
    ):
        assert re.search(rf"^{row} *$", text, re.MULTILINE)


def test_a_report_of_nothing_renders_without_a_table(almost_empty_report):
    assert plain(on_terminal(almost_empty_report)).split("\n") == [
        "resnet18, 1,000 classes, weights DEFAULT",
        "Nothing was measured.",
        "",
    ]
    assert "None" not in render_markdown(almost_empty_report)


@pytest.mark.parametrize(
    "section",
    [
        "calibration",
        "evaluation",
        "verification",
        "accuracy",
        "fidelity",
        "coverage",
        "benchmark",
    ],
)
def test_every_section_may_be_missing(section, full_report):
    report = full_report.model_copy(update={section: None})
    assert "None" not in plain(on_terminal(report))
    assert "None" not in render_markdown(report)


def test_fidelity_of_no_artefact_is_no_table(full_report):
    report = full_report.model_copy(update={"fidelity": FidelitySection()})
    assert "Fidelity" not in plain(on_terminal(report))
    assert "Fidelity" not in render_markdown(report)


def test_infinite_ratios_are_called_identical(full_report):
    identical = {"sqnr_db": None, "median_image_sqnr_db": None, "mean_kl": 0.0}
    onnx = full_report.fidelity.onnx.model_copy(update=identical)
    fidelity = full_report.fidelity.model_copy(update={"onnx": onnx})
    report = full_report.model_copy(update={"fidelity": fidelity})
    assert "| ONNX | 97.00 % | identical | identical | 0 |" in render_markdown(report)


def test_a_failed_check_is_seen(full_report):
    checks = (Check(name="same integers", passed=False, detail="80 %"),)
    failed = VerificationSection(images=64, passed=False, checks=checks)
    report = full_report.model_copy(update={"verification": failed})
    assert "VERIFICATION FAILED" in plain(on_terminal(report))
    assert "64 images: FAILED" in render_markdown(report)


def test_the_terminal_shows_hostile_text_as_it_is(hostile_report):
    text = on_terminal(hostile_report, width=400)
    assert r"[red]a|b\n# c\x1b[31m `d` <img src=x> **e** \[link](x)\u202eg" in plain(text)
    assert "\u202e" not in text
    assert "\x1b[31m" not in text


def test_markdown_tables_are_well_formed(full_report, hostile_report):
    for report in (full_report, hostile_report):
        found = tables(render_markdown(report))
        assert len(found) >= 10
        for head, rule, *rows in found:
            assert all(re.fullmatch(r" (---|--:) ", cell) for cell in rule)
            assert {len(row) for row in (rule, *rows)} == {len(head)}
            assert rows


def test_markdown_shows_hostile_text_as_it_is(hostile_report):
    text = render_markdown(hostile_report)
    prose, _, command = text.partition("## Reproduce")
    assert r"\[red\]a\|b\\n# c\\x1b\[31m \`d\` \<img src=x\> \*\*e\*\*" in prose
    assert not re.search(r"(?<!\\)<", prose)
    assert not re.search(r"(?<!\\)`", prose)
    assert not re.search(r"(?<!\\)\]\(", prose)
    assert "\x1b" not in text
    assert len(command.strip("\n").splitlines()) == 2  # and the one that made the bundle
    assert command.strip("\n").startswith("    eightbit ")


def test_markdown_says_how_sure_the_models_are_of_a_flip(full_report):
    sure = {"float_probability": 0.624, "int8_probability": 0.9996}
    flip = full_report.accuracy.onnx.flips[0].model_copy(update=sure)
    onnx = full_report.accuracy.onnx.model_copy(update={"flips": (flip,)})
    accuracy = full_report.accuracy.model_copy(update={"onnx": onnx})
    text = render_markdown(full_report.model_copy(update={"accuracy": accuracy}))
    assert "| cat/0.png | cat | cat (62 %) | dog (99 %) |" in text


def test_markdown_lists_what_was_skipped_and_flipped(full_report):
    skipped = (SkippedImage(name="broken.png", reason="truncated"),)
    calibration = full_report.calibration.model_copy(update={"skipped": skipped})
    text = render_markdown(full_report.model_copy(update={"calibration": calibration}))
    assert "| broken.png | truncated |" in text
    assert "| cat/0.png | cat | cat (86 %) | dog (84 %) |" in text
    assert "And 46 more." in text
    assert "    eightbit quantize resnet18 --weights DEFAULT" in text
    assert "Example CPU @ 3 GHz" in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n" not in text


def test_a_cell_of_any_length_is_cut():
    cell = "\x1b[31m" + "x" * 100_000
    table = Table(title=cell, columns=("what", "value"), rows=((cell, "1"),), note=cell)
    screen = io.StringIO()
    Console(file=screen, width=100).print(render_table(table))
    assert all(char.isprintable() or char == "\n" for char in screen.getvalue())
    assert len(screen.getvalue()) < 8000
