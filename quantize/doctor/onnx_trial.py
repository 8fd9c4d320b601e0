"""Checks and optimises an untrusted ONNX model in a child process.

Optimisation may take any amount of memory or time, or crash the runtime. So the child has limits,
and whatever becomes of it is a result.
"""

import json
import resource
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError

from eightbit.benchmarks.processes.leashed import run_leashed
from eightbit.models.plain_text import one_line
from eightbit.quantize.staging import scratch

_MODEL: Final = "model.onnx"
_OPTIMIZED: Final = "optimized.onnx"
_ANSWER: Final = "answer.json"

_TIMEOUT_S: Final = 180
_ERRORS_ONLY: Final = 3
_GIB: Final = 2**30


class Trial:
    """Result of checking and loading a model.

    Attributes:
        invalid: Message of ONNX's checker; empty if valid.
        refused: Message of ONNX Runtime's loader; empty if loaded.
        optimized: The optimised graph; None if refused.
    """

    def __init__(self, invalid: str, refused: str, optimized: onnx.ModelProto | None) -> None:
        self.invalid = invalid
        self.refused = refused
        self.optimized = optimized


def try_model(model: onnx.ModelProto) -> Trial:
    """Check a model and optimise it as ONNX Runtime does on this processor.

    Layout is not optimised (level "extended"): which operators compute in integers is decided by
    then, and nodes keep their names.
    """
    with scratch() as files:
        # From here on it is this copy, whatever becomes of the file.
        (files / _MODEL).write_bytes(model.SerializeToString())
        try:
            done = run_leashed(
                [sys.executable, "-P", "-m", __name__, str(files)], timeout_s=_TIMEOUT_S
            )
            ended = f"it ended ONNX Runtime's process with code {done.returncode}"
        except subprocess.TimeoutExpired:
            ended = f"it was not loaded after {_TIMEOUT_S} s"
        answer = {"invalid": "", "refused": ended}
        optimized = None
        # Whatever its process left half written is no answer.
        with suppress(ValueError, OSError, DecodeError):
            answer |= json.loads((files / _ANSWER).read_text())
            if not answer["refused"]:
                optimized = onnx.ModelProto.FromString((files / _OPTIMIZED).read_bytes())
        if optimized is None and not answer["refused"]:
            answer["refused"] = "what ONNX Runtime made of it cannot be read"
    return Trial(one_line(answer["invalid"]), answer["refused"], optimized)


def _main(files: Path) -> None:
    """The child's main function; writes its answer after each step."""
    content = (files / _MODEL).read_bytes()
    _limit(resource.RLIMIT_AS, 6 * _GIB + 8 * len(content))
    _limit(resource.RLIMIT_FSIZE, _GIB // 4 + 2 * len(content))
    answer = {"invalid": _checked(content)}
    (files / _ANSWER).write_text(json.dumps(answer))
    answer["refused"] = _loaded(files)
    (files / _ANSWER).write_text(json.dumps(answer))


def _limit(kind: int, amount: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        amount = min(amount, hard)
    resource.setrlimit(kind, (amount, hard))


def _checked(content: bytes) -> str:
    try:
        onnx.checker.check_model(content, full_check=True)
    except Exception as exc:  # its own types, and those of its C++
        return str(exc) or type(exc).__name__
    return ""


def _loaded(files: Path) -> str:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(files / _OPTIMIZED)
    try:
        ort.InferenceSession(
            (files / _MODEL).read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as exc:  # ONNX Runtime's exceptions have no common base
        return str(exc) or type(exc).__name__
    return ""


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
