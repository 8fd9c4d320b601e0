"""Settings of torch that belong to the whole process, for a block."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.fx import config as fx_config


@contextmanager
def no_stack_traces() -> Iterator[None]:
    """Leave traced nodes without a stack trace; torch loads its compiler, for seconds, for one."""
    before = fx_config.do_not_emit_stack_traces
    fx_config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        fx_config.do_not_emit_stack_traces = before


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Set torch's thread count within the block; it belongs to the whole process."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
