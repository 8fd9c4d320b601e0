"""A page beside the desktop: how it is told, and what is refused before a browser starts."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.studies import web_agreement
from eightbit.benchmarks.studies.web_agreement import Compared, compare, markdown
from eightbit.benchmarks.studies.web_browser import PageAnswer, read_description, served
from eightbit.models.errors import InputError


def row(name: str, *, last_bits: float, levels: int, same: bool = True) -> Compared:
    logits = np.array([1, 2, 3], np.float32)
    return Compared(
        name=name,
        same_class=same,
        last_bits=last_bits,
        levels=levels,
        answer=PageAnswer(
            pixels=np.zeros((2, 2, 3), np.uint8),
            prepare_ms=4.0,
            logits={"int8": logits, "fp32": logits if same else logits[::-1]},
            infer_ms={"int8": 1.5, "fp32": 2.5},
        ),
    )


def test_differences_are_told_with_and_without_those_of_the_decoder() -> None:
    rows = [
        row("a.jpg", last_bits=0.0, levels=0),
        row("b.jpg", last_bits=0.25, levels=0),
        row("c.jpg", last_bits=7.5, levels=3, same=False),
    ]
    text = markdown(rows, "Chromium 1. resnet18, 64 px", "python -m x")
    assert "| 3 | 2 | 2 | 3 of 255 | 7.50 | 0.25 |" in text
    assert "| decode, resize, crop | 4.0 |" in text
    assert "| infer, INT8 | 1.5 |" in text
    assert "| infer, float | 2.5 |" in text
    assert "Float and INT8 in the page say the same on 2." in text
    assert "Another class: `c.jpg` (7.5 last bits)." in text
    assert text.endswith("\n")


def test_where_no_pixels_are_identical_nothing_is_said_of_them() -> None:
    text = markdown([row("a.jpg", last_bits=1.0, levels=1)], "x", "y")
    assert "| 1 | 1 | 0 | 1 of 255 | 1.00 | - |" in text
    assert "Another class" not in text


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "\xff"])
def test_a_folder_that_is_no_page_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"model\.json"):
        read_description(tmp_path)


def test_the_page_of_another_model_is_refused(tmp_path: Path, write_model) -> None:
    write_model(ONNX.runtime, tmp_path).rename(tmp_path / "model.int8.onnx")
    described = {"models": {"int8": {"sha256": "0" * 64}}, "last_bit": 0.1}
    (tmp_path / "model.json").write_text(json.dumps(described))
    with pytest.raises(InputError, match=r"expected the page of .*, found another; write"):
        compare(tmp_path, tmp_path, tmp_path, 1)


def test_photos_are_jpeg_files_at_equal_distances(tmp_path: Path) -> None:
    for number in range(8):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), (number, 0, 0)).save(buffer, "JPEG")
        (tmp_path / f"{number}.jpg").write_bytes(buffer.getvalue())
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.png")
    found = web_agreement._photos(tmp_path, 3)
    assert [name for name, _ in found] == ["0.jpg", "2.jpg", "5.jpg"]
    with pytest.raises(InputError, match="expected 9 JPEG files, found 8"):
        web_agreement._photos(tmp_path, 9)
    (tmp_path / "0.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0\.jpg: expected a photo, found none"):
        web_agreement._photos(tmp_path, 3)


def test_a_folder_is_served_while_the_block_runs(tmp_path: Path) -> None:
    import urllib.error
    import urllib.request

    (tmp_path / "x.txt").write_text("here")
    with served(tmp_path) as url, urllib.request.urlopen(f"{url}x.txt") as answer:
        assert answer.read() == b"here"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}x.txt")
