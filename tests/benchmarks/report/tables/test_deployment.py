"""The bundle to deploy, in every form of the report."""

import io

import pytest
from rich.console import Console
from tests.synthetic_reports.reports import ENVIRONMENT, synthetic_report

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.latency.sections import ColdStart
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.pages.html import render_html
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.report.pages.terminal import render_terminal
from eightbit.benchmarks.report.tables.cost import deploy_commands, edge_tables

START = ColdStart(
    launches=5,
    seconds=0.456,
    bare_seconds=0.4,
    ratio=1.14,
    ratio_ci95=(1.1, 1.18),
    peak_rss_bytes=150_000_000,
    bare_peak_rss_bytes=120_000_000,
)
COMMANDS = (
    "# here, where DIR is the folder of this report",
    "eightbit bundle DIR --out model.zip",
    "# on the other machine",
    "pip install onnxruntime==1.31.1 numpy pillow",
    "python model.zip photo.jpg",
)


def elsewhere(name: str, **facts: object) -> SelfTestResult:
    machine = name.partition("_")[2]
    known = {"machine": machine, "same_pixels": True, "model_sha256": "ef" * 32}
    return SelfTestResult(**{"name": name, **known, **facts})


def report_with(*others: SelfTestResult, **parity: int) -> Report:
    edge = EdgeSection(
        bundle_sha256="12" * 32,
        bundle_bytes=26_200_000,
        cold_start=START,
        elsewhere=others,
        environment=ENVIRONMENT,
        command="eightbit bundle out --out model.zip",
    )
    pairs = {
        pair: ParityResult(
            max_lsb=lsb,
            identical_fraction=0.9,
            within_one_lsb_fraction=0.95,
            top1_agreement=1.0,
            n=3,
        )
        for pair, lsb in parity.items()
    }
    return synthetic_report(edge=edge, parity=pairs)


def test_before_there_is_a_bundle_the_report_says_how_to_get_it() -> None:
    report = synthetic_report()
    assert deploy_commands(report) == COMMANDS
    assert list(edge_tables(report)) == []
    text = render_markdown(report)
    section = text[text.index("## Deploy") :].partition("\n## ")[0]
    assert section.split("\n\n", 1)[1].rstrip().splitlines() == [f"    {line}" for line in COMMANDS]
    page = render_html(report)
    assert page.index('id="size"') < page.index('id="deploy"') < page.index('id="parity"')
    assert "\n".join(COMMANDS) in page


def test_a_version_that_is_no_version_does_not_reach_the_shell() -> None:
    hostile = ENVIRONMENT.model_copy(update={"versions": {"numpy": "2; rm -rf ~"}})
    assert "pip install onnxruntime numpy pillow" in deploy_commands(
        synthetic_report(environment=hostile)
    )


def test_in_markdown_the_table_stands_under_the_commands() -> None:
    text = render_markdown(report_with())
    section = text[text.index("## Deploy") :].partition("\n## ")[0]
    assert section.index("python model.zip photo.jpg") < section.index("### The bundle to deploy")
    assert text.count("The bundle to deploy") == 1


def test_a_run_without_onnx_has_nothing_to_bundle() -> None:
    report = synthetic_report(size_bytes={"model.int8.pt": 1000})
    assert deploy_commands(report) == ()
    assert "## Deploy" not in render_markdown(report)
    assert "The model was not written as ONNX." in render_html(report)


def test_start_memory_size_and_digest_are_shown_with_their_interval() -> None:
    (table,) = edge_tables(report_with())
    assert table.rows == (
        ("size", "26.2 MB"),
        ("start to first label", "0.46 s"),
        ("against a bare script", "1.14x [1.10, 1.18] of its time"),
        ("memory", "150.0 MB"),
        ("memory against a bare script", "1.25x"),
        ("SHA-256", "12" * 32),
    )
    assert "the bare script (0.40 s, 120.0 MB)" in table.note
    assert "5 launches of each in turns" in table.note
    assert "Measured on Example CPU @ 3 GHz" in table.note


def test_a_start_that_was_not_measured_is_left_out() -> None:
    edge = EdgeSection(bundle_sha256="12" * 32, bundle_bytes=1_000_000)
    (table,) = edge_tables(synthetic_report(edge=edge))
    assert [row[0] for row in table.rows] == ["size", "SHA-256"]
    assert table.note == ""


@pytest.mark.parametrize("pair", ["onnx_aarch64_vs_reference", "onnx_aarch64_vs_onnx"])
def test_every_machine_stands_with_its_last_bits(pair: str) -> None:
    there = elsewhere(
        "onnx_aarch64", processor="cortex-a72", versions={"python": "3.11.2", "numpy": "2.4.6"}
    )
    silent = elsewhere("onnx_riscv64", same_pixels=False)
    *_, table = edge_tables(report_with(there, silent, **{pair: 1}))
    assert table.rows == (
        ("onnx_aarch64", "aarch64, cortex-a72", "numpy 2.4.6, python 3.11.2", "the same", "1"),
        ("onnx_riscv64", "riscv64", "-", "others", "-"),
    )


def test_the_distance_to_the_reference_is_preferred() -> None:
    pairs = {"onnx_vs_onnx_aarch64": 0, "onnx_aarch64_vs_reference": 2}
    *_, table = edge_tables(report_with(elsewhere("onnx_aarch64"), **pairs))
    assert table.rows[0][-1] == "2"
    *_, table = edge_tables(report_with(elsewhere("onnx_aarch64"), onnx_vs_onnx_aarch64=1))
    assert table.rows[0][-1] == "1"


def test_only_results_from_elsewhere_are_shown_too() -> None:
    edge = EdgeSection(elsewhere=(elsewhere("onnx_aarch64"),))
    (table,) = edge_tables(synthetic_report(edge=edge))
    assert table.title == "The bundle's self-test on other machines"


def test_every_form_of_the_report_shows_it_and_hostile_words_stay_words() -> None:
    hostile = "<script>alert(1)</script> | \x1b[31m"
    report = report_with(elsewhere("onnx_aarch64", processor=hostile))
    page, text = render_html(report), render_markdown(report)
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(render_terminal(report))
    for shown in (page, text, console.file.getvalue()):
        assert "0.46 s" in shown
        assert "onnx" in shown
        assert "\x1b[31m" not in shown
    assert hostile[:20] not in page
    assert "\\<script\\>" in text
    assert "eightbit bundle out --out model.zip" in text
