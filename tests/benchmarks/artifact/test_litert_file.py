"""What a LiteRT file says of itself: found in its bytes, or refused, whatever they are."""

import random
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import pytest
from ai_edge_litert import schema_py_generated as schema

from eightbit.benchmarks.artifact.formats import LITERT
from eightbit.benchmarks.artifact.litert_file import IDENTIFIER, read_litert_document
from eightbit.models import InputError

LIMIT = 1000


@pytest.fixture
def file(write_model: Callable[..., Path], tmp_path: Path) -> Path:
    return write_model(LITERT.runtime, tmp_path, '{"name": "tiny"}')


def read(path: Path) -> bytes | None:
    return read_litert_document(path, path.name, LIMIT)


def packed(path: Path, model: schema.ModelT) -> Path:
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    path.write_bytes(bytes(builder.Output()))
    return path


def test_the_document_is_found(file: Path) -> None:
    assert read(file) == b'{"name": "tiny"}'


def test_a_file_of_others_says_nothing(write_model: Callable[..., Path], tmp_path: Path) -> None:
    assert read(write_model(LITERT.runtime, tmp_path)) is None


def test_a_long_document_is_cut_behind_the_limit(
    write_model: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_model(LITERT.runtime, tmp_path, "x" * 5000)
    assert read(path) == b"x" * (LIMIT + 1)


def test_another_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(InputError, match=r"model\.tflite: expected a LiteRT file, found"):
        read(path)


def test_data_in_other_files_is_refused(file: Path, tmp_path: Path) -> None:
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes())
    external = schema.ExternalBufferT()
    external.id = 1
    model.externalBuffers = [external]
    with pytest.raises(InputError, match="expected a file that is whole in itself"):
        read(packed(tmp_path / "other.tflite", model))


def test_two_entries_are_one_too_many(file: Path, tmp_path: Path) -> None:
    model = schema.ModelT.InitFromPackedBuf(file.read_bytes())
    model.metadata = [*model.metadata, *model.metadata]
    with pytest.raises(InputError, match="found a damaged one"):
        read(packed(tmp_path / "two.tflite", model))


@pytest.mark.parametrize("seed", range(200))
def test_damage_is_refused_or_harmless(file: Path, tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    content = bytearray(file.read_bytes())
    for _ in range(drawn.choice([1, 3, 30])):
        content[drawn.randrange(8, len(content))] = drawn.randrange(256)
    path = tmp_path / "damaged.tflite"
    path.write_bytes(content[: drawn.randrange(8, len(content) + 1)] if seed % 2 else content)
    try:
        found = read(path)
    except InputError as exc:
        assert "\n" not in str(exc)
    else:
        assert found is None or len(found) <= LIMIT + 1
