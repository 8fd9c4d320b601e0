"""The warnings that torch gives about what this project knowingly uses.

torch 2.13 deprecates eager and FX quantization for torchao, and TorchScript for torch.export. They
are still what a CPU without Python can load and what runs oneDNN's integer kernels, so they are
used, behind the front ends and `torchscript_worker` alone.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch.fx import config as fx_config

_EXPECTED: Final = (
    # torch.ao.quantization.{fuse_modules,prepare,convert,prepare_fx,convert_fx}
    ("torch.ao.quantization is deprecated", DeprecationWarning),
    # torch.jit.{script,freeze,save}
    (r"`torch\.jit\.\w+` is deprecated", DeprecationWarning),
    # torch's own FX convert annotates an empty container where its scripting does not look.
    ("The TorchScript type system doesn't support instance-level annotations", UserWarning),
    # torch's quantized modules are made of its quint8 and qint8 tensors.
    (r".*quint8|.*qint8|.*quantized tensor", UserWarning),
)


@contextmanager
def expected_deprecations() -> Iterator[None]:
    """Silence the messages listed above, and no others, within the block."""
    with warnings.catch_warnings():
        for message, category in _EXPECTED:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield


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
