"""A recipe that leaves some operations in float, made anew from one that leaves none."""

from collections.abc import Collection

import torch
from torch import nn

from eightbit.quantize.algorithms.bias_correction import correct_biases
from eightbit.quantize.recipe.recipe import Recipe, leave_float


def partly_float(
    fused: nn.Module, recipe: Recipe, names: Collection[str], images: torch.Tensor
) -> Recipe:
    """The recipe that one gets by asking for these operations in float from the beginning.

    Ranges and weights of what stays in integers are chosen one by one and stay as they are; the
    biases are corrected for the noise that is left.

    Args:
        fused: The float network after fusion.
        recipe: With everything in integers; whether its biases are corrected makes no difference.
        names: Convolutions, linear layers and residual adds, by tensor name.
        images: To correct biases with, if the recipe's intent says so: float32, (N, 3, H, W).
    """
    partly = leave_float(recipe, fused, names)
    return correct_biases(fused, partly, images) if recipe.config.bias_correction else partly
