import json
from pathlib import Path

import pytest

from eightbit.models import label_files
from eightbit.models.errors import InputError
from eightbit.models.label_files import read_class_names, read_image_labels


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("names.txt", b"cat\nguide dog\n", ("cat", "guide dog")),
        ("names.txt", b"\xef\xbb\xbfcat\r\n dog \r\n\r\n", ("cat", "dog")),
        ("names.json", b'["cat", "dog"]', ("cat", "dog")),
        ("names.JSON", '["Köter"]'.encode(), ("Köter",)),
        ("names.txt", b"crane\ncrane", ("crane", "crane")),
    ],
)
def test_class_names_are_read_in_their_order(
    name: str, content: bytes, expected: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_class_names(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("names.txt", None, "found no such file"),
        ("names.txt", b"", "found none"),
        ("names.txt", b"cat\n\ndog", "entry 2"),
        ("names.txt", b"caf\xe9", "UTF-8, found byte 3"),
        ("names.txt", b"x" * 101, "of at most 100 bytes"),
        ("names.json", b'["cat", ', "not valid JSON"),
        ("names.json", b"[" * 100, "not valid JSON"),
        ("names.json", b'{"0": "cat"}', "JSON list of strings"),
        ("names.json", b'["cat", 3]', "JSON list of strings"),
        ("names.json", b'["cat", " ", "dog"]', "entry 2"),
        ("names.json", b"[]", "found none"),
    ],
)
def test_a_bad_file_of_class_names_is_refused_in_one_line(
    name: str,
    content: bytes | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(label_files, "MAX_LABEL_FILE_BYTES", 100)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_class_names(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_directory_is_no_file_of_class_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory"):
        read_class_names(tmp_path)


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="not valid JSON"):
        read_class_names(tmp_path / "names.json")


@pytest.mark.parametrize(
    "content",
    [
        "file,label\n1.jpg,cat\na/2.jpg,guide dog\n",
        "\ufeffFilename , Label\r\n./1.jpg, cat\r\na\\2.jpg,guide dog\r\n",
        'image,colour,label\n1.jpg,red,cat\n"a/2.jpg",blue,"guide dog"\n',
    ],
)
def test_image_labels_are_read_from_the_columns_that_count(content: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_image_labels(path) == {"1.jpg": "cat", "a/2.jpg": "guide dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("file,label\n", "only the header"),
        ("1.jpg,cat\n2.jpg,dog\n", "columns file and label, found 1.jpg, cat"),
        ("file,label\n1.jpg\n", "line 2.*empty field"),
        ("file,label\n1.jpg,cat\n,dog\n", "line 3.*empty field"),
        ("file,label\n1.jpg,cat\n1.jpg,dog\n", "line 3: '1.jpg' is labelled 'cat' and 'dog'"),
        ('file,label\n"1.jpg"x,cat\n', "after line 1: not valid CSV"),
        ("file,label\n1.jpg," + "x" * 200_000, "not valid CSV"),
    ],
)
def test_a_bad_label_file_is_refused_in_one_line(
    content: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(InputError, match=message) as caught:
        read_image_labels(path)
    assert "\n" not in str(caught.value)


def test_json_round_trips_names_that_the_text_form_would_strip(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(json.dumps(["0", "a,b", "c#d"]))
    assert read_class_names(tmp_path / "names.json") == ("0", "a,b", "c#d")
