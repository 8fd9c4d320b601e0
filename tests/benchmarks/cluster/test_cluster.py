"""Workers of a cluster that is really begun: order, errors, and workers that are killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from eightbit.benchmarks.cluster.cluster import Cluster
from eightbit.benchmarks.processes.crew import MAX_LOST, Task
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.models.errors import InputError

pytest.importorskip("ray", reason="the extra cluster is not installed")


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cluster(told: list[str]) -> Iterator[Cluster]:
    with Cluster("local", workers=2, tell=told.append) as cluster:
        yield cluster


@dataclass(frozen=True)
class _Opening:
    """What the tests' workers do; their classes travel by value, since they know no tests."""

    serve: Callable[[int], object]
    refusal: str | None = None
    ends: bool = False

    def __call__(self) -> Callable[[int], object]:
        if self.refusal is not None:
            raise InputError(self.refusal)
        if self.ends:
            os._exit(1)
        return self.serve


@pytest.fixture(autouse=True, scope="module")
def _by_value() -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])


def tasks(count: int) -> Iterator[Task[int]]:
    return (Task(content=number, named=f"number {number}") for number in range(count))


def test_answers_come_in_the_order_of_the_tasks(cluster: Cluster) -> None:
    def serve(number: int) -> int:
        time.sleep(0.05 if number % 5 == 0 else 0)
        return number * number

    with cluster.crew(_Opening(serve), most=9, where="squares") as crew:
        assert list(crew.map(tasks(30))) == [number * number for number in range(30)]
        # Dropped half-way, it serves again.
        begun = crew.map(tasks(30))
        assert next(begun) == 0
        begun.close()
        assert list(crew.map(tasks(3))) == [0, 1, 4]


def test_tasks_are_drawn_a_few_at_a_time(cluster: Cluster) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[Task[int]]:
        number = 0
        while True:
            drawn.append(number)
            yield Task(content=number, named=str(number))
            number += 1

    with cluster.crew(_Opening(lambda number: number), most=2, where="numbers") as crew:
        begun = crew.map(endless())
        assert [next(begun) for _ in range(5)] == list(range(5))
        begun.close()
    assert len(drawn) <= 5 + 2 * 4


def test_a_workers_threads_are_those_of_the_cluster(cluster: Cluster) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

    def serve(number: int) -> list[str | None]:
        return [os.environ.get(name) for name in names]

    with cluster.crew(_Opening(serve), most=1, where="threads") as crew:
        assert list(crew.map(tasks(1))) == [["1", "1", "1"]]


def test_what_is_raised_of_a_task_is_raised_at_its_turn(cluster: Cluster) -> None:
    def serve(number: int) -> int:
        if number == 3:
            raise InputError("number: expected another, found 3")
        return number

    found = []
    with (
        cluster.crew(_Opening(serve), most=2, where="numbers") as crew,
        pytest.raises(InputError, match="expected another, found 3"),
    ):
        found += list(crew.map(tasks(9)))
    assert found == []


def test_what_is_raised_on_opening_is_an_input_error(cluster: Cluster) -> None:
    opening = _Opening(int, refusal="model.onnx: expected a model, found none")
    with (
        cluster.crew(opening, most=1, where="model.onnx") as crew,
        pytest.raises(InputError, match=r"model\.onnx: expected a model"),
    ):
        list(crew.map(tasks(1)))


def test_a_lost_worker_costs_its_tasks_and_not_the_run(
    cluster: Cluster, told: list[str], tmp_path: Path
) -> None:
    def serve(number: int) -> int:
        if number == 4 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with cluster.crew(_Opening(serve), most=2, where="numbers") as crew:
        assert list(crew.map(tasks(12))) == list(range(12))
        assert crew.lost == 1
    assert "a worker was lost on number 4: it is done again" in told


def test_a_task_that_ends_its_worker_again_and_again_is_named(
    cluster: Cluster, told: list[str]
) -> None:
    def serve(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    found = []
    with cluster.crew(_Opening(serve), most=1, where="numbers") as crew:
        begun = crew.map(tasks(9))
        with pytest.raises(InputError, match=rf"to survive number 2, found that {MAX_LOST} of"):
            found += list(begun)
        assert crew.lost == MAX_LOST


def test_workers_that_end_while_they_open_end_the_run(cluster: Cluster) -> None:
    with (
        cluster.crew(_Opening(int, ends=True), most=1, where="model.onnx") as crew,
        pytest.raises(WorkerCrashError, match=f"{MAX_LOST} workers of the cluster ended while"),
    ):
        list(crew.map(tasks(1)))


def test_a_second_cluster_in_a_process_is_refused(cluster: Cluster) -> None:
    with pytest.raises(InputError, match="a process that has not joined a cluster"):
        Cluster("local")


def test_what_listens_on_all_addresses_asks_for_the_token(cluster: Cluster) -> None:
    """What docs/security.md says; a token that is written nowhere."""
    import ray

    address = ray.get_runtime_context().gcs_address
    program = f"from ray._raylet import GcsClient; GcsClient(address={address!r})"
    strange = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    strange |= {"HOME": "/nonexistent", "RAY_AUTH_MODE": "disabled"}
    ours, strangers = (
        subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for environment in (dict(os.environ), strange)
    )
    assert ours.returncode == 0, ours.stderr
    assert strangers.returncode != 0
    assert "InvalidAuthToken" in strangers.stderr


@pytest.mark.parametrize("numbers", [{"workers": 0}, {"threads": 0}])
def test_no_worker_or_no_thread_is_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(InputError, match="expected at least 1 worker and 1 thread"):
        Cluster("local", **numbers)
