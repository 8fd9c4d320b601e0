"""Train the network that `eightbit demo` quantizes.

    python -m eightbit.benchmarks.studies.train_digits models/assets/digits_resnet20.safetensors

Only training images are ever looked at, and the last epoch is the result: the held-out images
choose nothing, they are counted once at the end. The same seed gives the same bytes on the same
kind of CPU with the same version of torch.
"""

import math
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from torch import Tensor, nn

from eightbit.models.digits import LABELS, Digits, load_digits_split
from eightbit.models.images.preprocessing import preprocess
from eightbit.models.networks.architectures import build_model, default_preprocessing
from eightbit.models.spec import Architecture

ARCHITECTURE: Final = Architecture.CIFAR_RESNET20

_THREADS: Final = 2
_BATCH: Final = 36  # divides the 1,080 training images: no small last batch upsets the BatchNorms
_PEAK_LEARNING_RATE: Final = 0.1
_MAX_ROTATION_DEGREES: Final = 10.0
_MAX_SCALE_CHANGE: Final = 0.1
_MAX_SHIFT: Final = 0.125  # of half the side: 2 pixels


def train(digits: Digits, *, seed: int, epochs: int) -> nn.Module:
    """Train from random weights, SGD with momentum and a one-cycle schedule.

    Args:
        digits: The training images.
        seed: Seed of the weights, the order and the augmentation.
        epochs: Passes over the images.

    Returns:
        The network in evaluation mode.
    """
    torch.manual_seed(seed)
    model = build_model(ARCHITECTURE, num_classes=len(LABELS)).train()
    pixels = torch.from_numpy(digits.images).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(digits.labels)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=_PEAK_LEARNING_RATE, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    steps_per_epoch = math.ceil(len(labels) / _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=_PEAK_LEARNING_RATE, total_steps=epochs * steps_per_epoch
    )
    for epoch in range(epochs):
        losses = []
        for chosen in torch.randperm(len(labels)).split(_BATCH):
            logits = model(_normalised(_augmented(pixels[chosen])))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        typer.echo(f"epoch {epoch + 1}/{epochs}: training loss {np.mean(losses):.4f}")
    return model.eval()


def count_correct(model: nn.Module, digits: Digits) -> int:
    """Count the images that a network in evaluation mode gets right, preprocessed as any photo."""
    preprocessing = default_preprocessing(ARCHITECTURE)
    images = [preprocess(Image.fromarray(image), preprocessing) for image in digits.images]
    with torch.inference_mode():
        batches = torch.from_numpy(np.stack(images)).split(256)
        predicted = torch.cat([model(batch).argmax(dim=1) for batch in batches])
    return int((predicted == torch.from_numpy(digits.labels)).sum())


def _augmented(pixels: Tensor) -> Tensor:
    """Turn, scale and shift each image a little, by amounts of its own.

    Args:
        pixels: float32, shape (N, 3, H, W), 0..1.

    Returns:
        The same shape and range; what comes in from outside is black, as the paper is.
    """
    count = len(pixels)
    angle = _uniform(count, math.radians(_MAX_ROTATION_DEGREES))
    scale = 1 + _uniform(count, _MAX_SCALE_CHANGE)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = [cos, -sin, _uniform(count, _MAX_SHIFT), sin, cos, _uniform(count, _MAX_SHIFT)]
    affine = torch.stack(rows, dim=1).view(count, 2, 3)
    grid = F.affine_grid(affine, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, align_corners=False)


def _uniform(count: int, bound: float) -> Tensor:
    """float32, shape (count,), between -bound and bound."""
    return (2 * torch.rand(count) - 1) * bound


def _normalised(pixels: Tensor) -> Tensor:
    """What `preprocess` does after scaling to 0..1; float32, shape (N, 3, H, W)."""
    preprocessing = default_preprocessing(ARCHITECTURE)
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def main(
    out: Annotated[Path, typer.Argument(metavar="OUT.safetensors", dir_okay=False, writable=True)],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 30,
) -> None:
    """Train cifar_resnet20 on handwritten digits and store its weights."""
    torch.set_num_threads(_THREADS)
    digits = load_digits_split()
    model = train(digits.training, seed=seed, epochs=epochs)
    correct, count = count_correct(model, digits.held_out), len(digits.held_out.labels)
    weights = {
        # Of no effect on inference, and not needed to load.
        key: value
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    safetensors.torch.save_file(weights, out)
    out.chmod(0o644)  # save_file's files are private, this one is shipped
    typer.echo(f"held-out images: {correct} of {count} right ({correct / count:.2%})")


if __name__ == "__main__":
    typer.run(main)
