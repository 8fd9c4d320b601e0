"""From a pretrained network to verified INT8 artefacts.

Names are resolved when they are used, so that the command line starts without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eightbit.quantize.adaptive_rounding import round_adaptively
    from eightbit.quantize.bias_correction import correct_biases
    from eightbit.quantize.classification import Guess, classify
    from eightbit.quantize.config import ArtifactFormat, Mode, QuantConfig
    from eightbit.quantize.conversion import observe, quantized_network
    from eightbit.quantize.delivery import Delivery
    from eightbit.quantize.demo import run_demo
    from eightbit.quantize.diagnosis import diagnose
    from eightbit.quantize.doctor import examine_file, examine_host
    from eightbit.quantize.edge_bundle import SelfTestFailedError, write_bundle
    from eightbit.quantize.elsewhere import TakenIn, take_in_self_tests
    from eightbit.quantize.equalization import equalize
    from eightbit.quantize.findings import Examination, Finding, Severity
    from eightbit.quantize.fusion import fuse
    from eightbit.quantize.observed import ObservedNetwork
    from eightbit.quantize.onnx_export import export_onnx
    from eightbit.quantize.parameters import make_recipe
    from eightbit.quantize.pipeline import quantize, rebuild
    from eightbit.quantize.recipe import LayerParams, Provenance, Recipe, read_recipe
    from eightbit.quantize.reporting import failed_gates
    from eightbit.quantize.stages import Stages, Watcher
    from eightbit.quantize.torchscript_export import export_torchscript

_MODULES = {
    "ArtifactFormat": "config",
    "Delivery": "delivery",
    "Examination": "findings",
    "Finding": "findings",
    "Guess": "classification",
    "LayerParams": "recipe",
    "Mode": "config",
    "ObservedNetwork": "observed",
    "Provenance": "recipe",
    "QuantConfig": "config",
    "Recipe": "recipe",
    "SelfTestFailedError": "edge_bundle",
    "Severity": "findings",
    "Stages": "stages",
    "TakenIn": "elsewhere",
    "Watcher": "stages",
    "classify": "classification",
    "correct_biases": "bias_correction",
    "diagnose": "diagnosis",
    "equalize": "equalization",
    "examine_file": "doctor",
    "examine_host": "doctor",
    "export_onnx": "onnx_export",
    "export_torchscript": "torchscript_export",
    "failed_gates": "reporting",
    "fuse": "fusion",
    "make_recipe": "parameters",
    "observe": "conversion",
    "quantize": "pipeline",
    "quantized_network": "conversion",
    "read_recipe": "recipe",
    "rebuild": "pipeline",
    "round_adaptively": "adaptive_rounding",
    "run_demo": "demo",
    "take_in_self_tests": "elsewhere",
    "write_bundle": "edge_bundle",
}

__all__ = [
    "ArtifactFormat",
    "Delivery",
    "Examination",
    "Finding",
    "Guess",
    "LayerParams",
    "Mode",
    "ObservedNetwork",
    "Provenance",
    "QuantConfig",
    "Recipe",
    "SelfTestFailedError",
    "Severity",
    "Stages",
    "TakenIn",
    "Watcher",
    "classify",
    "correct_biases",
    "diagnose",
    "equalize",
    "examine_file",
    "examine_host",
    "export_onnx",
    "export_torchscript",
    "failed_gates",
    "fuse",
    "make_recipe",
    "observe",
    "quantize",
    "quantized_network",
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
