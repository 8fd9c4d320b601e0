"""Several tars as one source."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.sources import open_source


def _picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def _tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        files = {f"{n:03}.png": _picture(n) for n in range(number, 12, 3)}
        _tar(tmp_path / f"train-{number + 8:02}.tar", {**files, f"{number:03}.cls": b"7"})
    return tmp_path


def test_shards_are_the_source_that_one_tar_of_all_would_be(folder: Path) -> None:
    _tar(folder / "all.tar", {f"{n:03}.png": _picture(n) for n in range(12)})
    with (
        open_source(folder / "train-{08..10}.tar") as shards,
        open_source(folder / "all.tar") as whole,
    ):
        assert shards.items == whole.items
        assert [shards.read(item) for item in shards.items] == [
            whole.read(item) for item in whole.items
        ]
        assert shards.listing.passed_over.files == 3
        assert shards.name == "train-{08..10}.tar"


def test_a_part_of_the_range_is_a_part_of_the_images(folder: Path) -> None:
    with open_source(folder / "train-{09..09}.tar") as source:
        assert [item.name for item in source.items] == ["001.png", "004.png", "007.png", "010.png"]


def test_a_file_of_that_very_name_is_itself(folder: Path) -> None:
    _tar(folder / "a{0..1}.tar", {"x.png": _picture(1)})
    with open_source(folder / "a{0..1}.tar") as source:
        assert [item.name for item in source.items] == ["x.png"]


def test_a_shard_that_is_cut_off_later_costs_its_images(folder: Path) -> None:
    with open_source(folder / "train-{08..10}.tar") as source:
        (folder / "train-09.tar").write_bytes(b"")
        (folder / "train-10.tar").unlink()
        reasons = []
        for item in source.items[:3]:
            try:
                source.read(item)
            except UnusableImage as exc:
                reasons.append(str(exc))
    assert reasons[0].startswith("the archive ends after 0 of ")
    assert reasons[1].startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train-{08..11}.tar", "train-11.tar: expected a folder, .tar or .zip of images"),
        ("train-{10..08}.tar", "expected a range upwards"),
        ("train-{0..999999999}.tar", "expected a range upwards of at most 100,000"),
        ("train-{08..10}.zip", "expected one range in the name of a .tar"),
        ("{0..1}-{08..10}.tar", "expected one range in the name of a .tar"),
    ],
)
def test_what_is_no_range_of_tars_is_told(name: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError) as raised:
        open_source(folder / name)
    assert message in str(raised.value)


def test_a_folder_among_the_shards_is_told(folder: Path) -> None:
    (folder / "train-11.tar").mkdir()
    with pytest.raises(InputError, match=r"train-11\.tar: expected a \.tar, found a folder"):
        open_source(folder / "train-{08..11}.tar")


def test_an_image_in_two_shards_is_told(folder: Path) -> None:
    _tar(folder / "train-11.tar", {"004.png": _picture(9)})
    with pytest.raises(InputError, match=r"found '004\.png' in train-09\.tar too"):
        open_source(folder / "train-{08..11}.tar")
