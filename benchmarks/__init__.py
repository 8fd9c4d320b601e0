"""Measures models that run: latency, accuracy, closeness, and the report of all of it.

Nothing here knows who made a model. The names are resolved when they are used, so that a process
for one runtime does not load the other. The two renderings are imported from their modules
(`render_terminal.render_terminal`): a package cannot have a name twice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eightbit.benchmarks.accuracy import (
        AccuracyResult,
        CandidateAccuracy,
        ClassificationTally,
        Flip,
    )
    from eightbit.benchmarks.artifact import (
        Artifact,
        ArtifactMetadata,
        Precision,
        Runtime,
        open_artifact,
        read_metadata,
    )
    from eightbit.benchmarks.contract import Runner
    from eightbit.benchmarks.environment import Environment, read_environment
    from eightbit.benchmarks.execution import Execution
    from eightbit.benchmarks.fidelity import (
        FidelityMeter,
        FidelityResult,
        ParityMeter,
        ParityResult,
    )
    from eightbit.benchmarks.isolated import IsolatedRunner, WorkerCrashError
    from eightbit.benchmarks.latency import Candidate, LatencyResult, measure_latency
    from eightbit.benchmarks.onnx_runner import OnnxRunner
    from eightbit.benchmarks.report import Report, read_report
    from eightbit.benchmarks.runners import open_runner
    from eightbit.benchmarks.torchscript_runner import TorchScriptRunner

_MODULES = {
    "AccuracyResult": "accuracy",
    "Artifact": "artifact",
    "ArtifactMetadata": "artifact",
    "Candidate": "latency",
    "CandidateAccuracy": "accuracy",
    "ClassificationTally": "accuracy",
    "Environment": "environment",
    "Execution": "execution",
    "FidelityMeter": "fidelity",
    "FidelityResult": "fidelity",
    "Flip": "accuracy",
    "IsolatedRunner": "isolated",
    "LatencyResult": "latency",
    "OnnxRunner": "onnx_runner",
    "ParityMeter": "fidelity",
    "ParityResult": "fidelity",
    "Precision": "artifact",
    "Report": "report",
    "Runner": "contract",
    "Runtime": "artifact",
    "TorchScriptRunner": "torchscript_runner",
    "WorkerCrashError": "isolated",
    "measure_latency": "latency",
    "open_artifact": "artifact",
    "open_runner": "runners",
    "read_environment": "environment",
    "read_metadata": "artifact",
    "read_report": "report",
}

__all__ = [
    "AccuracyResult",
    "Artifact",
    "ArtifactMetadata",
    "Candidate",
    "CandidateAccuracy",
    "ClassificationTally",
    "Environment",
    "Execution",
    "FidelityMeter",
    "FidelityResult",
    "Flip",
    "IsolatedRunner",
    "LatencyResult",
    "OnnxRunner",
    "ParityMeter",
    "ParityResult",
    "Precision",
    "Report",
    "Runner",
    "Runtime",
    "TorchScriptRunner",
    "WorkerCrashError",
    "measure_latency",
    "open_artifact",
    "open_runner",
    "read_environment",
    "read_metadata",
    "read_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
