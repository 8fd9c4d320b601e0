"""Bias correction: a channel's bias absorbs the mean error that rounding leaves in it.

Rounded weights and clipped activations shift the mean of a layer's sums, and over fifty layers
such shifts add up. They are measured on images: Nagel et al., "Data-Free Quantization Through
Weight Equalization and Bias Correction" (arXiv:1906.04721), section 4.2 and appendix D (empirical,
layer by layer, each on the already corrected layers before it).
"""

import numpy as np
import torch

from eightbit.calibration import bias_params, quantize
from eightbit.calibration.qparams import real_numbers
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.recipe import LayerParams, Recipe


@own_state()
def correct_biases(network: Network, recipe: Recipe, images: torch.Tensor) -> Recipe:
    """A recipe whose biases undo the mean error of each output channel.

    The mean is over images and positions. An image whose sums are larger than those of the median
    image weighs less, by the ratio of their mean squares, or a few outliers would bias all others.
    ``images`` are float32, shape (N, 3, H, W): all at once, because each layer needs their means
    behind the corrected layers before it.
    """
    correction = BiasCorrection(network, recipe)
    correction.propagate(images)
    return recipe.model_copy(
        update={
            "layers": {**recipe.layers, **correction.layers},
            "decided": recipe.decided.model_copy(update={"bias_correction": True}),
        }
    )


class BiasCorrection(PairedNetwork):
    """Corrects every layer as the images pass through it; ``layers`` are those corrected so far."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__(network, recipe)
        self.layers: dict[str, LayerParams] = {}

    def on_layer(self, name: str, sums: Pair) -> Pair:
        """Correct this layer, and let its sums go on corrected."""
        shift = _weighted_mean(sums)
        params = self.recipe.layers[name]
        (input_scale,) = self.recipe.activations[self.inputs[name]].scale
        scale = bias_params(params.weight, input_scale)
        before = np.array(params.bias, dtype=np.int64)
        integers = quantize(real_numbers(before, scale) + shift.numpy(), scale)
        self.layers[name] = params.model_copy(update={"bias": tuple(integers.tolist())})
        moved = torch.from_numpy(real_numbers(integers - before, scale).astype(np.float32))
        sums.rounded.add_(moved.reshape(1, -1, *[1] * (sums.rounded.dim() - 2)))
        return sums


def _weighted_mean(sums: Pair) -> torch.Tensor:
    """Mean error of each channel: float64, shape (O,)."""
    # Reduced first and subtracted then: the whole error need not lie in memory.
    errors = (_image_means(sums.exact) - _image_means(sums.rounded)).double()
    everything = tuple(range(1, sums.exact.dim()))
    energy = torch.linalg.vector_norm(sums.exact, dim=everything).double().square()
    # A layer that is zero on the median image has no scale to compare with: all weigh the same.
    weights = (energy.median() / energy).clamp(max=1.0) if energy.median() else energy * 0 + 1
    mean: torch.Tensor = (errors * weights[:, None]).sum(0) / weights.sum()
    return mean


def _image_means(x: torch.Tensor) -> torch.Tensor:
    """Mean of each channel of each image: float32, shape (N, C)."""
    return x.mean(tuple(range(2, x.dim()))) if x.dim() > 2 else x
