"""Answers on disk: what an earlier evaluation left is used exactly where it still holds."""

import errno
import fcntl
import hashlib
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks import prediction_journal
from eightbit.benchmarks.channel import receive_pieces
from eightbit.benchmarks.environment import read_environment
from eightbit.benchmarks.prediction import (
    Answer,
    ChunkItems,
    FileOutcome,
    Predicted,
    answer_of,
    in_chunks,
)
from eightbit.benchmarks.prediction_journal import (
    Journal,
    JournalHeader,
    header_of,
    journal_path,
)
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.sources import ImageSource, open_source
from eightbit.models.spec import Preprocessing

MODELS = ("onnx", "fp32")
CHUNKS = 4
IMAGES = 50  # three chunks of sixteen and one of two


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(IMAGES):
        Image.new("RGB", (3, 3), (index, 0, 0)).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture
def source(pictures: Path) -> Iterator[ImageSource]:
    with open_source(pictures) as source:
        yield source


@pytest.fixture
def chunks(source: ImageSource) -> Sequence[ChunkItems]:
    return in_chunks(source.items)


@pytest.fixture
def header(source: ImageSource, tmp_path: Path) -> JournalHeader:
    models = {}
    for name in MODELS:
        models[name] = tmp_path / f"{name}.onnx"
        models[name].write_text(name)
    return header_of(models, Preprocessing(), source.items, threads=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return journal_path(tmp_path, tmp_path / "pictures")


def _answer(source: ImageSource, index: int, items: ChunkItems) -> Answer:
    files = [FileOutcome(digest=hashlib.sha256(source.read(item)).hexdigest()) for item in items]
    logits = np.random.default_rng(index).standard_normal((2, len(items), 5), dtype=np.float32)
    return answer_of(index, files, list(logits), peak_rss_bytes=1)


@pytest.fixture
def answers(source: ImageSource, chunks: Sequence[ChunkItems]) -> list[Answer]:
    return [_answer(source, index, items) for index, items in enumerate(chunks)]


def _write(path: Path, header: JournalHeader, answers: Sequence[Answer]) -> None:
    with Journal(path, header) as journal:
        for answer in answers:
            journal.append(answer)


def _replayed(
    path: Path, header: JournalHeader, source: ImageSource, chunks: Sequence[ChunkItems]
) -> list[bytes]:
    with Journal(path, header) as journal:
        found = [answer for answer, _ in journal.answers(source, chunks, MODELS)]
    return [b"".join(answer.pieces) for answer in found]


def _bytes(answers: Sequence[Answer]) -> list[bytes]:
    return [b"".join(answer.pieces) for answer in answers]


def test_what_was_answered_is_found_again(path, header, source, chunks, answers):
    with Journal(path, header) as journal:
        assert not journal.has_answers
        for answer in answers[:3]:
            journal.append(answer)
    with Journal(path, header) as journal:
        assert journal.has_answers
        assert journal.discarded is None
        found = [prediction for _, prediction in journal.answers(source, chunks, MODELS)]
        journal.append(answers[3])
    assert [one.names for one in found] == [tuple(i.name for i in items) for items in chunks[:3]]
    assert found[1].logits["fp32"].tobytes() == bytes(answers[1].pieces[1])
    assert _replayed(path, header, source, chunks) == _bytes(answers)


def test_a_torn_record_is_cut_off_and_written_again(path, header, source, chunks, answers):
    _write(path, header, answers[:2])
    whole = path.stat().st_size
    _write(path, header, [])
    with Journal(path, header) as journal:
        assert len(list(journal.answers(source, chunks, MODELS))) == 2
        journal.append(answers[2])
    content = path.read_bytes()
    line = content.index(b"\n", whole)
    for cut in (whole + 1, line, line + 1, line + 7, len(content) - 1):
        path.write_bytes(content[:cut])
        with Journal(path, header) as journal:
            assert len(list(journal.answers(source, chunks, MODELS))) == 2
            assert path.stat().st_size == whole
            journal.append(answers[2])
        assert path.read_bytes() == content


@pytest.mark.parametrize("length", [0, 1, 200])
def test_a_torn_header_is_a_new_journal(path, header, source, chunks, answers, length):
    _write(path, header, answers)
    path.write_bytes(path.read_bytes()[:length])
    with Journal(path, header) as journal:
        assert (journal.discarded, journal.has_answers) == (None, False)
        journal.append(answers[0])
    assert _replayed(path, header, source, chunks) == _bytes(answers[:1])


OTHER = read_environment().model_copy(update={"cpu": "Another CPU"})
NEWER = read_environment().model_copy(update={"versions": {"onnxruntime": "99"}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"models": (("onnx", "0" * 64), ("fp32", "1" * 64))}, "other models"),
        ({"preprocessing": Preprocessing(crop=223)}, "another preprocessing"),
        ({"images": IMAGES + 1}, "other images"),
        ({"listing_sha256": "0" * 64}, "other images"),
        ({"chunk_images": 8}, "another batch size"),
        ({"threads": 2}, "another number of threads"),
        ({"variables": (("ONEDNN_MAX_CPU_ISA", "AVX2"),)}, "other variables"),
        ({"environment": OTHER}, "another machine or other versions"),
        ({"environment": NEWER}, "another machine or other versions"),
    ],
)
def test_answers_of_another_evaluation_are_discarded_and_it_is_told(
    path, header, source, chunks, answers, change, reason
):
    _write(path, header.model_copy(update=change), answers)
    with Journal(path, header) as journal:
        assert journal.discarded is not None
        assert reason in journal.discarded
        assert not journal.has_answers
        journal.append(answers[0])
    assert _replayed(path, header, source, chunks) == _bytes(answers[:1])


def test_the_header_says_on_what_the_answers_depend(header, source, tmp_path, monkeypatch):
    models = {name: tmp_path / f"{name}.onnx" for name in MODELS}

    def again(preprocessing: Preprocessing | None = None, threads: int = 1) -> JournalHeader:
        settings = preprocessing or Preprocessing()
        return header_of(models, settings, source.items, threads=threads)

    assert again() == header
    assert again(Preprocessing(resize=99)) != header
    assert again(threads=2) != header
    assert header_of(models, Preprocessing(), source.items[1:], threads=1) != header
    models["onnx"].write_text("other weights")
    assert again().models != header.models
    models["onnx"].write_text("onnx")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert again().variables != header.variables


def _spoiled(answer: Answer, **changes: object) -> Answer:
    return Answer(message=answer.message.model_copy(update=changes), pieces=answer.pieces)


def _with_nan(answer: Answer) -> Answer:
    files = answer.message.files
    logits = [np.full((len(files), 5), np.nan, dtype=np.float32)] * 2
    return answer_of(answer.message.chunk, files, logits, peak_rss_bytes=1)


@pytest.mark.parametrize(
    "spoil",
    [
        _with_nan,
        lambda answer: _spoiled(answer, chunk=2),
        lambda answer: _spoiled(answer, sha256="0" * 64),
        lambda answer: _spoiled(answer, files=answer.message.files[1:]),
        lambda answer: _spoiled(answer, classes=(5, 10**9)),
        lambda answer: _spoiled(answer, input_error="from a stranger"),
        lambda answer: _spoiled(
            answer, files=(FileOutcome(digest="0" * 64), *answer.message.files[1:])
        ),
        lambda answer: _spoiled(
            answer, files=(FileOutcome(digest=None, unusable="gone"), *answer.message.files[1:])
        ),
    ],
    ids=[
        *("not finite", "another chunk", "another digest of the logits", "fewer images"),
        *("more classes than logits", "an error", "another image", "an image that was unusable"),
    ],
)
def test_a_record_that_does_not_hold_ends_what_is_used(
    path, header, source, chunks, answers, spoil
):
    _write(path, header, [answers[0], spoil(answers[1]), *answers[2:]])
    assert _replayed(path, header, source, chunks) == _bytes(answers[:1])
    assert _replayed(path, header, source, chunks) == _bytes(answers[:1])  # the rest is cut off


def test_an_image_that_changed_since_is_run_again(path, header, source, chunks, answers, pictures):
    _write(path, header, answers)
    Image.new("RGB", (3, 3), (0, 0, 99)).save(pictures / chunks[2][5].name)
    assert _replayed(path, header, source, chunks) == _bytes(answers[:2])


def test_an_image_that_could_not_be_read_counts_only_while_it_cannot(
    path, header, source, chunks, answers, monkeypatch
):
    files = (FileOutcome(digest=None, unusable="gone"), *answers[0].message.files[1:])
    logits = np.ones((2, len(files) - 1, 5), dtype=np.float32)
    lacking = answer_of(0, files, list(logits), peak_rss_bytes=1)
    _write(path, header, [lacking, *answers[1:]])
    plain_read = source.read

    def read(item):
        if item == chunks[0][0]:
            raise UnusableImage("gone")
        return plain_read(item)

    with monkeypatch.context() as patch:
        patch.setattr(source, "read", read)
        assert _replayed(path, header, source, chunks) == _bytes([lacking, *answers[1:]])
    assert _replayed(path, header, source, chunks) == []


def test_more_records_than_images_are_cut_off(path, header, source, chunks, answers):
    _write(path, header, answers)
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"more")
    assert _replayed(path, header, source, chunks) == _bytes(answers)
    assert path.stat().st_size == end


HUGE = Predicted(chunk=0, piece_bytes=(2**60, 2**60)).model_dump_json().encode() + b"\n"


@pytest.mark.parametrize(
    "record",
    [HUGE, b"\0" * 4096, b"{}\n", b"[" * 2**21, pickle.dumps(print), b"\xff\n", b" " * 2**25],
    ids=["huge", "zeros", "empty", "brackets", "pickle", "no text", "one long line"],
)
@pytest.mark.parametrize("place", ["header", "record"])
def test_what_a_stranger_wrote_does_no_harm(path, header, source, chunks, answers, record, place):
    if place == "header":
        path.write_bytes(record)
        expected = []
    else:
        _write(path, header, answers[:1])
        path.write_bytes(path.read_bytes() + record)
        expected = answers[:1]
    assert _replayed(path, header, source, chunks) == _bytes(expected)


def test_only_one_evaluation_writes_at_a_time(path, header, source, chunks, answers):
    with Journal(path, header) as journal:
        journal.append(answers[0])
        with pytest.raises(InputError, match=r"no other evaluation of this bundle .* wait"):
            Journal(path, header)
        journal.append(answers[1])
    assert _replayed(path, header, source, chunks) == _bytes(answers[:2])


def test_a_journal_that_was_deleted_meanwhile_is_made_anew(path, header, monkeypatch):
    """Whoever waited for the lock must not write into a file that nobody will find."""
    first = Journal(path, header)
    calls = []

    def lock(file, operation):
        calls.append(operation)
        if len(calls) == 1:
            first.delete()

    monkeypatch.setattr(fcntl, "flock", lock)
    with Journal(path, header):
        assert len(calls) == 2
        assert path.stat().st_size > 0
    first.close()


def test_it_is_deleted_in_the_end(path, header):
    with Journal(path, header) as journal:
        journal.delete()
    assert not path.exists()


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def _hard_link(path: Path, target: Path) -> None:
    path.hardlink_to(target)


def _pipe(path: Path, target: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path, target: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_link, _hard_link, _pipe, _folder])
def test_a_bundle_from_a_stranger_has_nothing_else_written(path, header, tmp_path, make):
    target = tmp_path / "precious"
    target.write_text("precious")
    make(path, target)
    with pytest.raises(InputError, match=r"expected"):
        Journal(path, header)
    assert target.read_text() == "precious"


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(header, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(InputError, match=r"expected a folder to write the report in.*copy"):
            Journal(folder / ".evaluation-0", header)


def test_a_full_disk_is_told(path, header, answers, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path, header) as journal:
        monkeypatch.setattr(prediction_journal, "send_pieces", full)
        with pytest.raises(InputError, match="No space left on device; make room"):
            journal.append(answers[0])


def test_each_source_of_images_has_its_own(tmp_path):
    one, other = (journal_path(tmp_path, tmp_path / name) for name in ("one.tar", "other.tar"))
    assert one != other
    assert one == journal_path(tmp_path, tmp_path / "x" / ".." / "one.tar")
    assert one.name.startswith(".evaluation-")


def test_the_file_is_what_the_module_says(path, header, answers):
    _write(path, header, answers[:1])
    with path.open("rb") as file:
        assert receive_pieces(file, JournalHeader) == (header, [])
        told, pieces = receive_pieces(file, Predicted)
        assert told.chunk == 0
        assert pieces == [bytes(piece) for piece in answers[0].pieces]
        assert file.read() == b""
