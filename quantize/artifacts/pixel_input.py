"""Pixels into a network: the first operations of a model that normalises its input itself.

They are those of `preprocessing.normalise`, in float32 and in its order, so that the integers are
identical. The first convolution comes after them, so its border is padded with real zero, the mean
colour, as in training.
"""

import numpy as np
import numpy.typing as npt
import torch
from onnx import TensorProto
from torch import Tensor, nn

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.model_input import PREPROCESSED
from eightbit.models.images.preprocessing import PIXEL_MAX, channel_statistics
from eightbit.models.spec import Preprocessing
from eightbit.quantize.artifacts.onnx_graph import GraphWriter


def write_input(writer: GraphWriter, name: str, metadata: ArtifactMetadata) -> str:
    """Write the nodes that preprocess the input ``name`` as its metadata say.

    Returns the ONNX name of the preprocessed images, float32 (N, 3, H, W).
    """
    if metadata.input == PREPROCESSED:
        return name
    mean, std = _per_channel(metadata.spec.preprocessing)
    pixels = name
    if metadata.input.layout == "NHWC":
        pixels = writer.node("Transpose", [name], f"{name}/nchw", perm=[0, 3, 1, 2])
    real = writer.node("Cast", [pixels], f"{name}/float", to=TensorProto.FLOAT)
    for operator, constant, result, array in (
        ("Div", "pixel_max", "scaled", np.array(PIXEL_MAX)),
        ("Sub", "mean", "centred", mean),
        ("Div", "std", "normalised", std),
    ):
        number = writer.constant(f"{name}.{constant}", array)
        real = writer.node(operator, [real, number], f"{name}/{result}")
    return real


def with_input(network: nn.Module, metadata: ArtifactMetadata) -> nn.Module:
    """A network of preprocessed images, float32 (N, 3, H, W), behind the input of the metadata."""
    if metadata.input == PREPROCESSED:
        return network
    channels_last = metadata.input.layout == "NHWC"
    return nn.Sequential(PixelInput(metadata.spec.preprocessing, channels_last), network)


class PixelInput(nn.Module):
    """Normalises pixels of shape (N, H, W, 3) if ``channels_last``, otherwise (N, 3, H, W)."""

    scale: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing, channels_last: bool) -> None:
        super().__init__()
        self.channels_last = channels_last
        mean, std = _per_channel(preprocessing)
        self.register_buffer("scale", torch.tensor(PIXEL_MAX))
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", torch.from_numpy(std))

    def forward(self, x: Tensor) -> Tensor:
        """Map uint8 pixels to preprocessed images, float32 (N, 3, H, W).

        Raises:
            AssertionError: Not uint8; preprocessed images would otherwise be preprocessed again.
        """
        torch._assert(x.dtype == torch.uint8, "expected pixels as uint8")
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        return (x.to(torch.float32) / self.scale - self.mean) / self.std


def _per_channel(
    preprocessing: Preprocessing,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mean and standard deviation, float32 of shape (1, 3, 1, 1)."""
    mean, std = channel_statistics(preprocessing)
    return mean.reshape(1, 3, 1, 1), std.reshape(1, 3, 1, 1)
