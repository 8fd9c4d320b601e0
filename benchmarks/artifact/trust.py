"""Whether models may run whatever they ask for: only where a user said so of their file."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

TRUST: Final = "--trust"

# In the environment of a worker, and read by nobody else.
_VARIABLE: Final = "EIGHTBIT_WORKER_TRUSTS"

_trusted: Final = ContextVar("trusted", default=False)


def is_trusted() -> bool:
    """Whether the models that are opened now are trusted."""
    return _trusted.get()


def trust_variables() -> dict[str, str]:
    """What a worker's environment has, for `trust_as_told`."""
    return {_VARIABLE: str(is_trusted())}


def trust_as_told() -> None:
    """Trust in this worker what its parent trusts."""
    _trusted.set(os.environ.get(_VARIABLE) == str(True))


@contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """Models that are opened in the block are trusted or not, in its workers too.

    It holds for the thread that enters the block, and for others that run in a copy of its context.
    """
    token = _trusted.set(trust)
    try:
        yield
    finally:
        _trusted.reset(token)
