"""Files and folders that are whole, or as they were, whatever fails in between."""

import errno
import os
from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.quantize import atomic_files
from eightbit.quantize.atomic_files import staging, write_file, write_folder, writing

FILES = {"model.json": b"new", "inner/0.png": b"picture"}


def content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_file_is_replaced_at_once_and_leaves_nothing_beside_it(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("old")
    write_file(page, b"new")
    assert page.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [page]


def test_a_file_may_have_the_longest_name_there_is(tmp_path):
    page = tmp_path / ("x" * 250 + ".html")
    write_file(page, b"new")
    assert page.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_those_that_the_user_gives_to_files(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_file(tmp_path / "file", b"new")
        write_folder(tmp_path / "folder", FILES)
    finally:
        os.umask(before)
    for file in (tmp_path / "file", tmp_path / "folder" / "model.json"):
        assert file.stat().st_mode & 0o777 == mode
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_new_folder_appears_with_everything_in_it(tmp_path):
    out = tmp_path / "deep" / "site"
    write_folder(out, FILES)
    assert content(out) == FILES
    assert list(out.parent.iterdir()) == [out]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    out = tmp_path / "site"
    write_folder(out, {"model.json": b"old", "page.css": b"old"})
    write_folder(out, FILES)
    assert content(out) == FILES
    assert list(tmp_path.iterdir()) == [out]


def test_a_failure_between_the_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    out = tmp_path / "site"
    write_folder(out, {"model.json": b"old"})
    rename = atomic_files.os.rename

    def failing(source, target):
        if Path(source).name == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(atomic_files.os, "rename", failing)
    with pytest.raises(OSError, match="No space left on device"):
        write_folder(out, FILES)
    assert content(out) == {"model.json": b"old"}
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_staged_is_deleted_when_something_fails(tmp_path):
    with pytest.raises(RuntimeError), staging(tmp_path) as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path):
    missing = tmp_path / "missing\n" / "file"
    with (
        pytest.raises(InputError, match=r"missing\\n/file: cannot be written: No such file or dir"),
        writing(missing),
    ):
        write_file(missing, b"new")
