"""Launches and turns, with processes that are not there; `test_latency` has real ones."""

import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, Precision
from eightbit.benchmarks.latency import launches
from eightbit.benchmarks.latency.launches import (
    Candidate,
    Conditions,
    Effort,
    OptionalCandidateError,
    Schedule,
    measure,
    planned,
    take_turns,
)
from eightbit.benchmarks.latency.limits_worker import Library
from eightbit.benchmarks.processes.calls import Steps
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.models.errors import InputError

BATCH = np.zeros((1, 3, 2, 2), np.float32)


class FakeProcess:
    """Stands for an `IsolatedRunner`: logs what happens and takes the time that the test says."""

    log: list
    seconds: dict

    def __init__(self, path, *, threads, execution):
        self.name, self.load_s = path, 0.5
        self.log.append((path, "start"))
        if self.seconds[path] is None:
            raise InputError(f"{path}: cannot be loaded")
        if isinstance(self.seconds[path], BaseException):
            raise self.seconds[path]

    def settle(self, batch, *, max_seconds):
        self.log.append((self.name, "settle"))
        return [9.0] + [self.seconds[self.name]] * 5

    def time(self, batch, repeats):
        self.log.append((self.name, repeats))
        return [7.0] + [self.seconds[self.name]] * (repeats - 1)

    def walk(self, photo):
        self.log.append((self.name, photo))
        return Steps(1.0, 2.0, 3.0, 4.0)

    def peak_rss_bytes(self):
        self.log.append((self.name, "memory"))
        return 1000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.log.append((self.name, "end"))


@pytest.fixture
def processes(monkeypatch):
    """Sets the seconds per call of each candidate and returns the log of all processes."""

    def install(**seconds):
        FakeProcess.log, FakeProcess.seconds = [], seconds
        monkeypatch.setattr(launches, "IsolatedRunner", FakeProcess)
        return FakeProcess.log

    return install


def run(names, *, effort, photos=(), **more):
    candidates = [
        Candidate(label=name, path=name, runtime=ONNX.runtime, precision=precision)
        for name, precision in names.items()
    ]
    return measure(candidates, Conditions(batch=BATCH, threads=1, photos=photos), effort, **more)


INT8, FP32 = Precision.INT8, Precision.FP32


def test_every_launch_starts_fresh_processes_which_warm_up_and_take_turns(processes):
    log = processes(a=0.1, b=0.1)
    run({"a": FP32, "b": INT8}, effort=Effort(launches=2, rounds=2, seconds=1.6))
    turns = [("a", 4), ("b", 4), ("b", 4), ("a", 4)]  # one untimed call, three timed ones
    once = [
        *[(name, "start") for name in "ab"],
        *[(name, "settle") for name in "ab"],
        *turns,
        *[(name, "memory") for name in "ab"],
        *[(name, "end") for name in "ba"],
    ]
    assert [sorted(log[:2]), log[2:10]] == [sorted(once[:2]), once[2:10]]
    assert log[len(once) + 2 :] == once[2:]


def test_the_first_call_of_a_turn_does_not_count(processes):
    processes(a=0.1)
    found = run({"a": FP32}, effort=Effort(launches=1, rounds=3, seconds=1.2))
    assert found.by_candidate[0][0].turns == ((0.1, 0.1, 0.1),) * 3


def test_turns_go_forth_and_back():
    order = []

    class Timed:
        def __init__(self, name):
            self.name = name

        def time(self, batch, repeats):
            order.append(self.name)
            return [1.0] * repeats

    schedule = Schedule(rounds=3, calls=(1, 1, 1))
    take_turns([Timed(name) for name in "abc"], BATCH, schedule, lambda: None)
    assert "".join(order) == "abccbaabc"


@pytest.mark.parametrize(
    ("seconds_per_call", "expected"),
    [
        ([0.1, 0.001], Schedule(rounds=10, calls=(2, 100))),  # 0.3 s a turn; 1,000 calls at most
        ([1.0], Schedule(rounds=1, calls=(2,))),  # no time for more than one turn
        ([100.0], Schedule(rounds=1, calls=(1,))),
        ([], Schedule(rounds=1, calls=())),
    ],
)
def test_time_is_bounded_for_slow_and_for_fast_candidates(seconds_per_call, expected):
    assert planned(seconds_per_call, rounds=10, seconds=3.0) == expected


def test_launches_share_the_time():
    assert planned([0.1, 0.001], rounds=2, seconds=3.0, launches=5) == Schedule(
        rounds=2, calls=(2, 100)
    )


def test_only_int8_models_are_handed_photos_after_their_memory_is_known(processes):
    log = processes(a=0.1, b=0.1)
    found = run(
        {"a": FP32, "b": INT8},
        effort=Effort(launches=1, rounds=1, seconds=0.2),
        photos=(b"one", b"two"),
    )
    assert [entry for entry in log if isinstance(entry[1], bytes)] == [
        ("b", b"one"),  # which loads the decoder
        ("b", b"one"),
        ("b", b"two"),
    ]
    assert log.index(("b", "memory")) < log.index(("b", b"one"))
    assert found.by_candidate[0][0].walks == ()
    assert found.by_candidate[1][0].walks == (Steps(1.0, 2.0, 3.0, 4.0),) * 2


def test_progress_counts_the_turns_of_all_launches(processes):
    processes(a=0.1, b=0.1)
    told = []
    run(
        {"a": FP32, "b": INT8},
        effort=Effort(launches=3, rounds=2, seconds=1.8),
        on_progress=lambda *progress: told.append(progress),
    )
    assert told == [(step, 12) for step in range(1, 13)]


@pytest.mark.parametrize(
    "failure",
    [None, KeyboardInterrupt(), ValueError("unforeseen")],
    ids=["unloadable", "^C", "bug"],
)
def test_where_one_does_not_load_no_other_remains(processes, failure):
    log = processes(a=0.1, b=failure, c=0.1, d=0.1, e=0.1, f=0.1)
    candidates = {"a": FP32, **dict.fromkeys("bcdef", INT8)}
    expected = InputError if failure is None else type(failure)
    with pytest.raises(expected):
        run(candidates, effort=Effort(launches=1, rounds=1, seconds=1.0))
    started, ended = ({name for name, what in log if what == end} for end in ("start", "end"))
    assert ended == started - {"b"}


def test_interrupted_while_they_load_what_has_not_begun_does_not_begin(monkeypatch, request):
    """Ctrl-C comes to the main thread, which waits for the first of six."""
    interrupted, started, ended = threading.Event(), [], []
    # A shell that starts the tests in the background has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    submitted = []

    class Counted(launches.ThreadPoolExecutor):
        def submit(self, *arguments):
            future = super().submit(*arguments)
            submitted.append(future)
            return future

    monkeypatch.setattr(launches, "ThreadPoolExecutor", Counted)

    class Slow(FakeProcess):
        log, seconds = [], dict.fromkeys("abcdef", 0.1)

        def __init__(self, path, **more):
            super().__init__(path, **more)
            started.append(path)
            while len(submitted) < 6:
                time.sleep(0.01)
            if path == "b":  # one of the two that begin; once, since a second one ends the cleanup
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                interrupted.set()
            assert interrupted.wait(10)
            time.sleep(0.2)  # still loading when the main thread cleans up

        def __exit__(self, *_):
            ended.append(self.name)

    monkeypatch.setattr(launches, "IsolatedRunner", Slow)
    with pytest.raises(KeyboardInterrupt):
        run(dict.fromkeys("abcdef", INT8), effort=Effort(launches=1, rounds=1, seconds=1.0))
    assert len(started) < 6
    assert sorted(ended) == sorted(started)


def test_what_fails_in_an_optional_candidate_is_told_as_its_own(processes):
    processes(a=0.1, b=WorkerCrashError("b: exited with 1;\nits last lines"))
    candidates = [
        Candidate(label=name, path=name, runtime=OPENVINO, precision=INT8, optional=name == "b")
        for name in "ab"
    ]
    effort = Effort(launches=1, rounds=1, seconds=0.1)
    with pytest.raises(OptionalCandidateError, match=r"^exited with 1; its last lines") as caught:
        measure(candidates, Conditions(batch=BATCH, threads=1), effort)
    assert caught.value.candidate == candidates[1]


@pytest.mark.parametrize("method", ["settle", "time", "walk", "peak_rss_bytes"])
def test_whatever_an_optional_candidate_was_asked(processes, monkeypatch, method):
    processes(a=0.1)

    def crash(*_, **__):
        raise WorkerCrashError("a: was ended by SIGSEGV")

    monkeypatch.setattr(FakeProcess, method, crash)
    candidate = Candidate(label="a", path="a", runtime=OPENVINO, precision=INT8, optional=True)
    conditions = Conditions(batch=BATCH, threads=1, photos=(b"photo",))
    for one, error in (
        (candidate, OptionalCandidateError),
        (replace(candidate, optional=False), WorkerCrashError),
    ):
        with pytest.raises(error, match="SIGSEGV"):
            measure([one], conditions, Effort(launches=1, rounds=1, seconds=0.1))


def test_limits_are_measured_before_launches_when_no_candidate_runs(processes, monkeypatch):
    log = processes(a=0.1)
    monkeypatch.setattr(launches, "measure_rates", lambda *_: log.append("limits") or {})
    found = run({"a": FP32}, effort=Effort(launches=3, rounds=1, seconds=0.2, limits=2))
    assert len(found.rates) == 2
    assert [log[0], log[1 + log.index(("a", "end"))]] == ["limits", "limits"]
    assert log.count("limits") == 2


def test_where_a_matrix_product_crashes_there_is_no_limit_and_the_rest_is_measured(
    processes, monkeypatch
):
    processes(a=0.1)
    answers = iter([{}, WorkerCrashError("torch: was ended by\nSIGILL")])

    def crash_the_second_time(*_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(launches, "measure_rates", crash_the_second_time)
    found = run({"a": FP32}, effort=Effort(launches=3, rounds=1, seconds=0.2, limits=3))
    assert (found.rates, found.no_rates) == ((), "torch: was ended by SIGILL")
    assert len(found.by_candidate[0]) == 3


def test_no_launch_is_refused(processes):
    with pytest.raises(ValueError, match="launches: expected at least 1"):
        run({}, effort=Effort(launches=0, rounds=1, seconds=1.0))


class Wavering(FakeProcess):
    """Every launch of it is as slow as the next of `slowness`."""

    slowness: list

    def time(self, batch, repeats):
        factor = self.slowness[0] if self.name == "b" else 1.0
        if self.name == "b":
            del self.slowness[0]
        return [factor * self.seconds[self.name]] * repeats


@pytest.mark.parametrize(
    ("slowness", "launched"),
    [
        ([1.0, 1.01, 1.0], 3),  # close enough at once
        ([1.0, 3.0, 1.0, 1.0, 1.0], 5),  # one disturbed launch: until the time is up
        ([1.0, 1.06, 1.0, 1.0], 4),
    ],
)
def test_launches_go_on_until_the_speedup_is_known(processes, monkeypatch, slowness, launched):
    processes(a=0.1, b=0.05)
    monkeypatch.setattr(launches, "IsolatedRunner", Wavering)
    monkeypatch.setattr(Wavering, "slowness", slowness, raising=False)
    candidates = [
        Candidate(label="a", path="a", runtime=ONNX.runtime, precision=FP32, is_baseline=True),
        Candidate(label="b", path="b", runtime=ONNX.runtime, precision=INT8),
    ]
    told = []
    clock = SimpleNamespace(now=0)
    clock.monotonic = lambda: clock.now
    started = launches._started

    def one_takes_two_seconds(*arguments):
        clock.now += 2
        return started(*arguments)

    monkeypatch.setattr(launches, "time", clock)
    monkeypatch.setattr(launches, "_started", one_takes_two_seconds)
    found = measure(
        candidates,
        Conditions(batch=BATCH, threads=1),
        Effort(launches=3, rounds=1, seconds=0.6, patience_s=11),
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert found.launches == launched
    assert told[-1] == (2 * launched, 2 * launched)
    assert slowness == []


def test_only_libraries_that_take_part_set_the_limit(processes, monkeypatch):
    processes(a=0.1)
    asked = []
    monkeypatch.setattr(
        launches, "measure_rates", lambda threads, libraries: asked.append(libraries) or {}
    )
    run({"a": FP32}, effort=Effort(launches=1, rounds=1, seconds=0.2, limits=1))
    assert asked == [(Library.ONNXRUNTIME,)]
