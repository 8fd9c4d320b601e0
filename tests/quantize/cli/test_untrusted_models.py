"""A bundle from a stranger, whose TorchScript writes a file when it runs."""

import shutil
import zipfile
from pathlib import Path

import pytest

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
