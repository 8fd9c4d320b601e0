"""The folder that a run leaves: whole, or as it was."""

import errno
import os
from pathlib import Path

import pytest

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.models.errors import InputError
from eightbit.quantize import bundle


def _content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_new_folder_appears_with_everything_in_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with bundle.staged(out, overwrite=False) as folder:
        (folder / bundle.RECIPE).write_text("new")
        assert not out.exists()
    assert _content(out) == {bundle.RECIPE: "new"}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="in the middle"),
        bundle.staged(tmp_path / "deep" / "deeper" / "out", overwrite=False) as folder,
    ):
        (folder / bundle.RECIPE).write_text("half")
        raise RuntimeError("in the middle")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_an_earlier_run_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / bundle.RECIPE).write_text("old")
    with (
        pytest.raises(RuntimeError),
        bundle.staged(out, overwrite=True) as folder,
    ):
        (folder / bundle.RECIPE).write_text("half")
        raise RuntimeError
    assert _content(out) == {bundle.RECIPE: "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overwriting_replaces_ours_removes_stale_ours_and_keeps_what_is_foreign(
    tmp_path: Path,
) -> None:
    for name in (bundle.RECIPE, bundle.TABLES, TORCHSCRIPT.file(), "notes.txt"):
        (tmp_path / name).write_text("old")
    with bundle.staged(tmp_path, overwrite=True) as folder:
        (folder / bundle.RECIPE).write_text("new")
    assert _content(tmp_path) == {bundle.RECIPE: "new", "notes.txt": "old"}


def test_an_empty_folder_needs_no_permission(tmp_path: Path) -> None:
    with bundle.staged(tmp_path, overwrite=False) as folder:
        (folder / bundle.RECIPE).write_text("new")
    assert _content(tmp_path) == {bundle.RECIPE: "new"}


def test_a_file_in_the_way_is_refused_even_with_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    with pytest.raises(InputError, match="expected a folder, found a file"):
        bundle.check_target(out, overwrite=True)


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match="found a link to nothing"):
        bundle.check_target(out, overwrite=True)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(InputError, match=r"cannot be written: .+; choose another --out"),
        bundle.staged(tmp_path / "file" / "out", overwrite=False),
    ):
        pass


def test_a_folder_on_another_file_system_is_staged_inside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    # What a mount point looks like from here: the folder above cannot be written.
    monkeypatch.setattr(bundle.os, "access", lambda path, mode: path != tmp_path.resolve())
    with bundle.staged(out, overwrite=False) as folder:
        assert folder.parent.parent == out
        (folder / bundle.RECIPE).write_text("new")
    assert _content(out) == {bundle.RECIPE: "new"}


@pytest.mark.parametrize(
    ("cause", "todo"),
    [
        (errno.ENOSPC, "make room for it, or choose another --out"),
        (errno.EDQUOT, "make room for it"),
        (errno.EFBIG, "raise the limit of the file size, or choose another --out"),
        (errno.EROFS, "choose another --out"),
    ],
)
def test_a_disk_that_takes_no_more_is_told_in_one_line(
    tmp_path: Path, cause: int, todo: str
) -> None:
    full = OSError(cause, os.strerror(cause))
    with (
        pytest.raises(InputError, match=f"cannot be written: {os.strerror(cause)}; {todo}"),
        bundle.staged(tmp_path / "out", overwrite=False),
    ):
        raise full
    assert list(tmp_path.iterdir()) == []
