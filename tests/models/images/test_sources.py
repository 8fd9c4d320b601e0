import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images import storage
from eightbit.models.images.sources import ImageItem, open_source

Pack = Callable[[dict[str, bytes]], Path]
KINDS = ("folder", "tar", "zip")


def add_to_tar(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def pack_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            add_to_tar(archive, name, data)
    return path


def pack_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def pack_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.fixture(params=KINDS)
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Pack:
    """Store the same files as a folder, a tar and a zip: all three behave alike."""
    if request.param == "folder":
        return lambda files: pack_folder(tmp_path / "photos", files)
    if request.param == "tar":
        return lambda files: pack_tar(tmp_path / "photos.tar", files)
    return lambda files: pack_zip(tmp_path / "photos.zip", files)


def names_and_folders(path: Path) -> list[tuple[str, str | None]]:
    with open_source(path) as source:
        return [(item.name, item.folder) for item in source.items]


def test_a_flat_source_has_sorted_images_without_class_folders(pack: Pack) -> None:
    path = pack({"b.JPG": b"2", "a.png": b"1", "notes.txt": b"no", "c": b"no", "Z.tiff": b"0"})
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["Z.tiff", "a.png", "b.JPG"]
        assert {item.folder for item in source.items} == {None}
        assert [source.read(item) for item in source.items] == [b"0", b"1", b"2"]
        assert source.name == path.name


def test_class_folders_are_the_first_component_however_deep_a_file_lies(pack: Pack) -> None:
    path = pack({"dog/1.jpg": b"", "cat/deep/er/2.jpg": b"", "cat/1.jpg": b""})
    assert names_and_folders(path) == [
        ("cat/1.jpg", "cat"),
        ("cat/deep/er/2.jpg", "cat"),
        ("dog/1.jpg", "dog"),
    ]


def test_one_folder_that_wraps_class_folders_is_dropped(pack: Pack) -> None:
    path = pack({"dataset/cat/1.jpg": b"meow", "dataset/dog/1.jpg": b"", "dataset/README": b""})
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["cat/1.jpg", "dog/1.jpg"]
        assert [item.folder for item in source.items] == ["cat", "dog"]
        assert source.read(source.items[0]) == b"meow"


@pytest.mark.parametrize(
    "names",
    [("cat/1.jpg", "cat/2.jpg"), ("cat/1.jpg", "cat/old/2.jpg")],
    ids=["only class", "only class with a nested file"],
)
def test_a_single_class_folder_is_no_wrapping_folder(names: tuple[str, ...], pack: Pack) -> None:
    path = pack(dict.fromkeys(names, b""))
    assert names_and_folders(path) == [(name, "cat") for name in names]


def test_an_image_beside_class_folders_has_no_folder(pack: Pack) -> None:
    path = pack({"cat/1.jpg": b"", "stray.jpg": b""})
    assert names_and_folders(path) == [("cat/1.jpg", "cat"), ("stray.jpg", None)]


def test_hidden_files_and_what_macos_adds_are_passed_over(pack: Pack) -> None:
    hidden = ("__MACOSX/cat/._1.jpg", "cat/._1.jpg", ".git/x.jpg", "cat/.x.png", "__MACOSX/1.jpg")
    path = pack({**dict.fromkeys(hidden, b""), "cat/1.jpg": b""})
    assert names_and_folders(path) == [("cat/1.jpg", "cat")]


@pytest.mark.parametrize("files", [{}, {"notes.txt": b""}, {".hidden.jpg": b""}], ids=str)
def test_a_source_without_images_says_which_formats_count(
    files: dict[str, bytes], pack: Pack, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(
        InputError,
        match=r"expected images \(JPEG, .*, found (none|1 \.txt \(such as 'notes\.txt'\))$",
    ):
        open_source(pack(files))


def test_a_file_over_the_limit_is_unusable_and_the_others_are_not(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MAX_FILE_BYTES", 100)
    path = pack({"big.jpg": bytes(101), "exact.jpg": bytes(100)})
    with open_source(path) as source:
        with pytest.raises(UnusableImage, match="larger than"):
            source.read(source.items[0])
        assert source.read(source.items[1]) == bytes(100)


def test_too_many_files_are_refused(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "MAX_FILES", 3)
    files = {f"{index}.jpg": b"" for index in range(3)}
    open_source(pack(files)).close()
    with pytest.raises(InputError, match="at most 3 files"):
        open_source(pack({**files, "4.jpg": b""}))


def test_names_are_printable_and_still_readable(pack: Pack) -> None:
    path = pack({"a\x1b[31m\n.jpg": b"red", "ü.jpg": b"umlaut"})
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["a\\x1b[31m\\n.jpg", "ü.jpg"]
        assert [source.read(item) for item in source.items] == [b"red", b"umlaut"]


def test_names_that_are_not_utf_8_are_escaped(tmp_path: Path) -> None:
    folder = pack_folder(tmp_path / "photos", {"x.jpg": b""})
    with open(os.fsencode(folder) + b"/\xff.jpg", "wb") as file:
        file.write(b"latin")
    with open_source(folder) as source:
        assert [item.name for item in source.items] == ["\\udcff.jpg", "x.jpg"]
        assert source.read(source.items[0]) == b"latin"
        source.items[0].name.encode()


def test_many_threads_read_what_one_reads(pack: Pack) -> None:
    files = {f"{index:03}.jpg": os.urandom(5000) for index in range(60)}
    with open_source(pack(files)) as source, ThreadPoolExecutor(8) as threads:
        for _ in range(3):
            assert list(threads.map(source.read, source.items)) == list(files.values())


def test_an_item_of_another_source_is_a_mistake_of_the_caller(pack: Pack) -> None:
    with open_source(pack({"1.jpg": b""})) as source, pytest.raises(KeyError):
        source.read(ImageItem(name="2.jpg", folder=None))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_reading_from_a_closed_archive_is_a_mistake_of_the_caller(
    kind: str, tmp_path: Path
) -> None:
    packed = {"tar": pack_tar, "zip": pack_zip}[kind](tmp_path / f"x.{kind}", {"1.jpg": b""})
    source = open_source(packed)
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.read(source.items[0])


@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.parametrize("name", ["../evil.jpg", "a/../../evil.jpg", "..\\evil.jpg"])
def test_names_that_climb_out_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = {"tar": pack_tar, "zip": pack_zip}[kind](tmp_path / f"x.{kind}", {name: b""})
    with pytest.raises(InputError, match="inside the archive"):
        open_source(path)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_absolute_names_and_names_from_windows_are_relative_here(kind: str, tmp_path: Path) -> None:
    files = {"/etc/cat/1.jpg": b"", "./etc/dog/1.jpg": b"", "etc\\cow\\1.jpg": b""}
    path = {"tar": pack_tar, "zip": pack_zip}[kind](tmp_path / f"x.{kind}", files)
    assert names_and_folders(path) == [
        ("cat/1.jpg", "cat"),
        ("cow/1.jpg", "cow"),
        ("dog/1.jpg", "dog"),
    ]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = pack_tar(tmp_path / "x.tar", {"a.jpg": b"1", "./a.jpg": b"2"})
    with pytest.raises(InputError, match=r"two files are called 'a\.jpg'"):
        open_source(path)


def test_only_regular_members_of_a_tar_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo(f"special{ord(kind)}.jpg")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        add_to_tar(archive, "real.jpg", b"x")
    assert names_and_folders(path) == [("real.jpg", None)]


def test_symbolic_links_and_encrypted_members_of_a_zip_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.jpg", b"x")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the encryption flag of the last member
    path.write_bytes(data)
    with open_source(path) as source:
        assert [item.name for item in source.items] == ["secret.jpg"]
        with pytest.raises(UnusableImage, match="encrypted"):
            source.read(source.items[0])


def test_loops_of_symbolic_links_end_and_linked_class_folders_count(tmp_path: Path) -> None:
    linked = pack_folder(tmp_path / "linked", {"1.jpg": b"linked"})
    folder = pack_folder(tmp_path / "photos", {"cat/1.jpg": b""})
    (folder / "cat" / "loop").symlink_to(folder)
    (folder / "dog").symlink_to(linked)
    (folder / "dangling.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(folder / "pipe.jpg")
    with open_source(folder) as source:
        assert [item.name for item in source.items] == ["cat/1.jpg", "dog/1.jpg"]
        assert source.read(source.items[1]) == b"linked"


def test_a_file_that_vanished_is_unusable(tmp_path: Path) -> None:
    folder = pack_folder(tmp_path / "photos", {"1.jpg": b""})
    with open_source(folder) as source:
        (folder / "1.jpg").unlink()
        with pytest.raises(UnusableImage, match="No such file"):
            source.read(source.items[0])


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("missing", None, "found nothing"),
        ("missing.tar", None, "found nothing"),
        ("photo.jpg", b"x", "file of type .jpg"),
        ("photos.tar.gz", b"x", "file of type .gz"),
        ("empty.tar", b"", "cannot be read"),
        ("empty.zip", b"", "cannot be read"),
        ("text.tar", b"hello" * 1000, "cannot be read"),
        ("text.zip", b"hello" * 1000, "cannot be read"),
        ("noise.tar", bytes(range(256)) * 40, "cannot be read"),
    ],
)
def test_what_is_no_source_is_refused_in_one_line(
    name: str, data: bytes | None, found: str, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=f"expected a folder.*{found}") as caught:
        open_source(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_tar_with_a_damaged_header_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = pack_tar(tmp_path / "x.tar", {f"{index}.jpg": b"x" for index in range(4)})
    data = bytearray(path.read_bytes())
    data[2 * 1024 + 150] ^= 0xFF  # the checksum of the third of four members
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged after byte 2048"):
        open_source(path)


def test_a_tar_member_of_negative_size_does_not_loop_for_ever(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.jpg")
    member.size = 0
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # base 256, -1024
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(InputError, match="damaged"):
        open_source(path)


def test_a_cut_tar_is_refused(tmp_path: Path) -> None:
    path = pack_tar(tmp_path / "x.tar", {"1.jpg": bytes(3000), "2.jpg": bytes(3000)})
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="cannot be read"):
        open_source(path)


def test_a_damaged_member_of_a_zip_is_unusable(tmp_path: Path) -> None:
    path = pack_zip(tmp_path / "x.zip", {"1.jpg": os.urandom(500)})
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    with open_source(path) as source, pytest.raises(UnusableImage, match="damaged"):
        source.read(source.items[0])


def test_a_zip_member_whose_local_name_is_no_text_is_unusable(tmp_path: Path) -> None:
    path = pack_zip(tmp_path / "x.zip", {"\u00e9\u00e9.jpg": os.urandom(50)})
    data = bytearray(path.read_bytes())
    at = data.index("\u00e9\u00e9.jpg".encode())
    data[at] = 0xFF
    path.write_bytes(data)
    with open_source(path) as source, pytest.raises(UnusableImage, match="damaged"):
        source.read(source.items[0])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choices=st.data(), kind=st.sampled_from(["tar", "zip"]))
def test_mutated_archives_are_read_or_refused_and_nothing_else(
    choices: st.DataObject, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / f"x.{kind}"
    files = {"cat/1.jpg": b"first", "dog/" + "long" * 40 + ".jpg": b"second" * 30}
    {"tar": pack_tar, "zip": pack_zip}[kind](path, files)
    data = bytearray(path.read_bytes()[:4096])
    for _ in range(choices.draw(st.integers(1, 6))):
        data[choices.draw(st.integers(0, len(data) - 1))] = choices.draw(st.integers(0, 255))
    path.write_bytes(data)
    try:
        source = open_source(path)
    except InputError as exc:
        assert "\n" not in str(exc)
        return
    with source:
        for item in source.items:
            try:
                assert isinstance(source.read(item), bytes)
            except UnusableImage as exc:
                assert "\n" not in str(exc)


def test_a_header_of_a_tar_that_declares_a_name_of_gigabytes_is_not_read(tmp_path):
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    path = tmp_path / "photos.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 2**33 + 4096)
    with pytest.raises(InputError, match="found one of 8589934592 bytes"):
        open_source(path)
