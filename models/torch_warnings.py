"""The warnings that torch gives about what this project knowingly uses, by what they say.

torch deprecates eager and FX quantization, TorchScript and quantized dtypes. They are what a CPU
without Python can load and what runs oneDNN's integer kernels, so they are used. Their category is
no part of what they say: torch 2.14 made FutureWarnings, which users see, of DeprecationWarnings.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

EXPECTED: Final = (
    # torch.ao.quantization.{fuse_modules,prepare,convert,prepare_fx,convert_fx}
    r"torch\.ao\.quantization is deprecated",
    # torch.jit.{script,trace,freeze,save,load,optimize_for_inference}; the second from Python 3.14
    r"`torch\.jit\.\w+` is (deprecated|not supported)",
    # torch's own FX convert annotates an empty container where its scripting does not look.
    "The TorchScript type system doesn't support instance-level annotations",
    # torch's quantized modules are made of its quint8 and qint8 tensors.
    r".*quint8|.*qint8|.*quantized tensor",
)
"""Patterns of how the messages begin."""


@contextmanager
def expected_deprecations() -> Iterator[None]:
    """Silence the messages listed above, of any category, and no others, within the block."""
    with warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        yield
