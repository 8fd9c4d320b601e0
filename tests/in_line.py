"""An executor whose workers are this process: what they are given and answer travels pickled."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from eightbit.benchmarks.processes.crew import Task
from eightbit.benchmarks.processes.process import Closing


class InLine:
    """Runs one task after the other, so many ahead of the answer as a cluster might."""

    def __init__(self, *, threads: int = 1, ahead: int = 3) -> None:
        self.workers, self.threads, self._ahead = 2, threads, ahead
        self.tasks: list[str] = []

    def crew(self, opening: Callable[[], Any], *, most: int, where: str) -> "_Crew":
        assert most >= 1
        assert where
        return _Crew(pickle.loads(pickle.dumps(opening))(), self.tasks, self._ahead)


class _Crew(Closing):
    def __init__(self, serve: Callable[[Any], Any], told: list[str], ahead: int) -> None:
        self._serve, self._told, self._ahead = serve, told, ahead

    def map(self, tasks: Iterable[Task[Any]]) -> Iterator[Any]:
        waiting: list[Any] = []
        for task in tasks:
            self._told.append(task.named)
            answer = self._serve(pickle.loads(pickle.dumps(task.content)))
            waiting.append(pickle.loads(pickle.dumps(answer)))
            if len(waiting) > self._ahead:
                yield waiting.pop(0)
        yield from waiting

    def close(self) -> None:
        pass
