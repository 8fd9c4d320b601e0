"""From a pretrained network to verified INT8 artefacts.

Names are resolved when they are used, so that the command line starts without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eightbit.quantize.algorithms.bias_correction import correct_biases
    from eightbit.quantize.algorithms.equalization import equalize
    from eightbit.quantize.algorithms.gptq import round_adaptively
    from eightbit.quantize.artifacts.onnx_export import export_float_onnx, export_onnx
    from eightbit.quantize.artifacts.torchscript_export import export_torchscript
    from eightbit.quantize.cli.classification import Guess, classify
    from eightbit.quantize.cli.demo import run_demo
    from eightbit.quantize.commands.verify import Verified
    from eightbit.quantize.config import ArtifactFormat, Delivery, Mode, QuantConfig
    from eightbit.quantize.deploy.archive import SelfTestFailedError, write_bundle
    from eightbit.quantize.deploy.boards import take_in_self_tests
    from eightbit.quantize.doctor.examine import examine_file, examine_host
    from eightbit.quantize.doctor.findings import Examination, Finding, Severity
    from eightbit.quantize.front_ends.front_ends import observe, quantized_module
    from eightbit.quantize.front_ends.observed import ObservedNetwork
    from eightbit.quantize.measure.diagnosis import diagnose
    from eightbit.quantize.measure.report import failed_gates
    from eightbit.quantize.network.network import Network, fuse
    from eightbit.quantize.pipeline import quantize, rebuild
    from eightbit.quantize.recipe.choose import make_recipe
    from eightbit.quantize.recipe.fit import Quantized
    from eightbit.quantize.recipe.recipe import LayerParams, Provenance, Recipe, read_recipe
    from eightbit.quantize.stages import Stages, Watcher

_MODULES = {
    "ArtifactFormat": "config",
    "Delivery": "config",
    "Examination": "doctor.findings",
    "Finding": "doctor.findings",
    "Guess": "cli.classification",
    "LayerParams": "recipe.recipe",
    "Mode": "config",
    "Network": "network.network",
    "ObservedNetwork": "front_ends.observed",
    "Provenance": "recipe.recipe",
    "QuantConfig": "config",
    "Quantized": "recipe.fit",
    "Recipe": "recipe.recipe",
    "SelfTestFailedError": "deploy.archive",
    "Severity": "doctor.findings",
    "Stages": "stages",
    "Verified": "commands.verify",
    "Watcher": "stages",
    "classify": "cli.classification",
    "correct_biases": "algorithms.bias_correction",
    "diagnose": "measure.diagnosis",
    "equalize": "algorithms.equalization",
    "examine_file": "doctor.examine",
    "examine_host": "doctor.examine",
    "export_float_onnx": "artifacts.onnx_export",
    "export_onnx": "artifacts.onnx_export",
    "export_torchscript": "artifacts.torchscript_export",
    "failed_gates": "measure.report",
    "fuse": "network.network",
    "make_recipe": "recipe.choose",
    "observe": "front_ends.front_ends",
    "quantize": "pipeline",
    "quantized_module": "front_ends.front_ends",
    "read_recipe": "recipe.recipe",
    "rebuild": "pipeline",
    "round_adaptively": "algorithms.gptq",
    "run_demo": "cli.demo",
    "take_in_self_tests": "deploy.boards",
    "write_bundle": "deploy.archive",
}

__all__ = [
    "ArtifactFormat",
    "Delivery",
    "Examination",
    "Finding",
    "Guess",
    "LayerParams",
    "Mode",
    "Network",
    "ObservedNetwork",
    "Provenance",
    "QuantConfig",
    "Quantized",
    "Recipe",
    "SelfTestFailedError",
    "Severity",
    "Stages",
    "Verified",
    "Watcher",
    "classify",
    "correct_biases",
    "diagnose",
    "equalize",
    "examine_file",
    "examine_host",
    "export_float_onnx",
    "export_onnx",
    "export_torchscript",
    "failed_gates",
    "fuse",
    "make_recipe",
    "observe",
    "quantize",
    "quantized_module",
    "read_recipe",
    "rebuild",
    "round_adaptively",
    "run_demo",
    "take_in_self_tests",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
