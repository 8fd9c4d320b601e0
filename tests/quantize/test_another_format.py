"""A third format takes a row, a runner and a writer, and no other change: see `boxed`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.quantize.artifacts.write import WRITERS

BOXED = Path(__file__).parent / "boxed"
FILE = "model.int8.box"


def test_every_format_has_a_writer() -> None:
    assert WRITERS.keys() == FORMATS.keys()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the command line where the third format is known; returns what it printed."""
    path = os.pathsep.join(filter(None, (str(BOXED), os.environ.get("PYTHONPATH"))))
    cwd = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, BOXED / "boxed.py", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "500"},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def folder(
    run: Callable[..., str],
    quick: tuple[object, ...],
    photos: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("boxed") / "out"
    run(*quick, "--formats", "boxed,onnx", "--evaluate", photos, "--out", out)
    return out


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_it_is_written_beside_what_else_was_asked_for(folder: Path, report: dict[str, Any]) -> None:
    assert {path.name for path in folder.glob("model.*")} == {
        *("model.int8.onnx", "model.fp32.onnx", FILE)
    }
    assert report["size_bytes"][FILE] == (folder / FILE).stat().st_size
    assert "export Boxed" in report["timings_s"]


def test_it_is_evaluated_and_stands_in_the_sections_of_the_report(report: dict[str, Any]) -> None:
    for section in ("accuracy", "fidelity"):
        assert report[section]["boxed"] == report[section]["onnx"]
        assert report[section]["boxed"]["n"] == 40
        assert report[section]["torchscript"] is None


def test_it_is_verified_against_the_others_and_the_reference(report: dict[str, Any]) -> None:
    assert report["verification"]["passed"]
    checks = {check["name"] for check in report["verification"]["checks"]}
    assert "boxed predicts like the float model" in checks
    assert "onnx vs boxed: same predictions" in checks
    for pair in ("onnx_vs_boxed", "boxed_vs_reference"):
        assert report["parity"][pair]["max_lsb"] == 0


def test_it_is_timed_in_its_own_runtime(report: dict[str, Any]) -> None:
    (entry,) = (one for one in report["latency"] if one["runtime"] == "boxer")
    assert (entry["artifact"], entry["precision"], entry["speedup"]) == (FILE, "int8", None)


def test_it_is_shown_by_the_page(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "Boxed" in page
    assert FILE in page


def test_what_is_done_later_with_a_bundle_knows_it(
    run: Callable[..., str], folder: Path, photos: Path
) -> None:
    assert "boxer" in run("inspect", folder / FILE)
    printed = run("classify", folder / FILE, photos / "0" / "0.png")
    assert "0.png" in "".join(printed.split())
