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
    from eightbit.benchmarks.comparing import Comparison, compare_reports
    from eightbit.benchmarks.contract import Runner
    from eightbit.benchmarks.environment import Environment, read_environment
    from eightbit.benchmarks.execution import Execution
    from eightbit.benchmarks.fidelity import (
        FidelityMeter,
        FidelityResult,
        ParityMeter,
        ParityResult,
    )
    from eightbit.benchmarks.isolated import IsolatedRunner
    from eightbit.benchmarks.latency import LatencyResult, measure_latency
    from eightbit.benchmarks.launches import Candidate
    from eightbit.benchmarks.onnx_runner import OnnxRunner
    from eightbit.benchmarks.regression import Tolerance, find_regressions
    from eightbit.benchmarks.regression_findings import Finding, Verdict, regression_lines
    from eightbit.benchmarks.report import Report, read_report
    from eightbit.benchmarks.runners import open_runner
    from eightbit.benchmarks.torchscript_runner import TorchScriptRunner
    from eightbit.benchmarks.worker_process import WorkerCrashError

_MODULES = {
    "AccuracyResult": "accuracy",
    "Artifact": "artifact",
    "ArtifactMetadata": "artifact",
    "Candidate": "launches",
    "CandidateAccuracy": "accuracy",
    "ClassificationTally": "accuracy",
    "Comparison": "comparing",
    "Environment": "environment",
    "Execution": "execution",
    "FidelityMeter": "fidelity",
    "FidelityResult": "fidelity",
    "Finding": "regression_findings",
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
    "Tolerance": "regression",
    "TorchScriptRunner": "torchscript_runner",
    "Verdict": "regression_findings",
    "WorkerCrashError": "worker_process",
    "compare_reports": "comparing",
    "find_regressions": "regression",
    "measure_latency": "latency",
    "open_artifact": "artifact",
    "open_runner": "runners",
    "read_environment": "environment",
    "read_metadata": "artifact",
    "read_report": "report",
    "regression_lines": "regression_findings",
}

__all__ = [
    "AccuracyResult",
    "Artifact",
    "ArtifactMetadata",
    "Candidate",
    "CandidateAccuracy",
    "ClassificationTally",
    "Comparison",
    "Environment",
    "Execution",
    "FidelityMeter",
    "FidelityResult",
    "Finding",
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
    "Tolerance",
    "TorchScriptRunner",
    "Verdict",
    "WorkerCrashError",
    "compare_reports",
    "find_regressions",
    "measure_latency",
    "open_artifact",
    "open_runner",
    "read_environment",
    "read_metadata",
    "read_report",
    "regression_lines",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
