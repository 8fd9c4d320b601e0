"""Imports torchvision beside a torch that its compiled operators were not built for.

torchvision's ordinary wheel is linked against a CUDA build of torch. Beside a CPU-only torch its
C++ operators cannot be loaded, and the import fails with `operator torchvision::nms does not
exist`, because it describes them to torch's compiler. Declaring the two schemas is enough for the
import; the operators stay absent and raise when called, but classification needs none of them.
"""

import functools
import importlib
import sys
from types import ModuleType

import torch

_MISSING_OPERATOR = "operator torchvision::nms does not exist"
_BOX_SUPPRESSION_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def import_torchvision() -> ModuleType:
    """Import torchvision; where its operators cannot be loaded, declare them first.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: torchvision fails for another reason than its missing operators.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as exc:
        if _MISSING_OPERATOR not in str(exc):
            raise
    # The failed import leaves some of torchvision's modules behind, half initialised.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declare_operators()
    return importlib.import_module("torchvision")


@functools.cache
def _declare_operators() -> torch.library.Library:
    """Declare the two schemas once; the cache keeps the library alive, and them with it."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _BOX_SUPPRESSION_SCHEMAS:
        library.define(schema)
    return library
