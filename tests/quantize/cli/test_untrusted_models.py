"""A bundle from a stranger, whose TorchScript writes a file when it runs."""

import shutil
import zipfile
from pathlib import Path

import pytest

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT, Precision
from eightbit.benchmarks.latency.launches import Candidate
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.quantize.commands import benchmark, verify
from eightbit.quantize.measure import latency

WRITTEN = "written-by-the-model"


@pytest.fixture
def hostile(bundle_folder: Path, without_digests, tmp_path: Path) -> Path:
    folder = without_digests(Path(shutil.copytree(bundle_folder, tmp_path / "bundle")))
    path = folder / "model.int8.pt"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    save = f'    torch.save(1, "{tmp_path / WRITTEN}")\n'
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            lines = content.decode().splitlines(keepends=True) if name.endswith(".py") else []
            first = [
                i for i, line in enumerate(lines) if line.startswith("    x: Tensor) -> Tensor:")
            ]
            for index in first:
                lines[index] += save
            archive.writestr(name, "".join(lines) if lines else content)
    return folder


def command(name: str, folder: Path, photo: Path) -> tuple[object, ...]:
    if name in ("verify", "benchmark"):
        return (name, folder, "--threads", 1)
    path = folder / "model.int8.pt"
    return (name, path, photo) if name == "classify" else (name, path)


@pytest.fixture
def torchscript_alone(brief, monkeypatch) -> None:
    """Nothing else is executed or timed; it would be in vain."""

    def shipped(folder: Path) -> list[Candidate]:
        path = folder / TORCHSCRIPT.file()
        what = {"label": path.name, "runtime": TORCHSCRIPT.runtime, "precision": Precision.INT8}
        return [Candidate(path=path, **what)]

    plain = Availability(possible=(Execution(runtime=TORCHSCRIPT.runtime),))
    monkeypatch.setattr(verify, "executions", lambda *_, **__: plain)
    monkeypatch.setattr(latency, "_float_torchscript", lambda *_: ())
    monkeypatch.setattr(latency, "_shipped", shipped)
    monkeypatch.setattr(benchmark, "THOROUGH", brief)


@pytest.mark.usefixtures("torchscript_alone")
@pytest.mark.parametrize("name", ["classify", "inspect", "doctor", "verify", "benchmark"])
def test_it_is_refused_by_the_name_of_the_operator(name, hostile, photo, eightbit, tmp_path):
    line = eightbit(*command(name, hostile, photo)).error
    assert "found operator aten::save; give --trust if you trust whoever made the file" in line
    assert not (tmp_path / WRITTEN).exists()


@pytest.mark.parametrize("name", ["classify", "inspect", "doctor"])
def test_it_runs_where_it_is_trusted(name, hostile, photo, eightbit, tmp_path):
    outcome = eightbit(*command(name, hostile, photo), "--trust")
    assert outcome.code == 0, outcome
    # The two others load it, and do not call it.
    assert (tmp_path / WRITTEN).exists() == (name == "classify")
