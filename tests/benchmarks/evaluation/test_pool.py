"""Models shared out over processes: the same answers in the same order, whatever happens."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from PIL import Image

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.evaluation.pool import MAX_WORKERS, PredictionPool, workers_and_threads
from eightbit.benchmarks.evaluation.prediction import CHUNK_IMAGES, Prediction, in_chunks
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.models.errors import InputError
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.loading import SkippedImage
from eightbit.models.images.preprocessing import preprocess
from eightbit.models.images.sources import ImageItem, ImageSource, open_source
from eightbit.models.spec import Preprocessing

PREPROCESSING = Preprocessing(resize=10, crop=8, mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7))
IMAGES = 40
PATIENCE_S = 30


@pytest.fixture(scope="module")
def models(write_model: Callable[..., Path], tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "torchscript": write_model(TORCHSCRIPT.runtime, folder),
        "onnx": write_model(ONNX.runtime, folder),
    }


@pytest.fixture(scope="module")
def onnx_only(models: dict[str, Path]) -> dict[str, Path]:
    """Starts in a fraction of the time: torch is not loaded."""
    return {"onnx": models["onnx"]}


def _write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(count)
    for index in range(count):
        pixels = rng.integers(0, 256, (12, 11, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return _write_pictures(tmp_path_factory.mktemp("images") / "pictures", IMAGES)


def predicted(
    models: dict[str, Path], source: ImageSource, *, threads: int = 1
) -> list[Prediction]:
    chunks = in_chunks(source.items)
    with PredictionPool(models, PREPROCESSING, threads=threads, chunks=len(chunks)) as pool:
        answers = list(pool.predict(source, chunks))
        assert pool.peak_rss_bytes > 2**20
    assert [answer.message.chunk for answer in answers] == list(range(len(chunks)))
    pairs = zip(answers, chunks, strict=True)
    return [answer.prediction(items, list(models)) for answer, items in pairs]


@pytest.fixture(scope="module")
def alone(models: dict[str, Path], pictures: Path) -> list[Prediction]:
    """What one process answers."""
    with open_source(pictures) as source:
        return predicted(models, source)


def test_every_model_answers_every_image(alone, models, pictures):
    with open_source(pictures) as source:
        items = source.items
        batch = np.stack([preprocess(decode_image(source.read(i)), PREPROCESSING) for i in items])
    assert [name for one in alone for name in one.names] == [item.name for item in items]
    for name, path in models.items():
        runner = open_runner(path, threads=1)
        for start, one in zip(range(0, IMAGES, CHUNK_IMAGES), alone, strict=True):
            expected = runner(batch[start : start + CHUNK_IMAGES])
            np.testing.assert_array_equal(one.logits[name], expected)


@pytest.mark.parametrize("threads", [2, 3])
def test_answers_do_not_depend_on_the_number_of_processes(alone, models, pictures, threads):
    with open_source(pictures) as source:
        together = predicted(models, source, threads=threads)
    assert [one.names for one in together] == [one.names for one in alone]
    assert [one.digests for one in together] == [one.digests for one in alone]
    for mine, expected in zip(together, alone, strict=True):
        for name in models:
            assert mine.logits[name].tobytes() == expected.logits[name].tobytes()


def test_unusable_images_are_passed_over_with_the_reason(onnx_only, tmp_path):
    folder = _write_pictures(tmp_path / "pictures", 34)
    (folder / "001.png").write_bytes(b"no picture")
    for index in range(CHUNK_IMAGES, 2 * CHUNK_IMAGES):  # a whole chunk
        (folder / f"{index:03}.png").write_bytes(b"")
    with open_source(folder) as source:
        (folder / "033.png").unlink()
        first, second, third = predicted(onnx_only, source, threads=2)
    assert len(first.names) == len(first.logits["onnx"]) == 15
    assert "001.png" not in first.names
    (skipped,) = first.skipped
    assert skipped.name == "001.png"
    assert skipped.reason.startswith("not an image of a known format")
    assert (second.names, second.logits) == ((), {})
    assert len(second.skipped) == CHUNK_IMAGES
    assert third.names == ("032.png",)
    assert third.skipped == (
        SkippedImage(name="033.png", reason="cannot be read: No such file or directory"),
    )


def test_images_are_read_only_a_little_ahead_of_the_answers(onnx_only, pictures, monkeypatch):
    """So memory does not grow with the set, however slow whoever takes the answers is."""
    read: list[str] = []

    def reads_come_to_rest() -> int:
        last, since = -1, time.monotonic()
        while len(read) != last or time.monotonic() < since + 0.5:
            if len(read) != last:
                last, since = len(read), time.monotonic()
            time.sleep(0.01)
        return last

    with open_source(pictures) as source:
        plain_read = source.read
        monkeypatch.setattr(
            source, "read", lambda item: (read.append(item.name), plain_read(item))[1]
        )
        chunks = in_chunks(source.items * 10)
        with PredictionPool(onnx_only, PREPROCESSING, threads=1, chunks=len(chunks)) as pool:
            answers = pool.predict(source, chunks)
            next(answers)
            ahead = 4 * CHUNK_IMAGES
            assert reads_come_to_rest() == ahead
            next(answers)
            assert reads_come_to_rest() == ahead + CHUNK_IMAGES
            answers.close()


def _endless(source: ImageSource) -> tuple[tuple[ImageItem, ...], ...]:
    return in_chunks(source.items * 1000)


def _begun(pool: PredictionPool, source: ImageSource) -> Iterator[object]:
    answers = pool.predict(source, _endless(source))
    next(answers)
    return answers


def test_a_crash_is_told_with_the_last_lines_and_leaves_no_process(onnx_only, pictures):
    with (
        open_source(pictures) as source,
        PredictionPool(onnx_only, PREPROCESSING, threads=2, chunks=2) as pool,
    ):
        answers = _begun(pool, source)
        os.kill(pool.pids[1], signal.SIGABRT)
        # Python, which lists what all threads were doing, may fall over one that goes on meanwhile.
        with pytest.raises(
            WorkerCrashError,
            match=r"(?s)tiny\.onnx: .*ended by SIG(ABRT|SEGV).*last lines:\n.",
        ):
            for _ in answers:
                pass
    assert not any(psutil.pid_exists(pid) for pid in pool.pids)


def test_a_worker_that_dies_while_loading_shows_its_last_lines(onnx_only, monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "nonesuch")  # Python itself refuses to start
    with pytest.raises(WorkerCrashError, match=r"(?s)exited with 1.*last lines:.*allocator"):
        PredictionPool(onnx_only, PREPROCESSING, threads=1, chunks=1)


def test_stopping_early_ends_the_processes_even_those_that_hang(onnx_only, pictures):
    with open_source(pictures) as source:
        pool = PredictionPool(onnx_only, PREPROCESSING, threads=2, chunks=2)
        answers = _begun(pool, source)
        os.kill(pool.pids[0], signal.SIGSTOP)
        answers.close()
        pool.close()
        pool.close()
        assert not any(psutil.pid_exists(pid) for pid in pool.pids)


def test_a_model_that_cannot_be_loaded_is_an_input_error(onnx_only, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"bad\.onnx: expected an ONNX model"):
        PredictionPool(
            {**onnx_only, "bad": tmp_path / "bad.onnx"}, PREPROCESSING, threads=1, chunks=1
        )


def test_a_model_that_cannot_run_the_images_is_an_input_error(models, pictures, tmp_path):
    model = onnx.load(models["onnx"])
    for axis, size in ((2, 5), (3, 5)):
        dimension = model.graph.input[0].type.tensor_type.shape.dim[axis]
        dimension.Clear()
        dimension.dim_value = size
    onnx.save(model, tmp_path / "small.onnx")
    with (
        open_source(pictures) as source,
        pytest.raises(
            InputError, match=r"small\.onnx: batch: expected float32 of shape \(N, 3, 5, 5\)"
        ),
    ):
        predicted({"onnx": tmp_path / "small.onnx"}, source)


def test_a_bug_in_a_worker_is_no_silence(onnx_only, pictures):
    """What the decoding thread raises ends the process, with its traceback."""
    with (
        open_source(pictures) as source,
        PredictionPool(onnx_only, PREPROCESSING, threads=1, chunks=1) as pool,
    ):
        pool._processes[0].stdin.write(b"no message\n")
        with pytest.raises(WorkerCrashError, match=r"(?s)exited with 1.*last lines:.*Invalid JSON"):
            list(pool.predict(source, in_chunks(source.items)))


def test_no_more_processes_are_started_than_have_something_to_do(onnx_only):
    with PredictionPool(onnx_only, PREPROCESSING, threads=3, chunks=2) as pool:
        assert len(pool.pids) == 2


@pytest.mark.parametrize(
    ("threads", "expected"),
    [(1, (1, 1)), (2, (2, 1)), (8, (8, 1)), (9, (4, 2)), (15, (7, 2)), (16, (8, 2)), (64, (8, 8))],
)
def test_threads_are_shared_out(threads, expected):
    assert workers_and_threads(threads) == expected


def test_few_threads_stay_idle_and_few_processes_hold_the_models():
    for threads in range(1, 257):
        workers, each = workers_and_threads(threads)
        assert 1 <= workers <= MAX_WORKERS
        assert 0 <= threads - workers * each < each


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_parent_takes_its_workers_along(onnx_only, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            from pathlib import Path
            from eightbit.benchmarks.evaluation.pool import PredictionPool
            from eightbit.models.spec import Preprocessing

            models = {{"onnx": Path({str(onnx_only["onnx"])!r})}}
            pool = PredictionPool(models, Preprocessing(), threads=2, chunks=2)
            print(*pool.pids, flush=True)
            sys.stdin.read()
            """
        )
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(map(_ended, pids))
        parent.kill()
    deadline = time.monotonic() + PATIENCE_S
    while not all(map(_ended, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(_ended, pids))
