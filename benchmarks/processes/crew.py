"""Work that is shared out over workers, wherever they run: tasks in, answers out in their order.

Whoever has work knows these protocols alone; `benchmarks/cluster` fulfils them with Ray. What a
worker opens, its tasks and their answers travel pickled, between machines that trust each other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeAlias, TypeVar

from eightbit.benchmarks.artifact.trust import trust_variables
from eightbit.benchmarks.processes.process import THREAD_VARIABLES, with_short_spins

TaskT = TypeVar("TaskT")
AnswerT = TypeVar("AnswerT")
TaskT_co = TypeVar("TaskT_co", covariant=True)
TaskT_contra = TypeVar("TaskT_contra", contravariant=True)
AnswerT_co = TypeVar("AnswerT_co", covariant=True)

# A task that so many workers did not survive ends the run.
MAX_LOST: Final = 3

Serve: TypeAlias = Callable[[TaskT], AnswerT]
"""What a worker does with each task."""

Opening: TypeAlias = Callable[[], Serve[TaskT, AnswerT]]
"""What a worker does once: it loads what all tasks need."""


@dataclass(frozen=True, kw_only=True)
class Task(Generic[TaskT_co]):
    """One piece of work.

    Attributes:
        content: What the worker is given.
        named: What it is, for messages, such as "images a.jpg to p.jpg".
    """

    content: TaskT_co
    named: str


class Crew(Protocol[TaskT_contra, AnswerT_co]):
    """Workers that have opened the same; a context manager that ends them."""

    def map(self, tasks: Iterable["Task[TaskT_contra]"]) -> Iterator[AnswerT_co]:
        """The answers in the order of the tasks, which are drawn a few at a time.

        A task whose worker was lost is given to another one. Closing the iterator drops what runs.

        Raises:
            InputError: What a worker raised of a task, at its turn; or a task lost `MAX_LOST`
                workers.
            WorkerCrashError: No worker can be had.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def close(self) -> None:
        """Ends the workers; may be called again."""


class Executor(Protocol):
    """Has workers, each with the same number of threads.

    Attributes:
        workers: How many at a time.
        threads: Of each.
    """

    @property
    def workers(self) -> int:
        """How many at a time."""

    @property
    def threads(self) -> int:
        """Of each worker."""

    def crew(
        self, opening: Opening[TaskT, AnswerT], *, most: int, where: str
    ) -> Crew[TaskT, AnswerT]:
        """Start workers, at most so many, that call `opening` once.

        ``where`` names the model or file that they work on, for messages.
        """


def worker_variables(threads: int) -> Mapping[str, str]:
    """The environment of a worker's process: threads of all libraries, and whom it trusts."""
    return {
        **with_short_spins({}),
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        **trust_variables(),
    }
