"""Measures models that run: latency, accuracy, closeness, and the report of all of it.

Nothing here knows who made a model. The names are resolved when they are used, so that a process
for one runtime does not load the other. The two renderings are imported from their modules
(`render_terminal.render_terminal`): a package cannot have a name twice.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eightbit.benchmarks.accuracy.fidelity import (
        FidelityMeter,
        FidelityResult,
        ParityMeter,
        ParityResult,
    )
    from eightbit.benchmarks.accuracy.tally import (
        AccuracyResult,
        CandidateAccuracy,
        ClassificationTally,
        Flip,
    )
    from eightbit.benchmarks.artifact.artifact import (
        Artifact,
        ArtifactMetadata,
        Precision,
        Runtime,
        open_artifact,
        read_metadata,
    )
    from eightbit.benchmarks.comparison.comparison import Comparison, compare_reports
    from eightbit.benchmarks.comparison.regression import (
        Finding,
        Tolerance,
        Verdict,
        find_regressions,
        regression_lines,
    )
    from eightbit.benchmarks.latency.launches import Candidate
    from eightbit.benchmarks.latency.results import LatencyResult, measure_latency
    from eightbit.benchmarks.processes.isolated import IsolatedRunner
    from eightbit.benchmarks.processes.process import WorkerCrashError
    from eightbit.benchmarks.report.document import Report, read_report
    from eightbit.benchmarks.runtimes.environment import Environment, read_environment
    from eightbit.benchmarks.runtimes.execution import Execution
    from eightbit.benchmarks.runtimes.onnx_runner import OnnxRunner
    from eightbit.benchmarks.runtimes.opening import open_runner
    from eightbit.benchmarks.runtimes.runner import Runner
    from eightbit.benchmarks.runtimes.torchscript_runner import TorchScriptRunner

_MODULES = {
    "AccuracyResult": "accuracy.tally",
    "Artifact": "artifact.artifact",
    "ArtifactMetadata": "artifact.artifact",
    "Candidate": "latency.launches",
    "CandidateAccuracy": "accuracy.tally",
    "ClassificationTally": "accuracy.tally",
    "Comparison": "comparison.comparison",
    "Environment": "runtimes.environment",
    "Execution": "runtimes.execution",
    "FidelityMeter": "accuracy.fidelity",
    "FidelityResult": "accuracy.fidelity",
    "Finding": "comparison.regression",
    "Flip": "accuracy.tally",
    "IsolatedRunner": "processes.isolated",
    "LatencyResult": "latency.results",
    "OnnxRunner": "runtimes.onnx_runner",
    "ParityMeter": "accuracy.fidelity",
    "ParityResult": "accuracy.fidelity",
    "Precision": "artifact.artifact",
    "Report": "report.document",
    "Runner": "runtimes.runner",
    "Runtime": "artifact.artifact",
    "Tolerance": "comparison.regression",
    "TorchScriptRunner": "runtimes.torchscript_runner",
    "Verdict": "comparison.regression",
    "WorkerCrashError": "processes.process",
    "compare_reports": "comparison.comparison",
    "find_regressions": "comparison.regression",
    "measure_latency": "latency.results",
    "open_artifact": "artifact.artifact",
    "open_runner": "runtimes.opening",
    "read_environment": "runtimes.environment",
    "read_metadata": "artifact.artifact",
    "read_report": "report.document",
    "regression_lines": "comparison.regression",
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
