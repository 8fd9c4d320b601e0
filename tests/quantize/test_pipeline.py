"""The whole line on a tiny network: what it leaves, and that it leaves the same every time."""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.quantize.conftest import DELIVERED

from eightbit.benchmarks import read_report
from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.report.stage import Stage
from eightbit.calibration import Method
from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture
from eightbit.quantize import Delivery, QuantConfig, bundle, pipeline, quantize, read_recipe
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.verify.executions import executions

Eightbit = Callable[..., Any]

ARCHITECTURE = "cifar_resnet20"
COMMAND = Path(sys.executable).parent / "eightbit"
REPRODUCIBLE = (*DELIVERED, bundle.RECIPE, bundle.TABLES)
FILES = {*REPRODUCIBLE, bundle.REPORT_JSON, bundle.REPORT_MARKDOWN, bundle.REPORT_HTML}
# Loading, building and writing take some seconds; a machine under load takes its time.
PATIENCE_S = 120


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def second_run(
    checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The real command in a process of its own, in another folder, with all it measures."""
    folder = tmp_path_factory.mktemp("other")
    weights = folder / "other folder" / checkpoint.name
    weights.parent.mkdir()
    shutil.copy(checkpoint, weights)
    images = shutil.copytree(photos, folder / "images" / photos.name)
    command = [
        *(COMMAND, "quantize", ARCHITECTURE, "--weights", f"other folder/{weights.name}"),
        *("--threads", "1", "--calibrate", images, "--evaluate", images, "--out", "bundle"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "bundle", done


def test_it_leaves_exactly_the_files_of_the_design(bundle_folder: Path) -> None:
    assert _names(bundle_folder) == FILES
    assert _names(bundle_folder.parent) == {bundle_folder.name}


@pytest.mark.parametrize("name", REPRODUCIBLE)
def test_a_second_run_gives_the_same_bytes(
    name: str,
    bundle_folder: Path,
    second_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    assert (second_run[0] / name).read_bytes() == (bundle_folder / name).read_bytes()


@pytest.mark.parametrize("name", REPRODUCIBLE)
def test_what_is_shipped_holds_no_path_and_no_time(
    name: str, bundle_folder: Path, checkpoint: Path, photos: Path
) -> None:
    content = (bundle_folder / name).read_bytes()
    repository = Path(__file__).resolve().parents[2]
    folders = (repository, Path.home(), checkpoint.parent, photos.parent, bundle_folder.parent)
    for folder in (*folders, Path("/tmp"), Path(sys.prefix)):
        assert f"{folder}/".encode() not in content
    assert f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m}".encode() not in content


def test_the_real_run_prints_its_report_and_keeps_stderr_for_errors(
    second_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = second_run
    assert done.stderr == ""
    for expected in ("Accuracy on 40 images", "Latency in ms", f"written to {folder.name}"):
        assert expected in done.stdout


def test_the_report_has_the_keys_of_the_design(
    second_run: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = second_run
    found = json.loads((folder / bundle.REPORT_JSON).read_text())
    assert found.keys() == {
        *("format_version", "eightbit_version", "command", "model", "config", "recipe_sha256"),
        *("calibration", "evaluation", "verification", "accuracy", "fidelity", "parity"),
        *(
            "latency",
            "size_bytes",
            "sha256",
            "coverage",
            "environment",
            "timings_s",
            "peak_rss_bytes",
        ),
        *("fallback", "diagnosis", "executions", "benchmark", "edge", "max_drop_pp"),
        *("multi_label", "choices"),
    }
    accuracy = {name: result for name, result in found["accuracy"].items() if result is not None}
    assert accuracy.keys() == {"fp32", "torchscript", "onnx"}
    for name, result in accuracy.items():
        assert {"top1", "top5", "n"} <= result.keys()
        assert name == "fp32" or {"drop_pp", "drop_ci95_pp", "flips"} <= result.keys()
    fidelity = {name: result for name, result in found["fidelity"].items() if result is not None}
    assert fidelity.keys() == {"torchscript", "onnx"}
    for result in fidelity.values():
        assert {"sqnr_db", "median_image_sqnr_db", "mean_kl", "top1_agreement"} <= result.keys()
    executed = {one.name for one in executions(folder, thorough=False).possible}
    assert {"torchscript", "onnx", "onnx_unoptimised"} <= executed
    assert {f"{name}_vs_reference" for name in executed} <= found["parity"].keys()
    assert "torchscript_vs_onnx" in found["parity"]
    for result in found["parity"].values():
        assert {"max_lsb", "identical_fraction", "top1_agreement"} <= result.keys()
    assert {(entry["runtime"], entry["precision"]) for entry in found["latency"]} >= {
        (runtime, precision)
        for runtime in ("torchscript", "onnxruntime")
        for precision in ("fp32", "int8")
    }
    for entry in found["latency"]:
        wanted = {"artifact", "threads", "batch", "p50_ms", "p90_ms", "p99_ms", "images_per_s"}
        assert wanted <= entry.keys()
    assert found["size_bytes"].keys() == found["sha256"].keys() == set(REPRODUCIBLE)
    assert {"conv", "add", "linear"} <= found["coverage"].keys()
    stages = found["timings_s"].keys()
    assert {"calibrate", "export TorchScript", "export ONNX", "verify", "evaluate"} <= stages
    assert not [name for name in stages if not name.startswith(tuple(Stage))]
    assert found["peak_rss_bytes"] > 50 * 2**20
    assert found["verification"]["passed"] is True


def test_the_report_is_read_back_and_says_how_to_do_it_again(bundle_folder: Path) -> None:
    report = read_report(bundle_folder / bundle.REPORT_JSON)
    assert report.command.startswith(f"eightbit quantize {ARCHITECTURE} --weights ")
    assert report.command in (bundle_folder / bundle.REPORT_MARKDOWN).read_text()
    assert report.recipe_sha256 == read_recipe(bundle_folder / bundle.RECIPE).sha256
    for name, size in report.size_bytes.items():
        assert (bundle_folder / name).stat().st_size == size


def test_images_in_both_sources_are_counted_and_warned_of(
    whole_run: tuple[Path, Any],
) -> None:
    folder, outcome = whole_run
    calibration = read_report(folder / bundle.REPORT_JSON).calibration
    assert calibration is not None
    assert calibration.also_in_evaluation == 40
    warning = "40 calibration images were also evaluated"
    assert warning in outcome.out
    assert warning in (folder / bundle.REPORT_MARKDOWN).read_text()


def test_a_recipe_gives_the_same_bytes_again_from_anywhere(
    eightbit: Eightbit,
    checkpoint: Path,
    bundle_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "w").mkdir()
    shutil.copy(checkpoint, tmp_path / "w" / checkpoint.name)
    monkeypatch.chdir(tmp_path)
    outcome = eightbit(
        *("quantize", "--recipe", bundle_folder / bundle.RECIPE, "--threads", 1),
        *("--weights", f"w/{checkpoint.name}", "--out", "again"),
    )
    assert outcome.code == 0, outcome
    for name in REPRODUCIBLE:
        again = (tmp_path / "again" / name).read_bytes()
        assert again == (bundle_folder / name).read_bytes(), name
    report = read_report(tmp_path / "again" / bundle.REPORT_JSON)
    assert report.calibration is report.verification is None


def test_class_names_of_any_language_go_through_the_line(
    eightbit: Eightbit, quick: tuple[object, ...], tmp_path: Path
) -> None:
    names = ["Käfer", "犬", *map(str, range(8))]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    out = tmp_path / "out"
    outcome = eightbit(*quick, "--labels", tmp_path / "names.txt", "--out", out)
    assert outcome.code == 0, outcome
    recipe = read_recipe(out / bundle.RECIPE)
    assert recipe.spec.labels == tuple(names)
    report = read_report(out / bundle.REPORT_JSON)
    assert report.recipe_sha256 == recipe.sha256


def test_overwriting_keeps_foreign_files_and_drops_the_format_that_is_not_wanted(
    eightbit: Eightbit, quick: tuple[object, ...], bundle_folder: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(bundle_folder, tmp_path / "out")
    (out / "notes.txt").write_text("mine")
    outcome = eightbit(*quick, "--out", out, "--overwrite")
    assert outcome.code == 0, outcome
    assert _names(out) == FILES - {TORCHSCRIPT.file()} | {"notes.txt"}
    assert _names(tmp_path) == {"out"}
    report = read_report(out / bundle.REPORT_JSON)
    assert "onnx_vs_reference" in report.parity
    assert not any("torchscript" in pair for pair in report.parity)
    assert report.fidelity is not None
    assert report.fidelity.torchscript is None
    assert report.config["samples"] == 8


def test_a_run_without_onnx_has_no_coverage(
    eightbit: Eightbit, quick: tuple[object, ...], tmp_path: Path
) -> None:
    outcome = eightbit(*quick, "--formats", "torchscript", "--out", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert _names(tmp_path / "out") == FILES - {bundle.ONNX}
    report = read_report(tmp_path / "out" / bundle.REPORT_JSON)
    assert report.coverage is None
    assert report.verification is not None
    assert report.verification.passed


def test_without_labels_there_is_agreement_only(
    eightbit: Eightbit, quick: tuple[object, ...], flat_photos: Path, tmp_path: Path
) -> None:
    outcome = eightbit(*quick, "--evaluate", flat_photos, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome
    report = read_report(tmp_path / "out" / bundle.REPORT_JSON)
    assert report.evaluation is not None
    assert not report.evaluation.labelled
    assert report.accuracy is not None
    assert report.accuracy.fp32.top1 is None
    assert report.accuracy.onnx is not None
    assert report.accuracy.onnx.drop_pp is None
    assert report.accuracy.onnx.top1_agreement > 0.5
    assert report.calibration is not None
    assert report.calibration.also_in_evaluation == 0
    assert "no labels" in outcome.out or "without labels" in outcome.out


def test_a_table_labels_a_flat_folder(
    eightbit: Eightbit, quick: tuple[object, ...], flat_photos: Path, tmp_path: Path
) -> None:
    table = tmp_path / "labels.csv"
    rows = [f"{path.name},{int(path.stem) % 10}" for path in flat_photos.iterdir()]
    table.write_text("\n".join(["file,label", *rows]))
    outcome = eightbit(
        *quick, "--evaluate", flat_photos, "--labels", table, "--out", tmp_path / "out"
    )
    assert outcome.code == 0, outcome
    report = read_report(tmp_path / "out" / bundle.REPORT_JSON)
    assert report.accuracy is not None
    assert report.accuracy.fp32.top1 is not None
    assert report.accuracy.onnx is not None
    assert report.accuracy.onnx.drop_pp is not None


def test_unusable_images_are_skipped_by_name_and_counted(
    eightbit: Eightbit, quick: tuple[object, ...], photos: Path, tmp_path: Path
) -> None:
    images = shutil.copytree(photos, tmp_path / "photos")
    (images / "3" / "0.png").write_bytes(b"no picture")
    outcome = eightbit(
        *quick, "--evaluate", images, "--calibrate", images, "--out", tmp_path / "out"
    )
    assert outcome.code == 0, outcome
    evaluation = read_report(tmp_path / "out" / bundle.REPORT_JSON).evaluation
    assert evaluation is not None
    assert evaluation.images == 39
    assert [skipped.name for skipped in evaluation.skipped] == ["3/0.png"]


@pytest.mark.parametrize("earlier", [False, True], ids=["into a new folder", "over an earlier run"])
def test_a_killed_run_leaves_the_folder_as_it_was(
    earlier: bool, checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if earlier:
        out.mkdir()
        (out / bundle.RECIPE).write_text("old")
    command = [
        *(COMMAND, "quantize", ARCHITECTURE, "--weights", checkpoint, "--threads", "1"),
        *("--calibrate", photos, "--out", out, "--overwrite"),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not list(tmp_path.glob(f".eightbit-*/**/{bundle.RECIPE}")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    if earlier:
        assert {path.name: path.read_text() for path in out.iterdir()} == {bundle.RECIPE: "old"}
    else:
        assert not out.exists()


def test_a_run_that_fails_late_leaves_nothing(
    eightbit: Eightbit, quick: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InputError("late")

    monkeypatch.setattr(pipeline, "make_report", fail)
    assert eightbit(*quick, "--out", tmp_path / "out").error == "eightbit: late"
    assert list(tmp_path.iterdir()) == []


def test_weights_that_overflow_are_named(
    eightbit: Eightbit, quick: tuple[object, ...], checkpoint: Path, tmp_path: Path
) -> None:
    state = torch.load(checkpoint)
    state["conv1.weight"] *= 1e38
    torch.save(state, tmp_path / "huge.pth")
    outcome = eightbit(*quick, "--weights", tmp_path / "huge.pth", "--out", tmp_path / "out")
    assert re.search(r"huge\.pth: \S+: expected finite activations, found .*inf", outcome.error)
    assert not (tmp_path / "out").exists()


def test_the_same_from_python(
    make_checkpoint: Callable[..., Path],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
    weights = make_checkpoint(tmp_path / "mine.pth", seed=1)
    pretrained = load_pretrained(Architecture(ARCHITECTURE), str(weights))
    delivery = Delivery(out=tmp_path / "out", threads=1, formats=(ONNX.key,))
    report = quantize(pretrained, photos, delivery, QuantConfig(samples=8, method=Method.MINMAX))
    assert report == read_report(tmp_path / "out" / bundle.REPORT_JSON)
    assert report.config["method"] == "minmax"
    assert report.verification is not None
    assert report.verification.images == 40
