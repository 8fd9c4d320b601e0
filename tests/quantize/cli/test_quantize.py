"""Gates, help, and what a good command prints and returns."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT, Precision
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.quantize import bundle
from eightbit.quantize.cli import measuring
from eightbit.quantize.cli.console import ProgressBars
from eightbit.quantize.commands import benchmark
from eightbit.quantize.measure.latency import THOROUGH, Timing
from eightbit.quantize.stages import Stages
from eightbit.quantize.verify import verification

Eightbit = Callable[..., Any]

COMMAND = Path(sys.executable).parent / "eightbit"


def _real(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_every_command_without_loading_torch() -> None:
    script = (
        "import sys; from eightbit.quantize.cli.entry import main; code = main(['--help']);"
        " assert not {'torch', 'onnx', 'onnxruntime', 'torchvision'} & sys.modules.keys();"
        " sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in (
        "quantize",
        "evaluate",
        "benchmark",
        "verify",
        "diagnose",
        "inspect",
        "classify",
        "models",
        "demo",
    ):
        assert f" {command} " in done.stdout


def test_a_drop_over_the_allowed_one_exits_with_1_and_names_it(
    eightbit: Eightbit, quick: tuple[object, ...], photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    outcome = eightbit(*quick, "--evaluate", photos, "--max-drop", -100, "--out", out)
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith("eightbit: failed: max drop: onnx: top-1 ")
    assert ", -100 allowed; more images will not help; " in line
    report = read_report(out / bundle.REPORT_JSON)
    assert report.accuracy is not None
    assert report.max_drop_pp == -100
    page = (out / bundle.REPORT_HTML).read_text()
    assert "Do not ship" in page
    assert "-100 allowed" in page
    assert (out / bundle.ONNX).is_file()


def test_a_failed_verification_exits_with_1_and_names_the_check(
    eightbit: Eightbit,
    quick: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verification, "MAX_FLOAT_ERROR", -1.0)
    out = tmp_path / "out"
    outcome = eightbit(*quick, "--out", out)
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith(
        "eightbit: failed: verification: fp32 artefact computes the float network: differs by"
    )
    report = read_report(out / bundle.REPORT_JSON)
    assert report.verification is not None
    assert not report.verification.passed
    assert (out / bundle.ONNX).is_file()


def test_evaluate_repeats_the_accuracy_of_the_run(
    eightbit: Eightbit, bundle_folder: Path, photos: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bundle_folder, tmp_path / "bundle")
    found: list[Report] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "show", found.append)
        options = ("--data", photos, "--threads", 1, "--max-drop", 100)
        outcome = eightbit("evaluate", folder, *options)
    assert outcome.code == 0, outcome
    expected = read_report(bundle_folder / bundle.REPORT_JSON)
    (report,) = found
    assert (report.accuracy, report.fidelity) == (expected.accuracy, expected.fidelity)
    (pair,) = report.parity
    assert report.parity[pair] == expected.parity[pair]
    amended = read_report(folder / bundle.REPORT_JSON)
    assert amended.accuracy == expected.accuracy
    assert amended.calibration == expected.calibration
    assert (expected.max_drop_pp, amended.max_drop_pp) == (None, 100)
    assert "The gate passes" in (folder / bundle.REPORT_HTML).read_text()


def test_evaluate_has_the_same_gate(
    eightbit: Eightbit, bundle_folder: Path, photos: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bundle_folder, tmp_path / "bundle")
    (folder / TORCHSCRIPT.file()).unlink()
    outcome = eightbit("evaluate", folder, "--data", photos, "--max-drop", -100)
    assert outcome.code == 1
    assert outcome.err.startswith("eightbit: failed: max drop: onnx: ")
    assert "Accuracy on 40 images" in outcome.out


def test_benchmark_measures_at_the_given_threads_and_batches_and_amends_the_report(
    eightbit: Eightbit, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(bundle_folder, tmp_path / "bundle")
    before = read_report(folder / bundle.REPORT_JSON)
    asked: dict[str, object] = {}
    entry = LatencyResult(
        runtime=ONNX.runtime,
        artifact=bundle.ONNX,
        precision=Precision.INT8,
        threads=1,
        batch=4,
        n=10,
        p50_ms=1.5,
        p90_ms=2.0,
        p99_ms=3.0,
        images_per_s=2000.0,
        launches=5,
        load_s=1.1,
        peak_rss_bytes=200_000_000,
    )
    section = BenchmarkSection(products_per_image=1000, launches=5, rounds=8, busy_fraction=0.2)

    def note(*_: object, **settings: object) -> Timing:
        asked.update(settings)
        return Timing(latency=(entry,), benchmark=section)

    monkeypatch.setattr(benchmark, "time_bundle", note)
    repeated = ("--threads", 1, "--threads", 2, "--threads", 1, "--batch", 4)
    outcome = eightbit("benchmark", folder, *repeated)
    assert outcome.code == 0, outcome
    assert asked == {
        "threads": (1, 2),
        "batches": (4,),
        "effort": THOROUGH,
        "photos": None,
    }
    assert "Warning: other programs took 20.0 %" in " ".join(outcome.out.split())
    assert f"written to {folder}" in outcome.out.replace("\n", "")
    after = read_report(folder / bundle.REPORT_JSON)
    typed = f"eightbit benchmark {folder} --threads 1 --threads 2 --threads 1 --batch 4"
    assert after.benchmark == section.model_copy(update={"command": typed})
    assert after.latency == (entry,)
    assert after.model_copy(update={"latency": (), "benchmark": None}) == before


def test_a_terminal_without_our_letters_gets_no_traceback(
    bundle_folder: Path, photos: Path, tmp_path: Path
) -> None:
    photo = shutil.copy(photos / "0" / "0.png", tmp_path / "Käfer.png")
    done = _real("classify", bundle_folder / bundle.ONNX, photo, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "K?fer.png" in done.stdout


def test_inspect_says_nothing_on_stderr(bundle_folder: Path) -> None:
    done = _real("inspect", bundle_folder / TORCHSCRIPT.file())
    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_gets_no_progress_bars(capfd: pytest.CaptureFixture[str]) -> None:
    with ProgressBars() as bars, Stages(bars).stage("calibrate", total=2) as watcher:
        watcher.advance(1)
    assert capfd.readouterr().err == ""


def test_a_terminal_gets_a_bar_for_every_stage_and_a_tick_for_those_that_end(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    bars = ProgressBars()
    stages = Stages(bars)
    with pytest.raises(RuntimeError), bars:
        with stages.stage("calibrate", total=2) as watcher:
            watcher.advance(1)
        with stages.stage("export ONNX"):
            raise RuntimeError
    last = capfd.readouterr().err.rpartition("calibrate")
    assert "✓" in last[0][-20:]
    assert "export ONNX" in last[2]
    assert "✓" not in last[2]
    assert stages.timings_s.keys() == {"calibrate"}
