"""The latency of a real bundle, every process real, as short as can be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, TORCHSCRIPT, Precision, Runtime
from eightbit.benchmarks.latency import launches
from eightbit.benchmarks.latency.benchmark import Benchmarked
from eightbit.benchmarks.latency.launches import Candidate, Conditions, Effort
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.quantize import bundle
from eightbit.quantize.artifacts import torchscript_export
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.artifacts.torchscript_export import write_float_torchscript
from eightbit.quantize.measure import latency
from eightbit.quantize.measure.latency import Timing, time_bundle
from eightbit.quantize.stages import Silence, Stages

TWICE = Effort(launches=2, rounds=2, seconds=0.2, limits=1)


@pytest.fixture(scope="module")
def timing(bundle_folder: Path) -> Timing:
    recipe = open_bundle(bundle_folder).recipe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launches, "_WARM_UP_SECONDS", 0.1)
        return time_bundle(bundle_folder, recipe, Stages(), threads=(1,), effort=TWICE)


def test_every_runtime_has_one_float_baseline_and_int8_a_speedup_over_it(timing: Timing) -> None:
    assert len(timing.latency) == (6 if OPENVINO.is_installed else 4)
    assert all(entry.launches == 2 and entry.n >= 2 for entry in timing.latency)
    assert all(entry.load_s and entry.peak_rss_bytes for entry in timing.latency)
    for runtime in {entry.runtime for entry in timing.latency}:
        real, integer = sorted(
            (entry for entry in timing.latency if entry.runtime is runtime),
            key=lambda entry: entry.precision,
        )
        assert (real.precision, real.is_baseline) == (Precision.FP32, True)
        assert (integer.precision, integer.is_baseline) == (Precision.INT8, False)
        assert real.speedup is None
        assert integer.speedup is not None
        assert integer.speedup_ci95 is not None
        assert integer.speedup_ci95[0] < integer.speedup < integer.speedup_ci95[1]


def test_a_broken_openvino_takes_nothing_else_with_it(
    bundle_folder: Path, brief: Effort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "openvino"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise RuntimeError('built for another processor')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # of the processes that load it
    monkeypatch.setattr(Runtime, "is_installed", True)
    # torch takes longest to start, and has no part in this.
    monkeypatch.setattr(latency, "_float_torchscript", lambda *_: ())
    monkeypatch.setattr(latency, "FORMATS", {ONNX.key: ONNX})
    recipe = open_bundle(bundle_folder).recipe
    found = time_bundle(bundle_folder, recipe, Stages(), threads=(1,), effort=brief)
    assert [entry.artifact for entry in found.latency] == [bundle.FLOAT_ONNX, bundle.ONNX]
    assert found.benchmark is not None
    for name in (bundle.FLOAT_ONNX, bundle.ONNX):
        reason = found.benchmark.not_measured[f"{name} in openvino (batch 1, 1 thread)"]
        assert "built for another processor" in reason


def test_what_a_bundle_holds_is_not_optional(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed: set[str] = set()

    def note(candidates: Sequence[Candidate], *_: object, **__: object) -> Benchmarked:
        needed.update(f"{one.label} in {one.runtime}" for one in candidates if not one.optional)
        return Benchmarked(latency=(), limits=(), whole_path=(), launches=3, rounds=1)

    monkeypatch.setattr(torchscript_export, "write_float_torchscript", lambda *_: None)
    monkeypatch.setattr(latency, "benchmark", note)
    monkeypatch.setattr(Runtime, "is_installed", True)
    time_bundle(bundle_folder, open_bundle(bundle_folder).recipe, Stages(), threads=(1,))
    assert needed == {
        "float TorchScript in torchscript",
        f"{TORCHSCRIPT.file()} in torchscript",
        f"{bundle.FLOAT_ONNX} in onnxruntime",
        f"{bundle.ONNX} in onnxruntime",
    }


def test_without_torchscript_nothing_of_torch_is_measured(
    onnx_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtimes: set[str] = set()

    def note(candidates: Sequence[Candidate], *_: object, **__: object) -> Benchmarked:
        runtimes.update(str(one.runtime) for one in candidates)
        return Benchmarked(latency=(), limits=(), whole_path=(), launches=3, rounds=1)

    monkeypatch.setattr(latency, "benchmark", note)
    time_bundle(onnx_bundle, open_bundle(onnx_bundle).recipe, Stages(), threads=(1,))
    assert "onnxruntime" in runtimes
    assert TORCHSCRIPT.runtime.name not in runtimes


def test_more_threads_than_cores_are_told_of_once(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listener(Silence):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def tell(self, line: str) -> None:
            self.lines.append(line)

    monkeypatch.setattr(torchscript_export, "write_float_torchscript", lambda *_: None)
    monkeypatch.setattr(
        latency,
        "benchmark",
        lambda *_, **__: Benchmarked(latency=(), limits=(), whole_path=(), launches=3, rounds=1),
    )
    monkeypatch.setattr(latency, "usable_cores", lambda: 4)
    recipe = open_bundle(bundle_folder).recipe
    few, many = Listener(), Listener()
    time_bundle(bundle_folder, recipe, Stages(few), threads=(1, 4))
    time_bundle(bundle_folder, recipe, Stages(many), threads=(4, 8, 16), batches=(1, 2))
    assert few.lines == []
    (line,) = many.lines
    assert line.startswith("--threads 16: only 4 cores can be used here")


def test_limits_and_the_whole_path_are_measured_once_per_number_of_threads(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, bool, bool]] = []

    def note(candidates: object, conditions: Conditions, *_: object, **more: Any) -> Benchmarked:
        batch, threads = len(conditions.batch), conditions.threads
        asked.append((threads, batch, more["limits"] is None, bool(conditions.photos)))
        return Benchmarked(latency=(), limits=(), whole_path=(), launches=3, rounds=batch)

    monkeypatch.setattr(torchscript_export, "write_float_torchscript", lambda *_: None)
    monkeypatch.setattr(latency, "benchmark", note)
    recipe = open_bundle(bundle_folder).recipe
    found = time_bundle(bundle_folder, recipe, Stages(), threads=(1, 2), batches=(4, 2))
    assert asked == [
        (1, 4, True, True),
        (1, 2, False, False),
        (2, 4, True, True),
        (2, 2, False, False),
    ]
    assert found.benchmark is not None
    assert found.benchmark.rounds == 2


def test_the_section_says_what_is_behind_it(timing: Timing) -> None:
    section = timing.benchmark
    assert section is not None
    assert section.products_per_image > 1_000_000
    assert [limit.precision for limit in section.limits] == list(Precision)
    assert (section.launches, section.environment) == (2, None)
    assert 1 <= section.rounds <= 2
    paths = section.whole_path  # once, whatever the batches
    assert [path.artifact for path in paths] == [TORCHSCRIPT.file()] + [bundle.ONNX] * (
        len(paths) - 1
    )
    assert all(path.photo == "synthetic JPEG, 500 x 375 pixels" for path in paths)
    assert all(path.total_ms >= path.infer_ms > 0 for path in paths)


def test_torchs_float_network_computes_the_same_when_optimised_once_more(
    bundle_folder: Path, tmp_path: Path
) -> None:
    recipe = open_bundle(bundle_folder).recipe
    path = tmp_path / "float.pt"
    write_float_torchscript(bundle_folder / bundle.FLOAT_ONNX, recipe, path)
    side = recipe.spec.preprocessing.crop
    batch = np.random.default_rng(0).standard_normal((2, 3, side, side), dtype=np.float32)
    expected = open_runner(bundle_folder / bundle.FLOAT_ONNX, 1)(batch)
    for optimised in (False, True):
        execution = Execution(runtime=TORCHSCRIPT.runtime, for_inference=optimised)
        found = open_runner(path, 1, execution)(batch)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
