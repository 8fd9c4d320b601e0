"""Files and folders that are whole, or as they were, whatever fails in between."""

import errno
import fcntl
import os
import threading
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.quantize import atomic_files
from eightbit.quantize.atomic_files import (
    locked_folder,
    replace_files,
    staging_place,
    write_file,
    write_folder,
)
from eightbit.quantize.disk import writing
from eightbit.quantize.exchange import exchange
from eightbit.quantize.staging import NEW, staging

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


@pytest.fixture(params=[True, False], ids=["exchanged", "one by one"])
def exchangeable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system can exchange folders."""
    if not request.param:

        def refuse(*_: Path) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

        monkeypatch.setattr(atomic_files, "exchange", refuse)
    return bool(request.param)


def replace(out: Path, files: dict[str, bytes], gone: Collection[str] = ()) -> None:
    with staging(staging_place(out)) as place:
        for name, content in files.items():
            file = place / NEW / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        replace_files(place / NEW, out, gone=gone)


def test_files_are_replaced_and_whatever_else_is_there_stays(tmp_path, exchangeable):
    out = tmp_path / "out"
    mine = {"notes.txt": b"mine", "plots/loss/one.svg": b"mine"}
    write_folder(out, {**mine, "model.json": b"old", "old.pt": b"old"})
    (out / "best").symlink_to("model.json")
    (out / "empty").mkdir()
    out.chmod(0o750)
    note = (out / "notes.txt").stat().st_ino
    replace(out, FILES, gone=["old.pt", "model.json", "never.there"])
    assert content(out) == {**mine, **FILES, "best": b"new"}
    assert os.readlink(out / "best") == "model.json"
    assert (out / "empty").is_dir()
    assert (out / "notes.txt").stat().st_ino == note
    assert out.stat().st_mode & 0o777 == 0o750
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("cause", ["in it", "written in", "not mine"])
def test_a_folder_that_somebody_is_in_keeps_its_place(tmp_path, monkeypatch, cause):
    out = tmp_path / "out"
    write_folder(out, {"model.json": b"old", "inner/notes": b"mine"})
    before = out.stat().st_ino
    with ExitStack() as stack:
        if cause == "in it":
            monkeypatch.chdir(out / "inner")
        elif cause == "written in":
            stack.enter_context(staging(out))
        else:

            def refuse(*_: object) -> None:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

            monkeypatch.setattr(atomic_files.os, "chown", refuse)
        replace(out, FILES)
    assert out.stat().st_ino == before
    assert content(out) == {**FILES, "inner/notes": b"mine"}


def test_what_is_written_while_the_new_folder_is_made_is_not_lost(tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_folder(out, {"model.json": b"old", "log": b"old"})

    def late(first: Path, second: Path) -> None:
        (second / "log").unlink()
        (second / "log").write_bytes(b"late")
        (second / "sub").mkdir()
        (second / "sub" / "more").write_bytes(b"late")
        exchange(first, second)

    monkeypatch.setattr(atomic_files, "exchange", late)
    replace(out, FILES)
    assert content(out) == {**FILES, "log": b"late", "sub/more": b"late"}


def test_a_link_to_a_folder_stays_one(tmp_path, exchangeable):
    out = tmp_path / "link"
    write_folder(tmp_path / "real", {"model.json": b"old"})
    out.symlink_to("real")
    replace(out, FILES)
    assert out.is_symlink()
    assert content(out) == FILES


def test_who_waits_for_a_folder_gets_the_one_that_took_its_place(tmp_path):
    out = tmp_path / "out"
    write_folder(out, {"model.json": b"old"})
    opened = os.open(out, os.O_RDONLY)
    fcntl.flock(opened, fcntl.LOCK_EX)
    found: list[bool] = []

    def wait() -> None:
        with locked_folder(out):
            other = os.open(out, os.O_RDONLY)
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(other)
            found.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    replace(out, FILES)
    os.close(opened)
    waiting.join(60)
    assert found == [True]


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path):
    missing = tmp_path / "missing\n" / "file"
    with (
        pytest.raises(InputError, match=r"missing\\n/file: cannot be written: No such file or dir"),
        writing(missing),
    ):
        write_file(missing, b"new")
