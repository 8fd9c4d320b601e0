"""Hidden folders: whose process is gone are brought to their end, and no others."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.quantize import staging as module
from eightbit.quantize.atomic_files import settle
from eightbit.quantize.staging import move_one_by_one, scratch, staging, sweep

OLD = {"model.json": "old", "gone.pt": "old", "notes": "mine"}
NEW = {"model.json": "new", "inner/0.png": "new", "report.json": "new"}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def content(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def killed(folder: Path) -> Path:
    """What a process leaves in a folder that is killed while it stages files there."""
    program = (
        "import os, signal, sys, pathlib\n"
        "from eightbit.quantize.staging import staging\n"
        "with staging(pathlib.Path(sys.argv[1])) as place:\n"
        "    (place / 'half').write_text('half')\n"
        "    print(place, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    return Path(done.stdout.strip())


def test_what_is_staged_is_deleted_when_something_fails(tmp_path):
    with pytest.raises(RuntimeError), staging(tmp_path) as folder:
        (folder / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_deleted_by_the_next(tmp_path):
    left = killed(tmp_path)
    assert (left / "half").exists()
    with staging(tmp_path) as place:
        assert list(tmp_path.iterdir()) == [place]
    assert list(tmp_path.iterdir()) == []


def test_folders_of_living_processes_of_others_and_of_the_user_stay(tmp_path, monkeypatch):
    mine = write(tmp_path / ".eightbit-my_notes", {"notes": "mine", "staging/inner": "mine"})
    link = tmp_path / ".eightbit-linked_1"
    link.symlink_to(write(tmp_path / "elsewhere", {"staging": ""}))
    with staging(tmp_path) as alive:
        other = write(tmp_path / ".eightbit-of_other", {"staging": ""})
        monkeypatch.setattr(module.os, "geteuid", lambda: os.getuid() + 1)
        sweep(tmp_path)
        assert other.exists()
        monkeypatch.undo()
        sweep(tmp_path)
        assert alive.exists()
        assert not other.exists()
    assert content(mine) == {"notes": "mine", "staging/inner": "mine"}
    assert content(link) == {"staging": ""}


def test_without_locks_nobody_can_say_whose_process_is_gone(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    left = write(tmp_path / ".eightbit-12345678", {"staging": "", "half": ""})
    monkeypatch.setattr(module.fcntl, "flock", refuse)
    with staging(tmp_path) as place:
        assert {left, place} == set(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == [left]


def test_one_that_is_taken_for_left_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    lock, early = module._locked, []

    def late(path: Path, operation: int, *, needed: bool = True) -> int:
        if not needed and not early:
            early.append(path)
            sweep(tmp_path)
        return lock(path, operation, needed=needed)

    monkeypatch.setattr(module, "_locked", late)
    with staging(tmp_path) as place:
        assert place not in early
        assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("moves", range(7))
def test_a_process_that_ends_between_two_files_leaves_what_the_next_finishes(
    tmp_path, monkeypatch, moves
):
    out = write(tmp_path / "out", OLD)
    new = write(tmp_path / "new", NEW)
    left = moves

    def ending(name: str) -> None:
        function = getattr(module.os, name)

        def run(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return function(*arguments)

        monkeypatch.setattr(module.os, name, run)

    ending("rename")
    ending("replace")
    try:
        move_one_by_one(new, out, ["gone.pt"])
    except KeyboardInterrupt:
        assert moves < 5  # to the staging folder, that it is ready, and three files
    else:
        assert moves >= 5
    monkeypatch.undo()
    settle(out)
    whole = {**NEW, "notes": "mine"}
    assert content(out) == (OLD if moves < 2 else whole)
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_files_that_cannot_be_moved_are_told_and_wait(tmp_path, monkeypatch):
    out = write(tmp_path / "out", OLD)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "replace", refuse)
        with pytest.raises(PermissionError):
            move_one_by_one(write(tmp_path / "new", NEW), out, ["gone.pt"])
        with pytest.raises(InputError, match="between their old and their new state: Permission"):
            settle(out)
    settle(out)
    assert content(out) == {**NEW, "notes": "mine"}


def test_a_folder_where_a_file_belongs_is_refused_before_anything_moves(tmp_path):
    out = write(tmp_path / "out", {"model.json/mine": "mine"})
    with pytest.raises(OSError, match="expected the place of a file, found a folder"):
        move_one_by_one(write(tmp_path / "new", NEW), out, [])
    assert content(out) == {"model.json/mine": "mine"}


@pytest.mark.parametrize(
    ("files", "gone"),
    [({"way/out": "bad"}, "[]"), ({}, '["way/mine"]'), ({}, '["../mine"]'), ({}, '["/mine"]')],
)
def test_what_a_stranger_left_ready_stays_inside_its_folder(tmp_path, files, gone):
    out, elsewhere = tmp_path / "out", write(tmp_path / "elsewhere", {"mine": "mine"})
    write(tmp_path, {"mine": "mine"})
    place = write(out / ".eightbit-stranger", {"staging": "", "ready": gone})
    write(place / "new", files)
    (out / "way").symlink_to(elsewhere)
    with pytest.raises(InputError, match="expected the place of a file, found a folder"):
        settle(out)
    assert content(elsewhere) == {"mine": "mine"}
    assert (tmp_path / "mine").read_text() == "mine"


def test_temporary_files_of_a_killed_process_are_deleted_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    killed(tmp_path)
    with scratch() as place:
        assert list(tmp_path.iterdir()) == [place]
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_for_temporary_files_it_says_so(monkeypatch):
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(module.tempfile, "gettempdir", none)
    with pytest.raises(InputError, match="TMPDIR: expected a folder"), scratch():
        pass


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
    ids=["the system's", "a library's"],
)
def test_temporary_files_that_find_no_room_are_told_in_one_line(tmp_path, monkeypatch, error):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    with (
        pytest.raises(
            InputError, match="cannot keep temporary files: No space left on device; make room"
        ),
        scratch(),
    ):
        raise error
