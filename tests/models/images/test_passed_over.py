"""What a source holds apart from its images: read by content, else counted and named."""

import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.models.images.passed_over import OTHER, Counting, Ending, PassedOver
from eightbit.models.images.sources import Listing, open_source


@pytest.fixture(params=["folder", "tar", "zip"])
def listing(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Listing]:
    """List the same files (folders end in /) as a folder, a tar and a zip."""

    def pack(files: dict[str, bytes]) -> Listing:
        root = tmp_path / "photos"
        for name, data in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).mkdir() if name.endswith("/") else (root / name).write_bytes(data)
        path = root
        if request.param == "tar":
            path = root.with_suffix(".tar")
            with tarfile.open(path, "w") as archive:
                archive.add(root, ".")
        elif request.param == "zip":
            path = root.with_suffix(".zip")
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
                for entry in sorted(root.rglob("*")):
                    packed.write(entry, entry.relative_to(root))
        with open_source(path) as source:
            return source.listing

    return pack


def test_images_are_read_whatever_their_ending(
    listing: Callable[..., Listing], encoded: Callable[..., bytes]
) -> None:
    files = {
        "a.jfif": encoded("JPEG"),
        "a.pjpeg": encoded("JPEG"),
        "a.avif": encoded("AVIF"),
        "a.jp2": encoded("JPEG2000"),
        "a": encoded("PNG"),
        "a.jpg_original": encoded("JPEG"),
        "a.dat": encoded("WEBP"),
        "a.x": encoded("PPM"),
        "a.y": encoded("BMP"),
        "a.heic": encoded("AVIF"),  # by its name alone
    }
    found = listing(files)
    assert [item.name for item in found.items] == sorted(files)
    assert found.passed_over == PassedOver()


def test_other_files_are_counted_by_ending_and_named(
    listing: Callable[..., Listing], encoded: Callable[..., bytes]
) -> None:
    raw = encoded("TIFF")
    found = listing(
        {
            "cat/1.jpg": encoded(),
            "cat/1.dng": raw,  # Pillow would read the preview inside
            "cat/2.NEF": raw,
            "cat/3.nef": raw,
            "dog/1.heic": b"\0\0\0\x18ftypheic",
            "README": b"text",
            ".DS_Store": b"x",
            "cat/._1.jpg": b"x",
            "cat/Thumbs.db": b"x",
            "__MACOSX/cat/1.jpg": b"x",
            ".git/HEAD": b"x",
            "bird/": b"",
        }
    )
    assert [item.name for item in found.items] == ["cat/1.jpg"]
    assert found.passed_over.hidden == 5
    assert {(entry.ending, entry.files) for entry in found.passed_over.endings} == {
        (".nef", 2),
        ("", 1),
        (".dng", 1),
        (".heic", 1),
    }
    assert found.passed_over.endings[0].ending == ".nef"
    assert "1 .heic (such as 'dog/1.heic')" in found.passed_over.in_words()
    assert "1 without ending (such as 'README')" in found.passed_over.in_words()
    assert found.empty_folders == ("bird", "dog")


def test_folders_without_images_are_listed_on_both_sides_of_a_wrapping(
    listing: Callable[..., Listing], encoded: Callable[..., bytes]
) -> None:
    found = listing(
        {"a/cat/1.jpg": encoded(), "a/dog/1.txt": b"", "b/c/": b"", ".hidden/c/": b"", "b.txt": b""}
    )
    assert (found.wrapping, found.empty_folders) == ("a", ("dog",))
    assert found.beside_wrapping == ("b",)


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    (tmp_path / "secret").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "secret").chmod(0)
    with open_source(tmp_path) as source:
        expected = 2 if os.access(tmp_path / "secret", os.R_OK) else 1  # root reads everything
        assert len(source.items) == expected


def test_any_number_of_endings_is_counted_in_bounded_memory() -> None:
    counting = Counting()
    for index in range(5000):
        counting.add(f"x.e{index}", hidden=False)
    counting.add("x." + "long" * 9, hidden=False)
    counting.add("y.e7", hidden=False)
    found = counting.result()
    assert found.files == 5002
    assert found.endings[0] == Ending(ending=".e7", files=2, example="x.e7")
    assert (len(found.endings), found.endings[-1].ending) == (13, OTHER)
    assert len(found.in_words()) < 300
