"""`--cluster`: the same files, accuracy and fidelity as of one process, byte for byte."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from tests.in_line import InLine

from eightbit.benchmarks import read_report
from eightbit.benchmarks.processes.crew import Task
from eightbit.quantize import bundle
from eightbit.quantize.commands.evaluate import evaluate_bundle
from eightbit.quantize.stages import Stages

Eightbit = Callable[..., Any]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if not path.name.startswith("report")
    }


def _sections(folder: Path) -> dict[str, Any]:
    report = read_report(folder / bundle.REPORT_JSON)
    return report.model_dump(include={"accuracy", "fidelity", "parity", "calibration", "diagnosis"})


def test_a_cluster_makes_the_same_bundle(
    eightbit: Eightbit, quick: tuple[object, ...], photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="the extra cluster is not installed")
    formats = ("--formats", "onnx", "--evaluate", photos)
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    outcome = eightbit(*quick, *formats, "--out", alone)
    assert outcome.code == 0, outcome
    outcome = eightbit(*(*quick, *formats, "--out", shared, "--cluster", "local", "--workers", 2))
    assert outcome.code == 0, outcome
    assert "2 workers, each of 1 thread" in outcome.err
    assert _files(shared) == _files(alone)
    assert _sections(shared) == _sections(alone)
    outcome = eightbit("evaluate", shared, "--data", photos, "--cluster", "local")
    assert outcome.code == 0, outcome
    assert _sections(shared) == _sections(alone)


def test_without_ray_the_extra_is_named(
    eightbit: Eightbit, onnx_bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eightbit.benchmarks.cluster import cluster

    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    outcome = eightbit("evaluate", onnx_bundle, "--data", photos, "--cluster", "local")
    assert "expected Ray, found none; install 'eightbit[cluster]'" in outcome.error


def test_workers_without_a_cluster_are_refused(
    eightbit: Eightbit, onnx_bundle: Path, photos: Path
) -> None:
    outcome = eightbit("evaluate", onnx_bundle, "--data", photos, "--workers", 2)
    assert "--workers: expected --cluster beside it" in outcome.error


def test_where_there_is_no_cluster_is_told_in_one_line(
    eightbit: Eightbit, onnx_bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if util.find_spec("ray") is None:
        pytest.skip("the extra cluster is not installed")
    command = ("evaluate", onnx_bundle, "--data", photos, "--cluster", "no address")
    assert "--cluster no address: expected a cluster of Ray" in eightbit(*command).error


def test_what_workers_have_answered_is_continued_without_them(
    eightbit: Eightbit, onnx_bundle: Path, photos: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(onnx_bundle, tmp_path / "bundle")
    executor = _Interrupted()
    with pytest.raises(KeyboardInterrupt):
        evaluate_bundle(folder, photos, Stages(), executor=executor)
    outcome = eightbit("evaluate", folder, "--data", photos, "--threads", 1)
    assert outcome.code == 0, outcome
    assert "continues after 16 of 40 images" in outcome.err
    assert _sections(folder) == _sections(onnx_bundle)


class _Interrupted(InLine):
    """Interrupted at its second answer."""

    def __init__(self) -> None:
        super().__init__(ahead=1)

    def crew(self, opening: Callable[[], Any], *, most: int, where: str) -> Any:
        crew = super().crew(opening, most=most, where=where)
        whole = crew.map

        def interrupted(tasks: Iterable[Task[Any]]) -> Iterator[Any]:
            for number, answer in enumerate(whole(tasks)):
                if number == 1:
                    raise KeyboardInterrupt
                yield answer

        crew.map = interrupted  # type: ignore[method-assign]
        return crew
