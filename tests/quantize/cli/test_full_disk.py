"""A disk that is full, wherever a command writes, is told in one line, and nothing is left."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from eightbit.quantize import staging

Eightbit = Callable[..., Any]
Small = Callable[[int], AbstractContextManager[Path]]


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """Mount a file system of so many kibibytes; who may not, skips."""

    @contextmanager
    def mounted(kib: int) -> Iterator[Path]:
        place = tmp_path / "small"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("no small disk: mounting one takes root")
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)

    return mounted


# Between them each of the files finds no room: the recipe, the models, the report.
@pytest.mark.parametrize("kib", [16, 200, 500, 1500])
def test_a_disk_without_room_for_a_bundle(
    eightbit: Eightbit, quick: tuple[object, ...], small: Small, kib: int
) -> None:
    with small(kib) as place:
        line = eightbit(*quick, "--out", place / "deep" / "out").error
        assert f"{place}/deep/out: cannot be written: No space left on device; make room" in line
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("kib", [200, 500])
def test_a_disk_without_room_for_torchscript(
    eightbit: Eightbit, quick: tuple[object, ...], small: Small, kib: int
) -> None:
    with small(kib) as place:
        line = eightbit(*quick, "--formats", "torchscript", "--out", place / "out").error
        assert f"{place}/out: cannot be written: No space left on device; make room" in line
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_no_room_for_temporary_files(
    eightbit: Eightbit,
    quick: tuple[object, ...],
    small: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,
) -> None:
    with small(64) as place:
        monkeypatch.setattr(staging.tempfile, "tempdir", str(place))
        line = eightbit(*quick, "--formats", format, "--out", tmp_path / "out").error
        assert f"{place}: cannot keep temporary files: No space left on device" in line
        assert "set TMPDIR to another folder" in line
        assert list(place.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_folder_where_a_disk_is_mounted_keeps_its_place(
    eightbit: Eightbit, quick: tuple[object, ...], small: Small
) -> None:
    """Such as the volume of a container: it cannot change places with another."""
    with small(8000) as place:
        assert eightbit(*quick, "--out", place).code == 0
        (place / "notes.txt").write_text("mine")
        assert eightbit(*quick, "--out", place, "--overwrite", "--seed", 1).code == 0
        assert (place / "notes.txt").read_text() == "mine"
        assert eightbit("report", place).code == 0
        assert [path.name for path in place.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_leaves_a_report_and_an_archive_as_they_were(
    eightbit: Eightbit, bundle_folder: Path, small: Small, photos: Path
) -> None:
    size = sum(path.stat().st_size for path in bundle_folder.iterdir())
    with small(size // 1024 + 150) as place:
        subprocess.run(["cp", "-r", bundle_folder, place / "out"], check=True)
        before = {path.name: path.read_bytes() for path in (place / "out").iterdir()}
        for command in (
            ("evaluate", place / "out", "--data", photos, "--threads", 1),
            ("bundle", place / "out", "--out", place / "model.zip"),
        ):
            line = eightbit(*command).error
            assert "No space left on device; make room for it" in line
        assert {path.name: path.read_bytes() for path in (place / "out").iterdir()} == before
        assert [path.name for path in place.iterdir()] == ["out"]


def test_a_path_that_is_too_long(
    eightbit: Eightbit, quick: tuple[object, ...], bundle_folder: Path, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 300)
    deep = tmp_path.joinpath(*["y" * 200] * 30)
    for place in (long, deep, long / "out"):
        for command in (
            (*quick, "--out", place),
            ("report", place),
            ("report", bundle_folder, bundle_folder / "report.json", "--out", place),
            ("inspect", place / "model.onnx"),
            ("classify", place / "model.onnx", place),
            ("diagnose", place, "--data", place),
            ("diagnose", bundle_folder, "--data", place),
            ("evaluate", bundle_folder, "--data", place),
            ("verify", bundle_folder, "--images", place),
            ("benchmark", place),
            ("bundle", bundle_folder, "--out", place / "model.zip"),
            ("bundle", bundle_folder, "--web", "--out", place),
            ("doctor", place / "model.onnx"),
            ("quantize", "resnet18", "--weights", place, "--calibrate", place, "--out", "never"),
        ):
            line = eightbit(*command).error
            assert len(line) < 500, command
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_more_digits_than_python_reads(
    eightbit: Eightbit, quick: tuple[object, ...], bundle_folder: Path, tmp_path: Path
) -> None:
    many = "9" * 5000
    for command in (
        (*quick, "--out", tmp_path / "out", "--samples", many),
        (*quick, "--out", tmp_path / "out", "--seed", many),
        (*quick, "--out", tmp_path / "out", "--threads", many),
        (*quick, "--out", tmp_path / "out", "--resize", many),
        (*quick, "--out", tmp_path / "out", "--crop", 10**30),
        (*quick, "--out", tmp_path / "out", "--seed", 10**30),
        ("diagnose", bundle_folder, "--data", tmp_path, "--samples", many),
        ("verify", bundle_folder, "--samples", 10**30),
        ("benchmark", bundle_folder, "--batch", 10**12),
        ("classify", bundle_folder / "model.int8.onnx", "x.png", "--top", many),
    ):
        line = eightbit(*command).error
        assert len(line) < 500, command
    assert list(tmp_path.iterdir()) == []
