"""The closed list of operators, with the attributes that each is known with and its weights."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from eightbit.models.doors.onnx_graphs.functions import FUNCTIONS
from eightbit.models.doors.onnx_graphs.graphs import Node
from eightbit.models.doors.onnx_graphs.host import HOST
from eightbit.models.doors.onnx_graphs.layers import LAYERS
from eightbit.models.doors.onnx_graphs.maps import MAPS

OPERATORS: Final[Mapping[str, Callable[..., Any]]] = {**FUNCTIONS, **LAYERS, **MAPS}

_LAYER: Final = {1: "weight", 2: "bias"}
_OPERANDS: Final = {place: f"operand{place}" for place in range(100)}

# Weights by input, where a constant one is a tensor rather than a number or a size.
WEIGHTS: Final[Mapping[str, Mapping[int, str]]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu"), _LAYER),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), _LAYER),
    "BatchNormalization": {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"},
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Concat"), _OPERANDS),
}

_WINDOW: Final = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
_REDUCED: Final = ("axes", "keepdims", "noop_with_empty_axes")

# What is not named here has no attributes.
_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    "AveragePool": (*_WINDOW, "ceil_mode", "count_include_pad"),
    "BatchNormalization": ("epsilon", "momentum", "spatial", "training_mode"),
    "Cast": ("to", "saturate", "round_mode"),
    "Clip": ("min", "max"),
    "Concat": ("axis",),
    "Constant": ("value", "value_float", "value_floats", "value_int", "value_ints"),
    "ConstantOfShape": ("value",),
    "Conv": (*_WINDOW, "group"),
    "ConvTranspose": (*_WINDOW, "group", "output_padding", "output_shape"),
    "DepthToSpace": ("blocksize", "mode"),
    "Dropout": ("ratio", "seed"),
    "Elu": ("alpha",),
    "Flatten": ("axis",),
    "Gather": ("axis",),
    "Gelu": ("approximate",),
    "Gemm": ("alpha", "beta", "transA", "transB"),
    "GroupNormalization": ("epsilon", "num_groups", "stash_type"),
    "HardSigmoid": ("alpha", "beta"),
    "InstanceNormalization": ("epsilon",),
    "LayerNormalization": ("axis", "epsilon", "stash_type"),
    "LeakyRelu": ("alpha",),
    "LogSoftmax": ("axis",),
    "MaxPool": (*_WINDOW, "ceil_mode", "storage_order"),
    "Pad": ("mode", "pads", "value"),
    **dict.fromkeys((f"Reduce{kind}" for kind in ("Mean", "Sum", "Max", "Min", "Prod")), _REDUCED),
    "ReduceL2": _REDUCED,
    "Reshape": ("allowzero",),
    "Resize": (
        *("antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside"),
        *("extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"),
    ),
    "Shape": ("start", "end"),
    "Slice": ("axes", "ends", "starts"),
    "Softmax": ("axis",),
    "SpaceToDepth": ("blocksize",),
    "Split": ("axis", "num_outputs", "split"),
    "Squeeze": ("axes",),
    "Swish": ("alpha",),
    "Transpose": ("perm",),
    "Unsqueeze": ("axes",),
    "Upsample": ("mode", "scales"),
}


def check_known(node: Node) -> None:
    """Refuse an operator or an attribute that is not known.

    Raises:
        InputError: Naming it.
    """
    if node.op not in OPERATORS and node.op not in HOST:
        raise node.refuse("an operator of a convolutional network", node.op)
    for name in node.attributes:
        if name not in _ATTRIBUTES.get(node.op, ()):
            raise node.refuse("attributes that are known", f"{name}={node.attributes[name]}")
