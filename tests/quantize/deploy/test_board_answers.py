"""The answers of another machine: hostile until checked."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eightbit.models.errors import InputError
from eightbit.quantize.deploy.board_answers import read_self_test_answers

PICTURES, CLASSES = 3, 4

Document = dict[str, Any]


def document() -> Document:
    return {
        "format_version": 1,
        "model_sha256": "ab" * 32,
        "self_test_sha256": "cd" * 32,
        "machine": "aarch64",
        "processor": "0x41 0xd08",
        "versions": {"python": "3.11.2", "onnxruntime": "1.31.1"},
        "pixels_sha256": ["cd" * 32] * PICTURES,
        "logits": [[1.5, -2, 0.25, 3e-7]] * PICTURES,
    }


def write(folder: Path, content: Document | str | bytes) -> Path:
    path = folder / "board.json"
    if isinstance(content, dict):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    """The one line that refuses a file, without its name."""
    with pytest.raises(InputError) as caught:
        read_self_test_answers(path, pictures=PICTURES, classes=CLASSES)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    return line.removeprefix(f"{path}: ")


def test_what_a_board_printed_is_read(tmp_path: Path) -> None:
    answers = read_self_test_answers(
        write(tmp_path, document()), pictures=PICTURES, classes=CLASSES
    )
    assert (answers.machine, answers.processor) == ("aarch64", "0x41 0xd08")
    expected = np.array([[1.5, -2, 0.25, 3e-7]] * PICTURES, np.float32)
    np.testing.assert_array_equal(answers.as_array(), expected)
    assert answers.as_array().dtype == np.float32


def test_an_indented_document_of_the_longest_numbers_is_not_too_large(tmp_path: Path) -> None:
    longest = float(np.float32(-1.2345678e-38))
    content = {**document(), "logits": [[longest] * CLASSES] * PICTURES}
    path = write(tmp_path, json.dumps(content, indent=4))
    answers = read_self_test_answers(path, pictures=PICTURES, classes=CLASSES)
    assert answers.logits[0][0] == longest


CHANGES: dict[str, tuple[Callable[[Document], object], str]] = {
    "a newer version": (
        lambda one: one.update(format_version=2),
        "expected format_version 1 or lower, found 2; a newer eightbit wrote it: upgrade eightbit",
    ),
    "an older version": (lambda one: one.update(format_version=0), "format_version: .*1"),
    "no version": (lambda one: one.pop("format_version"), "format_version: expected this key"),
    "no logits": (lambda one: one.pop("logits"), "logits: expected this key"),
    "an unknown key": (lambda one: one.update(command="rm"), "command: expected no such key"),
    "no digest": (lambda one: one.update(model_sha256="none"), "model_sha256: String should"),
    "a machine with a path": (lambda one: one.update(machine="../x"), "machine: String should"),
    "a machine of dots": (lambda one: one.update(machine="..."), "machine: String should"),
    "a machine that is a pair": (
        lambda one: one.update(machine="a_vs_b"),
        "machine: expected an architecture",
    ),
    "a machine that ends a pair": (
        lambda one: one.update(machine="a_vs"),
        "machine: expected an architecture",
    ),
    "a long machine": (lambda one: one.update(machine="a" * 33), "machine: String should"),
    "a long processor": (lambda one: one.update(processor="a" * 201), "processor: String should"),
    "many versions": (
        lambda one: one.update(versions={f"p{n}": "1" for n in range(17)}),
        "versions: .* at most 16 items",
    ),
    "a version with a terminal sequence": (
        lambda one: one.update(versions={"python": "\x1b[31m"}),
        "versions.python: String should",
    ),
    "a package with a line break": (
        lambda one: one.update(versions={"py\nthon": "3"}),
        "versions.*: String should",
    ),
    "a picture too few": (lambda one: one["logits"].pop(), "logits: expected 3, .*found 2"),
    "a picture too many": (
        lambda one: one["pixels_sha256"].append("cd" * 32),
        "pixels_sha256: expected 3, .*found 4",
    ),
    "a class too few": (
        lambda one: one["logits"].__setitem__(1, [1.0] * 3),
        "logits: expected 4 for each picture, as the model has, found 3",
    ),
    "no class": (lambda one: one["logits"].__setitem__(0, []), "logits: expected 4 .*found 0"),
    "a logit that is text": (
        lambda one: one["logits"].__setitem__(0, ["1.0"] * 4),
        "logits.0.0: Input should be a valid number",
    ),
    "a logit that is NaN": (
        lambda one: one["logits"].__setitem__(0, [float("nan")] * 4),
        "logits.0.0: Input should be a finite number",
    ),
    "a logit that is infinite": (
        lambda one: one["logits"].__setitem__(2, [0.0, 0.0, 0.0, float("-inf")]),
        "logits.2.3: Input should be a finite number",
    ),
    "a logit that no float32 holds": (
        lambda one: one["logits"].__setitem__(0, [1e39] * 4),
        "logits.0.0: Input should be less",
    ),
    "logits that are one list": (lambda one: one.update(logits=[1.0] * 12), "logits.0: .*array"),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_a_document_that_is_not_such_a_one_is_refused(
    tmp_path: Path, change: Callable[[Document], object], expected: str
) -> None:
    content = json.loads(json.dumps(document()))
    change(content)
    found = refusal(write(tmp_path, content))
    assert re.match(expected, found), found


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe{}", b"[" * 20_000, b"null", b"classify: expected onnxruntime", b"\0"],
    ids=["empty", "half", "not UTF-8", "nested", "null", "a refusal", "a zero byte"],
)
def test_what_is_no_such_document_is_refused(tmp_path: Path, content: bytes) -> None:
    found = refusal(write(tmp_path, content))
    if content != b"\xff\xfe{}":
        assert found.startswith("expected what `python model.zip --self-test --json` printed, ")
        assert found.endswith("; run it again")


def test_the_self_test_itself_is_no_answer(tmp_path: Path) -> None:
    assert "the self-test itself; run it again" in refusal(
        write(tmp_path, {"format_version": 1, "images": []})
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_a_shell_of_windows_wrote_is_read(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, json.dumps(document()).encode(encoding))
    answers = read_self_test_answers(path, pictures=PICTURES, classes=CLASSES)
    assert answers.machine == "aarch64"


def test_a_file_of_many_bytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "endless.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no space
    assert refusal(path).endswith("of at most 66,016 bytes, found 1,099,511,627,776 bytes or more")


def test_a_missing_file_a_folder_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.json").endswith("found no such file; check the path")
    assert refusal(tmp_path).endswith("found a folder; check the path")
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").endswith("found a pipe; check the path")
    assert refusal(Path("/dev/zero")).endswith("found a device; check the path")


def test_a_name_that_could_move_the_cursor_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2Jb.json"
    path.write_text("{}")
    with pytest.raises(InputError, match=r"a\\x1b\[2Jb\.json: "):
        read_self_test_answers(path, pictures=PICTURES, classes=CLASSES)
