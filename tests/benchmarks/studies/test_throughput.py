"""Rates beside each other: the arithmetic, and one small run of the real thing."""

import os
import subprocess
import sys

import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.processes.process import proportional_bytes
from eightbit.benchmarks.studies import throughput
from eightbit.benchmarks.studies.throughput import (
    Evaluated,
    Round,
    bare_rates,
    combined,
    write_images,
)
from eightbit.models.images.sources import open_source


def _round(images: int, stage_rate: float, command_rate: float) -> Round:
    evaluated = Evaluated(
        images=images, stage_rate=stage_rate, command_rate=command_rate, peak_bytes=10**9
    )
    return Round(before={"a": 30.0, "b": 60.0}, after={"a": 60.0, "b": 120.0}, evaluated=evaluated)


def test_models_one_after_the_other_do_less_than_each():
    assert combined({"a": 30.0, "b": 60.0}) == pytest.approx(20)
    assert combined({"a": 30.0}) == pytest.approx(30)


def test_an_evaluation_is_compared_with_both_sides():
    found = _round(1000, 27.0, 24.0)
    assert found.bare_rate == pytest.approx(30)
    assert found.stage_ratio == pytest.approx(0.9)
    assert found.command_ratio == pytest.approx(0.8)


def test_every_evaluation_has_a_row_and_every_size_a_median():
    rounds = [_round(1000, rate, 15.0) for rate in (24.0, 27.0, 29.0)] + [_round(4000, 30.0, 29.0)]
    text = throughput._markdown(rounds, "python -m x")
    assert "| 1,000 | 30.0 | 24.0 | 0.80 | 15.0 | 0.50 | 1,000 MB |" in text
    assert text.count("| 1,000 |") == 3
    assert "Median of 3 rounds with 1,000 images: the stage reaches 0.90 of the bare rate" in text
    assert "Median of 1 rounds with 4,000 images: the stage reaches 1.00" in text


def test_bare_rates_are_of_the_model_files(write_model, tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "_SECONDS", 0.01)
    models = {"tiny.onnx": write_model(ONNX.runtime, tmp_path)}
    rates = bare_rates(models, np.zeros((2, 3, 8, 8), np.float32), threads=2)
    assert rates.keys() == models.keys()
    assert rates["tiny.onnx"] > 0


@pytest.mark.parametrize("code", [1, 2])
def test_an_evaluation_that_does_not_end_well_is_no_measurement(
    tmp_path, monkeypatch, full_report, code
):
    """The report may be that of an earlier one."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "report.json").write_text(full_report.to_json())
    program = tmp_path / "eightbit"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RuntimeError, match=f"exit code {code}"):
        throughput.evaluate(bundle, tmp_path, 1)


def test_a_set_can_be_larger_than_the_source(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.png", "b.jpg"):
        (source / name).write_text(name)
    write_images(source, 5, tmp_path / "five")
    with open_source(tmp_path / "five") as found:
        assert len(found.items) == 5
        assert found.read(found.items[4]) == b"a.png"


def test_memory_of_a_process_includes_its_children():
    child = "x = bytearray(60_000_000); import sys; print('ready', flush=True); sys.stdin.read()"
    script = (
        "import subprocess, sys;"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        assert proportional_bytes(process.pid) > 60_000_000
        process.stdin.close()
    assert proportional_bytes(process.pid) == 0
    assert proportional_bytes(os.getpid()) > 10**6
