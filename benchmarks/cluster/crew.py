"""Actors of Ray that serve tasks, and what becomes of the tasks of one that is lost."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic

import ray
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    NodeDiedError,
    ObjectLostError,
    RayActorError,
    WorkerCrashedError,
)

from eightbit.benchmarks.cluster.host import Failed, Host
from eightbit.benchmarks.processes.crew import (
    MAX_LOST,
    AnswerT,
    Opening,
    Task,
    TaskT,
    worker_variables,
)
from eightbit.benchmarks.processes.patience import VARIABLE, answer_limit_s, load_limit_s
from eightbit.benchmarks.processes.process import Closing, WorkerCrashError
from eightbit.benchmarks.runtimes.environment import Environment, read_environment
from eightbit.models.errors import InputError

# For each worker: one task that runs and one that waits beside it.
_IN_FLIGHT: Final = 2

# So many tasks may be ahead of the oldest answer that is awaited, for each worker.
_AHEAD: Final = 2 * _IN_FLIGHT

# What Ray raises of a worker, its node or an answer that has gone with them.
_LOST: Final = (RayActorError, NodeDiedError, ObjectLostError, WorkerCrashedError)

# How long each wait for an answer is, before it is asked how long none has come.
_WAIT_S: Final = 5.0

# A task has no size that is known here: it may take as long as so many images.
_IMAGES: Final = 1000


@dataclass(eq=False)
class _Hand:
    """One worker: its actor, whether it is open, and the tasks that it was given, oldest first."""

    actor: Any
    opened: Any
    is_open: bool = False
    waiting: deque[tuple[int, Any]] = field(default_factory=deque)

    @property
    def next(self) -> Any:
        """What to wait for; None where it has nothing to do."""
        if not self.is_open:
            return self.opened
        return self.waiting[0][1] if self.waiting else None


class RayCrew(Closing, Generic[TaskT, AnswerT]):
    """See `eightbit.benchmarks.processes.crew.Crew`; a cluster makes it.

    Attributes:
        lost: How many workers were lost so far.
    """

    def __init__(
        self,
        opening: Opening[TaskT, AnswerT],
        *,
        workers: int,
        threads: int,
        where: str,
        tell: Callable[[str], None],
    ) -> None:
        self._where, self._tell = where, tell
        self._class: Any = ray.remote(
            num_cpus=threads,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": dict(worker_variables(threads))},
        )(Host)
        self._opening = ray.put(opening)
        self._own = read_environment()
        self._processors = {self._own.cpu}
        self._lost_opening = 0
        self._workers = workers
        self.lost = 0
        self._hands = [self._hire() for _ in range(workers)]

    def map(self, tasks: Iterable[Task[TaskT]]) -> Iterator[AnswerT]:
        """The answers in the order of the tasks; see `Crew`."""
        work = _Work(iter(tasks), ahead=_AHEAD * self._workers)
        try:
            while True:
                self._give(work)
                while work.has_answer():
                    yield work.pop_answer()
                    self._give(work)
                if work.is_done:
                    return
                self._wait(work)
        finally:
            # What still runs of this call is nobody's any more; a hand that is busy with it
            # finishes it first.
            for hand in self._hands:
                hand.waiting.clear()

    def close(self) -> None:
        """Ends the workers; may be called again."""
        for hand in self._hands:
            ray.kill(hand.actor)
        self._hands = []

    def _hire(self) -> _Hand:
        actor = self._class.remote(self._opening)
        return _Hand(actor=actor, opened=actor.open.remote())

    def _give(self, work: "_Work") -> None:
        """Give tasks to those who have few, the idle ones first."""
        for room in range(_IN_FLIGHT):
            for hand in self._hands:
                if hand.is_open and len(hand.waiting) == room:
                    index = work.take()
                    if index is None:
                        return
                    content = work.tasks[index].content
                    hand.waiting.append((index, hand.actor.serve.remote(content)))

    def _wait(self, work: "_Work") -> None:
        """Wait until something happens to a worker, and take note of it."""
        waited_for = {hand.next: hand for hand in self._hands if hand.next is not None}
        limit = answer_limit_s(_IMAGES) if any(h.waiting for h in self._hands) else load_limit_s()
        deadline = time.monotonic() + limit
        done: list[Any] = []
        while not done:
            # Answers of a pass over large batches are fetched only when they are taken.
            done, _ = ray.wait(list(waited_for), timeout=_WAIT_S, fetch_local=False)
            if not done and time.monotonic() > deadline:
                raise WorkerCrashError(
                    f"{self._where}: no worker of the cluster answered within {limit:,.0f} s",
                    todo=f"see whether its nodes are alive, or give {VARIABLE}=SECONDS",
                )
        for reference in done:
            self._note(waited_for[reference], reference, work)

    def _note(self, hand: _Hand, reference: Any, work: "_Work") -> None:
        try:
            answer = ray.get(reference, timeout=load_limit_s())
        except (*_LOST, GetTimeoutError) as exc:
            self._replace(hand, exc, work)
            return
        if not hand.is_open:
            self._check(answer)
            hand.is_open = True
            return
        index, _ = hand.waiting.popleft()
        work.answers[index] = answer

    def _check(self, opened: Environment | Failed) -> None:
        """Refuse a worker of other versions; say that there are several kinds of processors."""
        if isinstance(opened, Failed):
            raise opened.error()
        if opened.versions != self._own.versions or opened.python != self._own.python:
            raise InputError(
                f"cluster: expected the versions of this machine on every worker "
                f"({_versions(self._own)}), found {_versions(opened)}; install the same"
            )
        if opened.cpu not in self._processors:
            self._processors.add(opened.cpu)
            self._tell(
                "the workers have several kinds of processors, whose last bits may differ: "
                + ", ".join(sorted(self._processors))
            )

    def _replace(self, hand: _Hand, exc: Exception, work: "_Work") -> None:
        """Hand the tasks of a lost worker to others, the one that it ran counted against it."""
        self.lost += 1
        self._hands.remove(hand)
        ray.kill(hand.actor)
        if not hand.is_open:
            self._lost_opening += 1
            if self._lost_opening == MAX_LOST:
                ended = f"{self._where}: {MAX_LOST} workers of the cluster ended while they opened"
                raise WorkerCrashError(f"{ended} it ({_in_short(exc)})") from exc
        for place, (index, _) in enumerate(hand.waiting):
            work.put_back(index, was_running=place == 0)
        if hand.waiting:
            running = hand.waiting[0][0]
            named = work.tasks[running].named
            if work.lost[running] == MAX_LOST:
                raise InputError(
                    f"{self._where}: expected a worker to survive {named}, found that "
                    f"{MAX_LOST} of them ended on it ({_in_short(exc)}); leave these out, or make "
                    "room in memory"
                )
            self._tell(f"a worker was lost on {named}: it is done again")
        self._hands.append(self._hire())


class _Work:
    """Tasks by their number: drawn, given out, given back, answered."""

    def __init__(self, drawn: Iterator[Task[Any]], *, ahead: int) -> None:
        self._drawn, self._ahead = drawn, ahead
        self._has_more = True
        self._back: list[int] = []
        self._count = self._wanted = 0
        self.tasks: dict[int, Task[Any]] = {}
        self.answers: dict[int, Any] = {}
        self.lost: Counter[int] = Counter()

    @property
    def is_done(self) -> bool:
        """Whether every task has been answered, and every answer taken."""
        return not self._has_more and not self.tasks

    def take(self) -> int | None:
        """Number of the next task to run; None where there is none, or only one far ahead."""
        if self._back:
            self._back.sort()
            return self._back.pop(0)
        if not self._has_more or self._count >= self._wanted + self._ahead:
            return None
        task = next(self._drawn, None)
        if task is None:
            self._has_more = False
            return None
        self.tasks[self._count] = task
        self._count += 1
        return self._count - 1

    def put_back(self, index: int, *, was_running: bool) -> None:
        """Another worker shall run it."""
        self.lost[index] += was_running
        self._back.append(index)

    def has_answer(self) -> bool:
        """Whether the oldest one that is awaited has come."""
        return self._wanted in self.answers

    def pop_answer(self) -> Any:
        """The oldest answer; raises what its worker raised."""
        answer = self.answers.pop(self._wanted)
        del self.tasks[self._wanted]
        self._wanted += 1
        if isinstance(answer, Failed):
            raise answer.error()
        return answer


def _versions(environment: Environment) -> str:
    found = {"python": environment.python, **environment.versions}
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _in_short(exc: Exception) -> str:
    """Why Ray says that a worker has gone."""
    if isinstance(exc, ActorDiedError):
        text = str(exc)
        for line in text.splitlines():
            if "exit detail" in line.lower() or "error_message" in line.lower():
                return line.strip()[:200]
    return type(exc).__name__
