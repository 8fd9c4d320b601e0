"""Where journals lie: a place of this user's own, in which nobody else can put one."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from eightbit.benchmarks.evaluation.cache import journal_folder, journal_path, locked_file

DAY_S = 24 * 3600


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "eightbit" / "evaluations"


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_the_users_cache_and_private(cache):
    assert journal_folder() == cache
    assert _mode(cache) == 0o700
    with locked_file(cache / "a.journal"):
        assert _mode(cache / "a.journal") == 0o600
    cache.chmod(0o777)
    (cache / "a.journal").chmod(0o644)
    assert _mode(journal_folder()) == 0o700
    with locked_file(cache / "a.journal"):
        assert _mode(cache / "a.journal") == 0o600


@pytest.mark.parametrize("named", ["", "relative/cache", None])
def test_without_a_named_cache_it_is_the_usual_one(tmp_path, monkeypatch, named):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert journal_folder() == tmp_path / ".cache" / "eightbit" / "evaluations"


def test_each_bundle_and_source_of_images_has_its_own(tmp_path):
    def name(bundle: str, source: str) -> str:
        return journal_path(tmp_path, tmp_path / bundle, tmp_path / source).name

    assert len({name("a", "one.tar"), name("a", "two.tar"), name("b", "one.tar")}) == 3
    assert name("a", "one.tar") == name("x/../a", "./one.tar")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert name("circle", "one.tar").endswith(".journal")


def test_what_another_user_owns_is_not_used(cache, monkeypatch):
    folder = journal_folder()
    locked_file(folder / "a.journal").close()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match=r"belongs to another user.*evaluations'"):
        journal_folder()
    with pytest.raises(PermissionError, match=r"belongs to another user.*a\.journal"):
        locked_file(folder / "a.journal")


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def _hard_link(path: Path, target: Path) -> None:
    path.hardlink_to(target)


def _pipe(path: Path, target: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path, target: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (_link, errno.ELOOP),
        (_hard_link, errno.EINVAL),
        (_pipe, errno.EINVAL),
        (_folder, errno.EISDIR),
    ],
)
def test_nothing_else_is_written(tmp_path, make, cause):
    target = tmp_path / "precious"
    target.write_text("precious")
    make(tmp_path / "a.journal", target)
    with pytest.raises(OSError) as caught:
        locked_file(tmp_path / "a.journal")
    assert caught.value.errno == cause
    assert caught.value.filename == str(tmp_path / "a.journal")
    assert target.read_text() == "precious"
    assert _mode(target) == 0o644


def test_a_link_for_the_folder_is_not_followed(cache, tmp_path):
    cache.parent.mkdir(parents=True)
    cache.symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError, match="is a link; delete it"):
        journal_folder()


def test_a_journal_that_is_open_cannot_be_opened(tmp_path):
    with locked_file(tmp_path / "a.journal"):
        with pytest.raises(BlockingIOError):
            locked_file(tmp_path / "a.journal")
        locked_file(tmp_path / "b.journal").close()
    locked_file(tmp_path / "a.journal").close()


def test_a_journal_that_was_deleted_meanwhile_is_made_anew(tmp_path, monkeypatch):
    """Whoever waited for the lock must not write into a file that nobody will find."""
    path, calls = tmp_path / "a.journal", []
    path.write_text("")

    def lock(file, operation):
        calls.append(operation)
        if len(calls) == 1:
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", lock)
    with locked_file(path) as file:
        assert len(calls) == 2
        assert os.path.samestat(os.fstat(file.fileno()), path.stat())


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def lock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", lock)
    with pytest.raises(OSError, match="No locks"):
        locked_file(tmp_path / "a.journal")


def test_journals_that_nobody_came_back_for_are_deleted(cache):
    folder = journal_folder()
    ages = {"old": 31, "new": 29}
    for name, days in ages.items():
        for suffix in (".journal", ".other"):
            path = folder / f"{name}{suffix}"
            path.write_text("")
            os.utime(path, times=(0, time.time() - days * DAY_S))
    assert journal_folder() == folder
    assert {path.name for path in folder.iterdir()} == {"new.journal", "new.other", "old.other"}


def test_without_a_home_there_is_no_place(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(FileNotFoundError, match="home directory"):
        journal_folder()
