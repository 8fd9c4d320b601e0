"""Images per second: sessions that really compute at the same time, and what is said of them."""

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from typing import Self

import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.latency import serving
from eightbit.benchmarks.latency.serving import Sessions, measure_serving, shared_out
from eightbit.models import InputError

CALL_S = 0.01


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(1, 2), (2, 1)]),
        (6, [(1, 6), (6, 1)]),
        (64, [(1, 64), (16, 4)]),
    ],
)
def test_cores_are_for_one_session_or_for_many(cores: int, expected: list[tuple[int, int]]) -> None:
    assert list(shared_out(cores)) == [Sessions(count=one, threads=two) for one, two in expected]


class Session:
    """Takes 10 ms for a call, and 2 ms for each further image."""

    alive = 0
    together = Barrier(2)

    def __init__(self, path: Path, *, threads: int, execution: object) -> None:
        if path.name == "damaged.onnx":
            raise InputError("damaged.onnx: no model")
        self.threads = threads
        Session.alive += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        Session.alive -= 1

    def settle(self, batch: np.ndarray, *, max_seconds: float) -> list[float]:
        return [9.0, *[self._seconds(batch)] * 10]

    def time(self, batch: np.ndarray, repeats: int) -> list[float]:
        if self.threads == 1:
            Session.together.wait(timeout=30)  # the other one is at work as well
        return [9.0, *[self._seconds(batch)] * (repeats - 1)]

    def peak_rss_bytes(self) -> int:
        return 1000

    def _seconds(self, batch: np.ndarray) -> float:
        return CALL_S + 0.002 * (len(batch) - 1)


@pytest.fixture(autouse=True)
def _sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(serving, "IsolatedRunner", Session)
    yield
    assert Session.alive == 0


def measured(name: str = "model.int8.onnx") -> dict[tuple[int, int, int], float]:
    found = measure_serving(
        Path(name), ONNX.runtime, input_shape=(3, 4, 4), cores=2, seconds=0.1, batches=(1, 6)
    )
    assert {(one.artifact, one.turns, one.peak_rss_bytes / one.sessions) for one in found} == {
        ("model.int8.onnx", 3, 1000)
    }
    return {(one.sessions, one.threads, one.batch): one.images_per_s for one in found}


def test_sessions_compute_at_the_same_time_and_their_images_add_up() -> None:
    assert measured() == pytest.approx(
        {(1, 2, 1): 100.0, (1, 2, 6): 300.0, (2, 1, 1): 200.0, (2, 1, 6): 600.0}
    )


def test_a_file_that_cannot_be_loaded_leaves_no_session_behind() -> None:
    with pytest.raises(InputError, match="no model"):
        measured("damaged.onnx")
