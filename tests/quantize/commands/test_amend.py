"""A bundle's report, amended by commands that measure it later."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.synthetic_reports.costs import latencies

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.quantize import atomic_files, bundle
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.commands import amend, benchmark, verify
from eightbit.quantize.commands.amend import Amending
from eightbit.quantize.measure import evaluation
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.stages import Stages

Eightbit = Callable[..., Any]

PATIENCE_S = 60
TIMING = Timing(
    latency=latencies(3.0, (2.8, 3.2)),
    benchmark=BenchmarkSection(products_per_image=40_000_000, launches=5, rounds=3),
)


@pytest.fixture
def folder(onnx_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(onnx_bundle, tmp_path / "bundle")


@pytest.fixture
def both(bundle_folder: Path, tmp_path: Path) -> Path:
    """With artefacts of both formats."""
    return shutil.copytree(bundle_folder, tmp_path / "both")


def _report(folder: Path) -> Report:
    return read_report(folder / bundle.REPORT_JSON)


def _change(folder: Path, **sections: object) -> None:
    report = _report(folder).model_copy(update=sections)
    (folder / bundle.REPORT_JSON).write_text(report.to_json())


# The gate.


def test_the_gate_of_the_report_decides_where_no_other_is_given(
    eightbit: Eightbit, both: Path, photos: Path
) -> None:
    _change(both, max_drop_pp=0.5)
    outcome = eightbit("evaluate", both, "--data", photos, "--threads", 1)
    assert outcome.code == 1
    told, *failed = outcome.err.splitlines()
    assert told == (
        "eightbit: the gate of the report applies: a drop of at most 0.5 points; --max-drop sets "
        "another"
    )
    assert len(failed) == 2
    assert all("pp, 0.5 allowed" in line for line in failed)
    assert "gate fails" in (both / bundle.REPORT_HTML).read_text()

    outcome = eightbit("evaluate", both, "--data", photos, "--threads", 1, "--max-drop", 60)
    assert (outcome.code, outcome.err) == (0, "")
    assert _report(both).max_drop_pp == 60
    assert "gate passes" in (both / bundle.REPORT_HTML).read_text()


def test_images_without_labels_replace_the_accuracy_and_say_so(
    eightbit: Eightbit, folder: Path, flat_photos: Path
) -> None:
    _change(folder, max_drop_pp=0.5)
    outcome = eightbit("evaluate", folder, "--data", flat_photos, "--threads", 1)
    assert outcome.code == 0
    assert outcome.err == (
        "eightbit: without labels only agreement is measured: it replaces the report's accuracy on "
        "40 labelled images\n"
    )
    again = eightbit("evaluate", folder, "--data", flat_photos, "--threads", 1)
    assert (again.code, again.err) == (0, "")


def test_an_evaluation_that_stops_leaves_nothing_of_the_one_before(
    eightbit: Eightbit, both: Path, broken_onnx: Path, photos: Path
) -> None:
    before = _report(both)
    shutil.copy(broken_onnx, both / bundle.FLOAT_ONNX)
    _change(both, sha256={})  # else it would be refused as another file
    outcome = eightbit("evaluate", both, "--data", photos, "--threads", 1, "--max-drop", 7)
    assert outcome.code == 1
    check, gate = outcome.err.splitlines()
    assert check.startswith("eightbit: failed: verification: evaluation: finite logits: ")
    assert gate == "eightbit: failed: max drop: not measured, since not every logit is a number"
    after = _report(both)
    assert after.max_drop_pp == 7
    assert after.accuracy is after.evaluation is after.fidelity is None
    assert before.parity.keys() - after.parity.keys() == {"torchscript_vs_onnx"}
    assert after.calibration is not None
    assert after.calibration.also_in_evaluation == 0


# The images.


@pytest.mark.parametrize(("labelled", "expected"), [(True, 40), (False, 0)])
def test_calibration_images_that_are_evaluated_are_counted_again(
    eightbit: Eightbit,
    folder: Path,
    photos: Path,
    flat_photos: Path,
    labelled: bool,
    expected: int,
) -> None:
    calibration = _report(folder).calibration
    assert calibration is not None
    wrong = calibration.model_copy(update={"also_in_evaluation": 7})
    _change(folder, calibration=wrong)
    data = photos if labelled else flat_photos
    assert eightbit("evaluate", folder, "--data", data, "--threads", 1).code == 0
    after = _report(folder).calibration
    assert after is not None
    assert after.also_in_evaluation == expected


# How it is amended.


def _unused(*_: object, **__: object) -> object:
    raise AssertionError("refused too late")


@pytest.fixture(params=["evaluate", "verify", "benchmark"])
def command(
    request: pytest.FixtureRequest, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[object, ...]:
    """A command that amends the bundle, and fails the test when it begins to work."""
    monkeypatch.setattr(evaluation, "open_pool", _unused)
    monkeypatch.setattr(verify, "execute", _unused)
    monkeypatch.setattr(benchmark, "time_bundle", _unused)
    more = ("--data", photos) if request.param == "evaluate" else ()
    return (request.param, folder, *more)


def test_a_report_that_is_a_pipe_is_refused_and_not_waited_for(
    eightbit: Eightbit, folder: Path, command: tuple[object, ...]
) -> None:
    (folder / bundle.REPORT_JSON).unlink()
    os.mkfifo(folder / bundle.REPORT_JSON)
    assert "expected a report, found something that is no file" in eightbit(*command).error


def test_a_bundle_that_cannot_be_written_is_refused_before_the_work(
    eightbit: Eightbit, command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amend.os, "access", lambda _, mode: not mode & os.W_OK)
    assert "the folder is read-only; make the folder writable" in eightbit(*command).error


def _amending(folder: Path) -> Amending:
    return Amending(bundle=open_bundle(folder), stages=Stages(), command="eightbit")


def test_of_two_commands_at_a_time_both_leave_what_they_found(folder: Path) -> None:
    first, second = _amending(folder), _amending(folder)
    first.begin()
    second.begin()
    inside, release = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(before: Report) -> Report:
        inside.set()
        assert release.wait(PATIENCE_S)
        order.append("first")
        return before.model_copy(update={"max_drop_pp": 3.0})

    def quick(before: Report) -> Report:
        order.append("second")
        return before.model_copy(update={"latency": TIMING.latency, "benchmark": TIMING.benchmark})

    threads = [threading.Thread(target=first.finish, args=(slow,))]
    threads[0].start()
    assert inside.wait(PATIENCE_S)
    threads.append(threading.Thread(target=second.finish, args=(quick,)))
    threads[1].start()
    threads[1].join(timeout=0.3)
    release.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert order == ["first", "second"]
    after = _report(folder)
    assert (after.max_drop_pp, after.latency) == (3.0, TIMING.latency)


def test_without_locks_the_findings_are_kept_and_the_user_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    told: list[str] = []
    one = _amending(folder)
    monkeypatch.setattr(atomic_files.fcntl, "flock", refuse)
    monkeypatch.setattr(one.stages.watcher, "tell", told.append)
    one.finish(lambda before: before.model_copy(update={"max_drop_pp": 3.0}))
    assert _report(folder).max_drop_pp == 3.0
    (line,) = told
    assert "cannot be locked: No locks available" in line


def test_what_was_typed_later_is_remembered_with_what_it_found(
    eightbit: Eightbit, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "time_bundle", lambda *_, **__: TIMING)
    quantized = _report(folder).command
    assert _report(folder).commands == (quantized,)
    assert eightbit("benchmark", folder).code == 0
    assert eightbit("evaluate", folder, "--data", photos, "--threads", 1).code == 0
    assert _report(folder).commands == (
        quantized,
        f"eightbit evaluate {folder} --data {photos} --threads 1",
        f"eightbit benchmark {folder}",
    )
    markdown = (folder / bundle.REPORT_MARKDOWN).read_text()
    assert f"    eightbit benchmark {folder}\n" in markdown
