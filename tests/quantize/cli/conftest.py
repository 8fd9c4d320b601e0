"""A place to spoil, for the commands that are refused."""

from pathlib import Path

import pytest
from tests.quantize.cli.refusal import Place


@pytest.fixture
def place(
    tmp_path: Path,
    checkpoint: Path,
    photos: Path,
    bundle_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, tmp_path / "out", checkpoint, photos, bundle_folder)
