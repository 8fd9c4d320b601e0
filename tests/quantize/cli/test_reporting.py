"""`eightbit report`: again, side by side, or against an earlier one."""

import json
import os
from pathlib import Path

import pytest
from tests.synthetic_reports.answers import accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import synthetic_report

from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import Report


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bundle(name: str, report: Report | None = None) -> Path:
    folder = Path(name)
    folder.mkdir(parents=True)
    (folder / "report.json").write_text((report or synthetic_report()).to_json())
    return folder


WORSE = synthetic_report(accuracy=accuracy(answers(range(80))), latency=latencies(2.0, (1.9, 2.1)))


# One bundle.


def test_one_bundle_is_shown_and_rendered_again(eightbit):
    folder = bundle("out")
    before = (folder / "report.json").read_bytes()
    (folder / "report.md").write_text("of another report")

    outcome = eightbit("report", folder)

    assert outcome.code == 0
    assert "Accuracy on 4,000 images" in outcome.out
    assert "written to out" in outcome.out
    assert (folder / "report.md").read_text().startswith("# resnet18 in INT8")
    assert (folder / "report.json").read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_page_is_rendered_again_too(eightbit):
    folder = bundle("out")

    eightbit("report", folder)

    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def test_a_report_without_its_bundle_is_only_shown(eightbit):
    folder = bundle("out")

    outcome = eightbit("report", folder / "report.json")

    assert outcome.code == 0
    assert "Accuracy on 4,000 images" in outcome.out
    assert [path.name for path in folder.iterdir()] == ["report.json"]


def test_a_page_of_one_report_is_not_a_comparison(eightbit):
    assert eightbit("report", bundle("out"), "--out", "page.html").error.startswith(
        "eightbit: --out: expected several reports"
    )


# Several.


def test_several_bundles_are_compared_in_a_page(eightbit):
    bundle("runs/main/out")
    bundle("runs/branch/out", WORSE)

    outcome = eightbit("report", "runs/main/out", "runs/branch/out")

    assert outcome.code == 0
    assert "Against main" in outcome.out
    assert "written to comparison.html" in outcome.out
    page = Path("comparison.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "main, branch" in page
    assert {path.name for path in Path().iterdir()} == {"runs", "comparison.html"}


def test_the_page_can_have_another_name_and_replaces_nothing_unasked(eightbit):
    places = (bundle("a"), bundle("b"))
    Path("page.html").write_text("mine")

    refused = eightbit("report", *places, "--out", "page.html")

    assert "page.html: expected a new file" in refused.error
    assert Path("page.html").read_text() == "mine"
    assert eightbit("report", *places, "--out", "page.html", "--overwrite").code == 0
    assert Path("page.html").read_text() != "mine"


def test_a_bundle_and_a_report_alone_can_be_compared(eightbit):
    bundle("now")
    (bundle("old") / "report.json").rename("baseline.json")

    outcome = eightbit("report", "now", "baseline.json")

    assert outcome.code == 0
    assert "Against now" in outcome.out
    assert "baseline.json" in outcome.out


def test_what_is_not_comparable_is_a_warning_and_no_refusal(eightbit):
    other = synthetic_report()
    environment = other.environment.model_copy(update={"cpu": "Other CPU"})
    places = (
        bundle("a"),
        bundle("b", other.model_copy(update={"environment": environment})),
    )

    outcome = eightbit("report", *places)

    assert outcome.code == 0
    assert "Warning: Measured on different machines" in outcome.out
    assert "Not everything here is comparable" in Path("comparison.html").read_text()


# Against a baseline.


def test_no_regression_ends_well_and_writes_nothing(eightbit):
    places = (bundle("now"), "--baseline", bundle("before") / "report.json")

    outcome = eightbit("report", *places)

    assert (outcome.code, outcome.err) == (0, "")
    assert "now against the baseline: passed" in outcome.out
    assert {path.name for path in Path().iterdir()} == {"now", "before"}
    assert [path.name for path in Path("now").iterdir()] == ["report.json"]


def test_every_regression_is_a_line_and_the_exit_code_is_one(eightbit):
    outcome = eightbit("report", bundle("now", WORSE), "--baseline", bundle("before"))

    assert outcome.code == 1
    accuracy_line, speed_line = outcome.err.splitlines()
    assert accuracy_line.startswith("eightbit: failed: regression: top-1 drop, ONNX: 2.00 pp, ")
    assert speed_line.startswith("eightbit: failed: regression: speedup, model.int8.onnx")
    assert "now against the baseline: FAILED" in outcome.out


def test_tolerances_are_points_and_percent(eightbit):
    places = ("report", bundle("now", WORSE), "--baseline", bundle("before"))

    assert eightbit(*places, "--max-accuracy-loss", 2, "--max-speed-loss", 34).code == 0
    assert eightbit(*places, "--max-accuracy-loss", 2, "--max-speed-loss", 30).code == 1
    assert eightbit(*places, "--max-accuracy-loss", 1.5, "--max-speed-loss", 34).code == 1


def test_the_tolerance_of_the_size_is_in_percent(eightbit):
    bigger = synthetic_report(size_bytes={"model.int8.onnx": 1_040_000})
    places = ("report", bundle("now", bigger), "--baseline", bundle("before"))

    assert eightbit(*places).code == 1
    assert eightbit(*places, "--max-size-growth", 3).code == 1
    assert eightbit(*places, "--max-size-growth", 4).code == 0


@pytest.mark.parametrize(
    ("option", "most"),
    [("--max-accuracy-loss", 100), ("--max-speed-loss", 100), ("--max-size-growth", 1000)],
)
def test_a_tolerance_ends_where_its_refusal_says(eightbit, option, most):
    places = ("report", bundle("now"), "--baseline", bundle("before"))

    assert eightbit(*places, option, most).code == 0
    for beyond in (most + 1, most * (1 + 1e-9), -1, "nan", "inf"):
        outcome = eightbit(*places, option, beyond)
        assert outcome.code == 2
        assert f"{option}: expected a number from 0 to {most:,}, found {float(beyond)!r}" in (
            outcome.error
        )


def test_several_bundles_are_gated_each(eightbit):
    places = (bundle("good"), bundle("bad", WORSE), "--baseline", bundle("before"))

    outcome = eightbit("report", *places)

    assert outcome.code == 1
    assert "good against the baseline: passed" in outcome.out
    assert all(
        line.startswith("eightbit: failed: bad: regression: ") for line in outcome.err.splitlines()
    )


def test_a_gate_leaves_a_page_where_one_is_asked_for_even_if_it_fails(eightbit):
    places = (bundle("now", WORSE), "--baseline", bundle("before"), "--out", "gate.html")

    assert eightbit("report", *places).code == 1

    page = Path("gate.html").read_text()
    assert "now against the baseline: FAILED" in page
    assert "regression: top-1 drop, ONNX" in page


# What cannot be used.


def damaged(name: str, change: object) -> Path:
    folder = bundle(name)
    content = json.loads((folder / "report.json").read_text())
    content.update(change)
    (folder / "report.json").write_text(json.dumps(content))
    return folder


def _empty_folder() -> tuple[object, ...]:
    Path("empty").mkdir()
    return "empty", bundle("b")


def _no_such_place() -> tuple[object, ...]:
    return ("nowhere",)


def _no_json() -> tuple[object, ...]:
    Path("report.json").write_text("{")
    return ("report.json",)


def _newer_version() -> tuple[object, ...]:
    return (damaged("new", {"format_version": 2}),)


def _unknown_key() -> tuple[object, ...]:
    return bundle("a"), damaged("b", {"mood": "good"})


def _the_same_twice() -> tuple[object, ...]:
    folder = bundle("a")
    return folder, folder / "report.json"


def _the_same_by_a_link() -> tuple[object, ...]:
    folder = bundle("a")
    Path("link").symlink_to(folder)
    return folder, "link"


def _its_own_baseline() -> tuple[object, ...]:
    folder = bundle("a")
    return folder, "--baseline", folder / "report.json"


def _a_pipe() -> tuple[object, ...]:
    os.mkfifo("pipe")
    return ("pipe",)


def _baseline_of_another_network() -> tuple[object, ...]:
    spec = synthetic_report().model.spec.model_copy(update={"num_classes": 9})
    model = synthetic_report().model.model_copy(update={"spec": spec})
    return bundle("a"), "--baseline", bundle("b", synthetic_report(model=model))


def _tolerance_without_a_baseline() -> tuple[object, ...]:
    return bundle("a"), "--max-speed-loss", 5


def _negative_tolerance() -> tuple[object, ...]:
    return bundle("a"), "--baseline", bundle("b"), "--max-accuracy-loss", -1


def _tolerance_that_is_no_number() -> tuple[object, ...]:
    return bundle("a"), "--baseline", bundle("b"), "--max-size-growth", "nan"


def _page_in_a_missing_folder() -> tuple[object, ...]:
    return bundle("a"), bundle("b"), "--out", "nowhere/page.html"


def _page_that_is_a_folder() -> tuple[object, ...]:
    return bundle("a"), bundle("b"), "--out", "a", "--overwrite"


def _page_with_too_long_a_name() -> tuple[object, ...]:
    return bundle("a"), bundle("b"), "--out", "x" * 300


def _page_over_a_report() -> tuple[object, ...]:
    (bundle("a") / "report.json").rename("old.html")
    return bundle("b"), "old.html", "--out", "./old.html", "--overwrite"


def _page_over_the_baseline() -> tuple[object, ...]:
    (bundle("a") / "report.json").rename("old.html")
    return bundle("b"), "--baseline", "old.html", "--out", "old.html", "--overwrite"


UNUSABLE = {
    "a folder without a report": (_empty_folder, "empty: expected a folder that"),
    "no such place": (_no_such_place, "nowhere: expected a folder that"),
    "no JSON": (_no_json, "report.json: Invalid JSON"),
    "a newer version": (_newer_version, "upgrade eightbit"),
    "an unknown key": (_unknown_key, "mood"),
    "the same twice": (_the_same_twice, "found it twice"),
    "the same by a link": (_the_same_by_a_link, "found it twice"),
    "its own baseline": (_its_own_baseline, "found it twice"),
    "a pipe": (_a_pipe, "found something that is no file"),
    "a baseline of another network": (_baseline_of_another_network, "baseline: expected a report"),
    "a tolerance without a baseline": (_tolerance_without_a_baseline, "expected --baseline FILE"),
    "a negative tolerance": (_negative_tolerance, "--max-accuracy-loss: expected a number"),
    "a tolerance that is no number": (_tolerance_that_is_no_number, "--max-size-growth: expected"),
    "a page in a missing folder": (_page_in_a_missing_folder, "make it first"),
    "a page that is a folder": (_page_that_is_a_folder, "found a folder"),
    "a page with too long a name": (_page_with_too_long_a_name, "File name too long"),
    "a page over a report": (_page_over_a_report, "another file than the reports"),
    "a page over the baseline": (_page_over_the_baseline, "another file than the reports"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_bad_input_is_refused_in_one_line_and_leaves_no_page(eightbit, case):
    make, expected = UNUSABLE[case]
    arguments = make()
    before = {path: path.read_bytes() for path in Path().rglob("*.html")}
    assert expected in eightbit("report", *arguments).error
    assert {path: path.read_bytes() for path in Path().rglob("*.html")} == before


def test_a_failed_check_cannot_write_lines_into_a_log(eightbit):
    name = "good\n::error::forged\x1b[31m"
    check = Check(name=name, passed=False, detail="x")
    failed = VerificationSection(images=1, passed=False, checks=(check,))
    places = (bundle("now", synthetic_report(verification=failed)), "--baseline", bundle("before"))

    outcome = eightbit("report", *places)

    assert outcome.code == 1
    assert "\x1b" not in outcome.err
    assert all(line.startswith("eightbit: failed: ") for line in outcome.err.splitlines())


def test_hostile_text_reaches_neither_the_terminal_nor_the_page(eightbit):
    command = "eightbit \x1b[31m<script>alert(1)</script>"
    config = {"method": "</td><script>alert(2)</script>", "target": "[bold]x[/bold]"}
    hostile = synthetic_report(command=command, config=config)

    outcome = eightbit("report", bundle("a"), bundle("<b>&[red]", hostile))

    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "[bold]x[/bold]" in outcome.out
    page = Path("comparison.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(2)" in page
    assert "<b>&[red]" not in page
