"""Every kind of layer that is known, what it may be told, and who draws it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import torch

from eightbit.models.doors.keras import arithmetic, layers, maps
from eightbit.models.doors.keras.arithmetic import affine, constant_part
from eightbit.models.doors.keras.drawing import Value
from eightbit.models.doors.keras.making import Making
from eightbit.models.doors.keras.options import AxisOptions, IdleOptions, NoOptions, Options

Draw = Callable[[Making[Any]], Value]


def _named(activation: str) -> Draw:
    """An operation that is an activation."""
    return lambda making: making.activated(making.raw(), activation)


# Do nothing after training.
IDLE: Final = frozenset(
    {
        *("Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout"),
        *("ActivityRegularization", "Identity", "StochasticDepth"),
        *("RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
        *("RandomBrightness", "RandomCrop", "RandomErasing", "RandomColorJitter", "RandomHue"),
        *("RandomSaturation", "RandomSharpness", "RandomGrayscale", "RandomShear"),
        *("RandomGaussianBlur", "RandomInvert", "RandomPosterization", "RandomPerspective"),
        *("AugMix", "CutMix", "MixUp", "RandAugment"),
    }
)

# Operations on a result and a constant: what they are, and the name of the second operand.
_OPERATIONS: Final[Mapping[str, tuple[str, str]]] = {
    "op:Add": ("add", "x2"),
    "op:Subtract": ("subtract", "x2"),
    "op:Multiply": ("multiply", "x2"),
    "op:TrueDivide": ("divide", "x2"),
    "op:Divide": ("divide", "x2"),
    "op:__operators__.add": ("add", "y"),
    "op:__operators__.subtract": ("subtract", "y"),
    "op:__operators__.multiply": ("multiply", "y"),
    "op:__operators__.truediv": ("divide", "y"),
    "op:math.add": ("add", "y"),
    "op:math.subtract": ("subtract", "y"),
    "op:math.multiply": ("multiply", "y"),
    "op:math.truediv": ("divide", "y"),
    "op:math.divide": ("divide", "y"),
    "op:nn.bias_add": ("add", "bias"),
}

# What else the calls of layers and operations are told by name.
ARGUMENTS: Final = frozenset({"axis", *(second for _, second in _OPERATIONS.values())})

# Those that are affine in the images where a constant is among their operands.
AFFINE: Final[Mapping[str, tuple[type[Options], Callable[[Any], arithmetic.Affine]]]] = {
    "Rescaling": (arithmetic.RescalingOptions, arithmetic.rescaled),
    "Normalization": (arithmetic.NormalizationOptions, arithmetic.normalized),
    **{
        kind: (NoOptions, partial(constant_part, name=name, second=second))
        for kind, (name, second) in _OPERATIONS.items()
    },
}

KINDS: Final[Mapping[str, tuple[type[Options], Draw]]] = {
    "Conv2D": (layers.Conv2DOptions, layers.convolution),
    "DepthwiseConv2D": (layers.DepthwiseOptions, layers.depthwise),
    "SeparableConv2D": (layers.SeparableOptions, layers.separable),
    "Dense": (layers.DenseOptions, layers.dense),
    "BatchNormalization": (layers.BatchNormOptions, layers.batch_norm),
    "SyncBatchNormalization": (layers.BatchNormOptions, layers.batch_norm),
    "LayerNormalization": (layers.LayerNormOptions, layers.layer_norm),
    "Activation": (maps.ActivationOptions, maps.activation),
    "ReLU": (maps.ReLUOptions, maps.relu),
    "LeakyReLU": (maps.SlopeOptions, maps.leaky_relu),
    "Softmax": (AxisOptions, maps.softmax),
    "Flatten": (maps.FlattenOptions, maps.flatten),
    "Reshape": (maps.ReshapeOptions, maps.reshape),
    "Permute": (maps.PermuteOptions, maps.permute),
    "MaxPooling2D": (maps.PoolOptions, maps.max_pool),
    "AveragePooling2D": (maps.PoolOptions, maps.average_pool),
    "GlobalAveragePooling2D": (maps.GlobalPoolOptions, maps.global_average_pool),
    "GlobalMaxPooling2D": (maps.GlobalPoolOptions, maps.global_max_pool),
    "ZeroPadding2D": (maps.PaddingOptions, maps.zero_padding),
    "Cropping2D": (maps.CroppingOptions, maps.cropping),
    "UpSampling2D": (maps.UpSamplingOptions, maps.up_sampling),
    "Add": (Options, arithmetic.merged(torch.add)),
    "Subtract": (Options, arithmetic.merged(torch.sub)),
    "Multiply": (Options, arithmetic.merged(torch.mul)),
    "Maximum": (Options, arithmetic.merged(torch.maximum)),
    "Minimum": (Options, arithmetic.merged(torch.minimum)),
    "Average": (Options, arithmetic.average),
    "Concatenate": (AxisOptions, arithmetic.concatenate),
    "Rescaling": (arithmetic.RescalingOptions, affine(arithmetic.rescaled)),
    "Normalization": (arithmetic.NormalizationOptions, affine(arithmetic.normalized)),
    **{
        kind: (NoOptions, arithmetic.operation(name, second))
        for kind, (name, second) in _OPERATIONS.items()
    },
    **{
        f"op:{name}": (NoOptions, _named(activation))
        for name, activation in {
            "Relu": "relu",
            "Relu6": "relu6",
            "Sigmoid": "sigmoid",
            "Tanh": "tanh",
            "Silu": "silu",
            "HardSilu": "hard_silu",
            "HardSigmoid": "hard_sigmoid",
            "nn.relu": "relu",
            "nn.relu6": "relu6",
            "nn.silu": "silu",
            "nn.swish": "silu",
            "math.sigmoid": "sigmoid",
            "math.tanh": "tanh",
        }.items()
    },
    **dict.fromkeys(IDLE, (IdleOptions, maps.identity)),
}
