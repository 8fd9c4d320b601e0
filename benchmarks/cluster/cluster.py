"""A cluster of Ray, begun on this machine or joined, as an `Executor`."""

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from eightbit.benchmarks.processes.crew import AnswerT, Opening, TaskT
from eightbit.benchmarks.processes.process import Closing
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

if TYPE_CHECKING:
    from eightbit.benchmarks.cluster.crew import RayCrew

LOCAL: Final = "local"

# Of Ray's store of objects, in shared memory: models and the files of images on their way.
_STORE_BYTES: Final = 2 * 2**30


class Cluster(Closing):
    """Workers of Ray; a context manager. One at a time in a process.

    Args:
        address: "local" to begin a cluster on this machine, which ends with this; else that of one
            that runs, as `ray.init` takes it, such as "10.0.0.5:6379".
        workers: How many at a time; None for as many as the cluster has processors for.
        threads: Of each worker: float's last bits, and so a recipe, depend on it.
        tell: Told, in one line, what a user should know while it runs.

    Raises:
        InputError: Ray is not installed, there is no cluster at the address, or it has no
            processor.
    """

    def __init__(
        self,
        address: str,
        *,
        workers: int | None = None,
        threads: int = 1,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        if threads < 1 or (workers is not None and workers < 1):
            raise InputError(
                f"cluster: expected at least 1 worker and 1 thread, found {workers} and {threads}"
            )
        if find_spec("ray") is None:
            raise InputError(
                f"--cluster {printable(address)}: expected Ray, found none; install "
                "'eightbit[cluster]'"
            )
        self._tell = tell or (lambda line: None)
        self.threads = threads
        self.workers = workers or max(1, usable_cores() // threads)
        self._open = True
        self._variables = contextlib.ExitStack()
        if address == LOCAL:
            self._begin()
        else:
            self._init(address)
            if workers is None:
                self.workers = self._processors() // threads

    def crew(
        self, opening: Opening[TaskT, AnswerT], *, most: int, where: str
    ) -> "RayCrew[TaskT, AnswerT]":
        """Start workers, at most so many, that call `opening` once; see `Executor`."""
        from eightbit.benchmarks.cluster.crew import RayCrew

        return RayCrew(
            opening,
            workers=max(1, min(self.workers, most)),
            threads=self.threads,
            where=where,
            tell=self._tell,
        )

    def close(self) -> None:
        """Let go of the cluster, and end one that was begun here; may be called again."""
        if self._open:
            import ray

            self._open = False
            ray.shutdown()
            self._variables.close()

    def _begin(self) -> None:
        """Begin a cluster on this machine.

        Ray's own ports are open to the network whatever address it is told: a token, known to this
        process and its children alone and written nowhere, guards them. Without a mode in the
        environment Ray asks for tokens.
        """
        token = os.environ.get("RAY_AUTH_TOKEN") or _token()
        self._variables.enter_context(
            _environment(RAY_AUTH_MODE=None, RAY_AUTH_TOKEN=token, RAY_USAGE_STATS_ENABLED="0")
        )
        try:
            self._init(
                LOCAL,
                num_cpus=self.workers * self.threads,
                num_gpus=0,
                include_dashboard=False,
                object_store_memory=_STORE_BYTES,
            )
        except BaseException:
            self._variables.close()
            raise

    def _init(self, address: str, **options: Any) -> None:
        import ray
        from ray.exceptions import RayError

        if ray.is_initialized():
            raise InputError(
                "cluster: expected a process that has not joined a cluster of Ray, found one that "
                "has; close the other one first"
            )
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, address=address, **options)
        except (RayError, OSError, ValueError, RuntimeError) as exc:
            raise InputError(
                f"--cluster {printable(address)}: expected a cluster of Ray, found none that can "
                f"be begun or joined ({one_line(exc, 160)}); start one with `ray start --head`, "
                "and see that its token is in RAY_AUTH_TOKEN"
            ) from exc

    def _processors(self) -> int:
        import ray

        resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        found = int(resources.get("CPU", 0))
        if found < self.threads:
            self.close()
            raise InputError(
                f"cluster: expected processors for a worker of {self.threads} threads, found "
                f"{found}; add nodes or give fewer --threads"
            )
        return found


@cache
def _token() -> str:
    """Of all clusters that this process begins: Ray remembers the first."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Variables of this process within a block; None for one that is not there."""
    before = {name: os.environ.get(name) for name in variables}
    _set(variables)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
