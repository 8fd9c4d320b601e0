"""Files of which nothing is known: read whole if they are files and no larger than is asked for."""

import os
from pathlib import Path

import pytest

from eightbit.models.bounded_files import read_bounded
from eightbit.models.errors import InputError


def test_a_file_of_exactly_the_most_bytes_is_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5, "a file") == b"12345"


def test_one_byte_more_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"123456")
    with pytest.raises(InputError, match="of at most 5 bytes, found 6 bytes"):
        read_bounded(path, 5, "a file")


def test_a_file_whose_size_nobody_knows_is_bounded_too():
    """Of the files of /proc the size is said to be 0."""
    with pytest.raises(InputError, match="of at most 5 bytes"):
        read_bounded(Path("/proc/self/status"), 5, "a file")


def test_a_hole_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(InputError, match="of at most 5 bytes, found 1,099,511,627,776"):
        read_bounded(path, 5, "a file")


@pytest.mark.parametrize(
    ("name", "kind"), [("/dev/zero", "a device"), (".", "a folder"), ("pipe", "a pipe")]
)
def test_what_is_no_file_is_refused_and_not_waited_for(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(InputError, match=f"expected a recipe, found {kind}"):
        read_bounded(Path(name), 5, "a recipe")


@pytest.mark.parametrize("name", ["gone", "a\0b", "x" * 5000, "file/below"])
def test_a_path_that_leads_nowhere_is_refused_in_one_line(name, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a recipe, found") as caught:
        read_bounded(tmp_path / name, 5, "a recipe")
    assert str(caught.value).isprintable()
