"""A worker that does not answer is ended; the stand-ins sleep."""

import time

import pytest

from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.processes.patience import VARIABLE, answer_limit_s, load_limit_s
from eightbit.benchmarks.processes.process import WorkerCrashError, WorkerProcess
from eightbit.models.errors import InputError


@pytest.fixture
def asleep(monkeypatch):
    """A worker that reads nothing and says nothing."""
    process = WorkerProcess(
        "timeit", ["-n1", "-r1", "import time; time.sleep(600)"], where="m.pt", threads=1
    )
    yield process
    process.close()


def test_a_worker_that_does_not_answer_is_ended_and_told_of(asleep):
    started = time.monotonic()
    with asleep.patience.for_s(0.3):
        assert asleep.stdout.read(1) == b""
    assert time.monotonic() - started < 60
    crash = asleep.crash()
    assert (
        crash.in_short == "m.pt: the process that runs it gave no answer within 0 s and was ended"
    )
    assert VARIABLE in crash.todo


def test_a_worker_that_answers_in_time_is_left_alone(asleep):
    with asleep.patience.for_s(0.2):
        pass
    time.sleep(0.5)
    assert asleep.patience.spent_s is None


def test_a_model_that_takes_too_long_to_load_is_given_up(model_file, monkeypatch):
    monkeypatch.setenv(VARIABLE, "0.01")
    with pytest.raises(WorkerCrashError, match="gave no answer within 0 s and was ended"):
        IsolatedRunner(model_file, threads=1)


def test_the_limit_is_what_the_environment_says(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert load_limit_s() == 600
    assert answer_limit_s(10) == 650
    monkeypatch.setenv(VARIABLE, "7.5")
    assert load_limit_s() == 7.5


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", "9" * 5000])
def test_a_limit_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(InputError, match="EIGHTBIT_TIMEOUT_S: expected how many seconds") as caught:
        load_limit_s()
    assert len(str(caught.value)) < 300
