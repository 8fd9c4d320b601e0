"""Audits a stranger's model in a process of its own, which may hang or crash.

Usage: python -P -m eightbit.quantize.artifacts.audit_process PATH
"""

import sys
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT, format_of
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.trust import trust_as_told
from eightbit.benchmarks.processes.channel import (
    Message,
    claim_standard_streams,
    receive_pieces,
    send_pieces,
)
from eightbit.benchmarks.processes.patience import load_limit_s
from eightbit.benchmarks.processes.process import WorkerProcess
from eightbit.benchmarks.report.document import CoverageSection
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import Count, FrozenModel
from eightbit.quantize.artifacts.audit import audit, count_torchscript

_MODULE: Final = "eightbit.quantize.artifacts.audit_process"


class LayerRisk(FrozenModel):
    """A layer's output channels, and those with two weights that may be paired and saturate."""

    name: str
    at_risk: Count
    channels: Count


class Audited(Message):
    """What was found in a model, or why it cannot be loaded.

    Attributes:
        coverage: Integer operators by kind; None where its format has no audit.
        layers: Of a TorchScript model, those with int8 weights.
    """

    input_error: str | None = None
    coverage: CoverageSection | None = None
    layers: tuple[LayerRisk, ...] = ()


def audit_apart(path: Path) -> Audited:
    """Count a model's integer operators without loading it in this process.

    Raises:
        InputError: The file is of no format, is not trusted, or its runtime cannot load it.
        WorkerCrashError: It ended its process, or took longer than it may.
    """
    read_metadata(path)
    process = WorkerProcess(_MODULE, [str(path)], where=printable(str(path)), threads=1)
    try:
        with process.patience.for_s(load_limit_s()):
            found, _ = receive_pieces(process.stdout, Audited, max_bytes=0)
    except EOFError as exc:
        raise process.crash() from exc
    finally:
        process.close()
    if found.input_error is not None:
        raise InputError(found.input_error)
    return found


def _main(path: Path) -> None:
    _, outbox = claim_standard_streams()
    trust_as_told()
    try:
        found = _audited(path)
    except InputError as exc:
        found = Audited(input_error=printable(str(exc)))
    send_pieces(outbox, found)


def _audited(path: Path) -> Audited:
    if format_of(path) is not TORCHSCRIPT:
        return Audited(coverage=audit(path))
    # Here, so that a look at an ONNX file does not load torch.
    import torch

    from eightbit.benchmarks.runtimes.runners.torchscript_runner import load_module
    from eightbit.calibration.saturation import channels_at_risk
    from eightbit.quantize.artifacts.torchscript_weights import integer_weights

    module, _ = load_module(path)
    layers = tuple(
        LayerRisk(
            name=one_line(name, 80),
            at_risk=int(channels_at_risk(weight.to(torch.int64).numpy()).sum()),
            channels=len(weight),
        )
        for name, weight in integer_weights(module)
    )
    return Audited(coverage=count_torchscript(module), layers=layers)


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
