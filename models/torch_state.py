"""What a caller has set in torch and beside it: our own code neither follows nor changes it."""

import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np


@contextmanager
def own_state() -> Iterator[None]:
    """Compute as in a fresh process, and leave what the caller has set as it was.

    That is torch's random state, default dtype and device, quantized engine, threads, grad and
    inference mode, autocast, deterministic algorithms and the precision of oneDNN; NumPy's and
    Python's random state, NumPy's handling of floating point errors, and the filters of warnings.
    Also a decorator. It holds for the thread that enters it, and does not import torch.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is the caller's
    try:
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore"))
            stack.enter_context(np.errstate(invalid="warn"))
            if "torch" in sys.modules:
                stack.enter_context(_own_torch_state())
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _own_torch_state() -> Iterator[None]:
    import torch

    quantized, onednn = torch.backends.quantized, _onednn()
    dtype, engine, threads = torch.get_default_dtype(), quantized.engine, torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    kernels = (onednn.enabled, onednn.conv.fp32_precision, onednn.matmul.fp32_precision)
    state = torch.get_rng_state()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        # Nothing here needs gradients, and tensors of a caller's inference mode allow none.
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast("cpu", enabled=False))
        if torch.get_default_device() != torch.device("cpu"):
            stack.enter_context(torch.device("cpu"))
        try:
            torch.set_default_dtype(torch.float32)
            if deterministic:
                torch.use_deterministic_algorithms(False)
            _set_kernels(True, "none", "none")
            yield
        finally:
            _set_kernels(*kernels)
            if deterministic:
                torch.use_deterministic_algorithms(True, warn_only=warn_only)
            torch.set_default_dtype(dtype)
            if quantized.engine != engine:
                quantized.engine = engine
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            torch.set_rng_state(state)


def _set_kernels(enabled: bool, conv: str, matmul: str) -> None:
    """Whether oneDNN computes in float, and in which precision; "none" is its default."""
    onednn = _onednn()
    onednn.enabled = enabled
    onednn.conv.fp32_precision = conv
    onednn.matmul.fp32_precision = matmul


def _onednn() -> Any:
    """Settings of oneDNN, whose attributes torch adds when it is imported."""
    import torch

    return torch.backends.mkldnn
