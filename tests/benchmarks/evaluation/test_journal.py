"""Answers on disk: what an earlier evaluation left is used exactly where it still holds."""

import errno
import hashlib
import os
import pickle
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks.evaluation.cache import journal_path
from eightbit.benchmarks.evaluation.journal import Journal, JournalHeader, header_of, open_journal
from eightbit.benchmarks.evaluation.prediction import (
    Answer,
    ChunkItems,
    FileOutcome,
    Predicted,
    answer_of,
    in_chunks,
)
from eightbit.benchmarks.processes.channel import receive_pieces
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.sources import ImageSource, open_source
from eightbit.models.spec import Preprocessing

MODELS = ("onnx", "fp32")
CLASSES = 5
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
    return tmp_path / "one.journal"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """Where the journals lie, before anything has made it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "eightbit" / "evaluations"


def nothing_is_told(line: str) -> None:
    raise AssertionError(line)


def _answer(source: ImageSource, index: int, items: ChunkItems) -> Answer:
    files = [FileOutcome(digest=hashlib.sha256(source.read(item)).hexdigest()) for item in items]
    logits = np.random.default_rng(index).standard_normal(
        (2, len(items), CLASSES), dtype=np.float32
    )
    return answer_of(index, files, list(logits), peak_rss_bytes=1)


@pytest.fixture
def answers(source: ImageSource, chunks: Sequence[ChunkItems]) -> list[Answer]:
    return [_answer(source, index, items) for index, items in enumerate(chunks)]


def _write(path: Path, header: JournalHeader, answers: Sequence[Answer]) -> None:
    with Journal(path, header, nothing_is_told) as journal:
        for answer in answers:
            journal.append(answer)


def _replayed(
    path: Path, header: JournalHeader, source: ImageSource, chunks: Sequence[ChunkItems]
) -> list[bytes]:
    with Journal(path, header, nothing_is_told) as journal:
        found = [answer for answer, _ in journal.answers(source, chunks, MODELS, CLASSES)]
    return [b"".join(answer.pieces) for answer in found]


def _bytes(answers: Sequence[Answer]) -> list[bytes]:
    return [b"".join(answer.pieces) for answer in answers]


def test_what_was_answered_is_found_again(path, header, source, chunks, answers):
    with Journal(path, header, nothing_is_told) as journal:
        assert not journal.has_answers
        for answer in answers[:3]:
            journal.append(answer)
    with Journal(path, header, nothing_is_told) as journal:
        assert journal.has_answers
        assert journal.discarded is None
        found = [prediction for _, prediction in journal.answers(source, chunks, MODELS, CLASSES)]
        journal.append(answers[3])
    assert [one.names for one in found] == [tuple(i.name for i in items) for items in chunks[:3]]
    assert found[1].logits["fp32"].tobytes() == bytes(answers[1].pieces[1])
    assert _replayed(path, header, source, chunks) == _bytes(answers)


def test_a_torn_record_is_cut_off_and_written_again(path, header, source, chunks, answers):
    _write(path, header, answers[:2])
    whole = path.stat().st_size
    _write(path, header, [])
    with Journal(path, header, nothing_is_told) as journal:
        assert len(list(journal.answers(source, chunks, MODELS, CLASSES))) == 2
        journal.append(answers[2])
    content = path.read_bytes()
    line = content.index(b"\n", whole)
    for cut in (whole + 1, line, line + 1, line + 7, len(content) - 1):
        path.write_bytes(content[:cut])
        with Journal(path, header, nothing_is_told) as journal:
            assert len(list(journal.answers(source, chunks, MODELS, CLASSES))) == 2
            assert path.stat().st_size == whole
            journal.append(answers[2])
        assert path.read_bytes() == content


@pytest.mark.parametrize("length", [0, 1, 200])
def test_a_torn_header_is_a_new_journal(path, header, source, chunks, answers, length):
    _write(path, header, answers)
    path.write_bytes(path.read_bytes()[:length])
    with Journal(path, header, nothing_is_told) as journal:
        assert (journal.discarded, journal.has_answers) == (None, False)
        journal.append(answers[0])
    assert _replayed(path, header, source, chunks) == _bytes(answers[:1])


def _spoiled(answer: Answer, **changes: object) -> Answer:
    return Answer(message=answer.message.model_copy(update=changes), pieces=answer.pieces)


def _of_networks(answer: Answer, *classes: int) -> Answer:
    """The answer of networks with so many classes, with every digest as it should be."""
    files = answer.message.files
    logits = [np.ones((len(files), count), dtype=np.float32) for count in classes]
    return answer_of(answer.message.chunk, files, logits, peak_rss_bytes=1)


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
        lambda answer: _of_networks(answer, 6, 6),
        lambda answer: _of_networks(answer, 5, 6),
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
        *("more classes than logits", "networks of other classes"),
        *(
            "networks of different classes",
            "an error",
            "another image",
            "an image that was unusable",
        ),
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


HUGE = Predicted(chunk=0, piece_bytes=(2**50, 2**50)).model_dump_json().encode() + b"\n"


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


def test_the_file_is_what_the_module_says(path, header, answers):
    _write(path, header, answers[:1])
    with path.open("rb") as file:
        assert receive_pieces(file, JournalHeader) == (header, [])
        told, pieces = receive_pieces(file, Predicted)
        assert told.chunk == 0
        assert pieces == [bytes(piece) for piece in answers[0].pieces]
        assert file.read() == b""


def test_why_nothing_held_is_known(path, header, source, chunks, answers, pictures):
    _write(path, header, answers)
    Image.new("RGB", (3, 3), (0, 0, 99)).save(pictures / chunks[0][5].name)
    with Journal(path, header, nothing_is_told) as journal:
        assert list(journal.answers(source, chunks, MODELS, CLASSES)) == []
        assert journal.void == "images have changed"
    _write(path, header, [_with_nan(answers[0])])
    with Journal(path, header, nothing_is_told) as journal:
        assert list(journal.answers(source, chunks, MODELS, CLASSES)) == []
        assert journal.void == "a record is incomplete or damaged"


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond it, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_the_journal_and_nothing_else(path, header, source, chunks, answers):
    told: list[str] = []
    with Journal(path, header, told.append) as journal:
        journal.append(answers[0])
        with _largest_file(path.stat().st_size + 100):  # in the middle of the second record
            for answer in answers[1:]:
                journal.append(answer)
            (line,) = told
        assert journal.has_answers
        journal.append(answers[1])  # nothing more, where there is room again
    assert told == [line]
    assert line == f"{path}: {os.strerror(errno.EFBIG)}; answers are not kept from here on"
    assert _replayed(path, header, source, chunks) == _bytes(answers[:1])


def test_a_disk_that_fails_while_it_is_read_costs_only_what_it_holds(
    path, header, source, chunks, answers, monkeypatch
):
    _write(path, header, answers)
    told: list[str] = []
    with Journal(path, header, told.append) as journal:
        with open(os.devnull, "wb") as write_only:
            os.dup2(write_only.fileno(), journal._file.fileno())
        found = list(journal.answers(source, chunks, MODELS, CLASSES))
        journal.append(answers[0])
    # What had been read ahead still counts.
    assert _bytes([answer for answer, _ in found]) == _bytes(answers[: len(found)])
    (line,) = told
    assert line == f"{path}: {os.strerror(errno.EBADF)}; answers are not kept from here on"


def test_only_one_evaluation_of_the_same_runs_at_a_time(
    cache, header, tmp_path, source, chunks, answers
):
    bundle = tmp_path / "bundle"
    opened = open_journal(bundle, tmp_path / "pictures", header, nothing_is_told)
    with opened as journal:
        journal.append(answers[0])
        with pytest.raises(InputError, match=r"bundle: expected no other evaluation .* wait"):
            open_journal(bundle, tmp_path / "pictures", header, nothing_is_told)
        other = open_journal(bundle, tmp_path / "others", header, nothing_is_told)
        other.close()
        journal.append(answers[1])
    found = journal_path(cache, bundle, tmp_path / "pictures")
    assert _replayed(found, header, source, chunks) == _bytes(answers[:2])


def _file_for_a_folder(cache: Path, path: Path) -> tuple[Path, int]:
    cache.parent.parent.write_text("precious")
    return cache, errno.ENOTDIR


def _folder_for_a_file(cache: Path, path: Path) -> tuple[Path, int]:
    path.mkdir(parents=True)
    return path, errno.EISDIR


def _link_to_a_file(cache: Path, path: Path) -> tuple[Path, int]:
    cache.mkdir(parents=True)
    path.symlink_to(cache / "itself")
    return path, errno.ELOOP


@pytest.mark.parametrize("spoil", [_file_for_a_folder, _folder_for_a_file, _link_to_a_file])
def test_without_a_place_for_answers_it_goes_on_and_says_why(cache, header, tmp_path, spoil):
    bundle, images = tmp_path / "bundle", tmp_path / "pictures"
    where, cause = spoil(cache, journal_path(cache, bundle, images))
    told: list[str] = []
    assert open_journal(bundle, images, header, told.append) is None
    (line,) = told
    assert line == (
        f"{where}: {os.strerror(cause)}; answers are not kept: if it is killed, it starts again"
    )


def test_a_full_disk_at_the_start_is_no_reason_to_stop(cache, header, tmp_path):
    told: list[str] = []
    with _largest_file(10):
        assert open_journal(tmp_path / "bundle", tmp_path / "x", header, told.append) is None
    (line,) = told
    assert f".journal: {os.strerror(errno.EFBIG)}; answers are not kept" in line


def test_it_is_deleted_in_the_end(path, header):
    with Journal(path, header, nothing_is_told) as journal:
        journal.delete()
    assert not path.exists()
