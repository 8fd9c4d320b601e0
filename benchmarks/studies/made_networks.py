r"""Networks of kinds that nobody tuned for, made from a seed and from real photos.

Usage: python -m eightbit.benchmarks.studies.made_networks --photos SRC --out DIR [KIND ...]

Each kind has a trait that a rule which fits a few trained networks may miss. Weights are drawn; the
statistics of BatchNorm, and the directions that the classifier reads, come from forward passes
over photos, so that activations and logits have real distributions. The folder of a kind gets

- `weights.pth`, a state dict, and `network.json`, which says what network it is for;
- `calibration/` and `evaluation/`, photos without classes; no photo is in both.

A kind without `structure` is one that the command line knows by its architecture.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

import torch
import typer
from torch import Tensor, nn

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.made_photos import Oddity, read_photos, write_photos
from eightbit.models.networks.architectures import build_model
from eightbit.models.networks.cifar import CifarBlock, CifarResNet
from eightbit.models.networks.resnet import BasicBlock, Bottleneck, ResNet
from eightbit.models.spec import Architecture, FrozenModel, ModelSpec, Preprocessing

# Photos that statistics are taken from, and how many run at once.
STATISTICS_PHOTOS: Final = 64
_BATCH: Final = 16

# What a block adds is smaller than what it adds to. Without, errors grow from block to block, and
# eight bits leave little of a deep network's answers.
_BRANCH: Final = 0.5

# An outlier is one channel of so many.
_OUTLIER_EVERY: Final = 64

WEIGHTS: Final = "weights.pth"
NETWORK: Final = "network.json"
CALIBRATION: Final = "calibration"
EVALUATION: Final = "evaluation"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a made network is like.

    Attributes:
        architecture: Which network.
        side: Of its input in pixels.
        seed: Of all that is drawn.
        structure: Arguments of `build_model` that the architecture leaves open.
        num_classes: Outputs.
        trained: Whether BatchNorm's scales and shifts differ from channel to channel and the
            classifier reads what differs from photo to photo, as after training; otherwise they
            are as initialised.
        tail: Degrees of freedom of Student's t distribution, from which weights are drawn; None
            for He's normal one.
        outlier_gain: Factor of one channel of 64 of every BatchNorm, at least one of each.
        dead_shift: What a random half of each BatchNorm's shifts loses: most of what leaves these
            channels is below zero, and ReLU takes it.
        residual_gain: Factor of each residual branch beside that of the block before, so that
            what the blocks add up grows or shrinks with depth.
        flat_stem: Whether the kernels of the first convolution sum to zero, so that it answers
            to texture alone.
        spike_gain: Factor of one channel of the first BatchNorm, of which only what exceeds three
            standard deviations is left above zero: rare values, and large ones.
        oddity: Of its photos: to a flat stem dithered ones are many times as large as others, and
            of stamped ones it answers to little but the stamp.
    """

    architecture: Architecture
    side: int
    seed: int
    structure: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    num_classes: int = 10
    trained: bool = True
    tail: float | None = None
    outlier_gain: float = 1.0
    dead_shift: float = 0.0
    residual_gain: float = 1.0
    flat_stem: bool = False
    oddity: Oddity = field(default_factory=Oddity)

    @property
    def spec(self) -> ModelSpec:
        """Of the network: without labels, and with photos resized to the side."""
        return ModelSpec(
            architecture=self.architecture,
            num_classes=self.num_classes,
            preprocessing=Preprocessing(resize=self.side, crop=self.side),
        )


class NetworkFile(FrozenModel):
    """What `network.json` holds: the network of the weights beside it.

    Attributes:
        spec: Of the network.
        structure: As in `Kind`.
    """

    spec: ModelSpec
    structure: dict[str, int]


def make_network(kind: Kind, photos: FloatArray) -> ResNet | CifarResNet:
    """A network of a kind, in evaluation mode.

    Args:
        kind: Which.
        photos: float32, shape (N, 3, side, side), normalised, N at least 2. On one machine with
            the same number of threads they and the kind determine every weight.
    """
    images = torch.from_numpy(photos)
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.manual_seed(kind.seed)
        model = build_model(
            kind.architecture, num_classes=kind.num_classes, include_top=True, **kind.structure
        )
        _draw_weights(model, kind)
        if kind.trained:
            _draw_scales(model, kind)
        _scale_branches(model, _BRANCH if kind.trained else 1.0, kind.residual_gain)
        _take_statistics(model, images)
        if kind.trained:
            _fit_classifier(model, images)
    return model


def _draw_weights(model: nn.Module, kind: Kind) -> None:
    """Replace the convolutions' weights by others of the same standard deviation."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and kind.tail is not None:
            heavy = torch.distributions.StudentT(kind.tail).sample(module.weight.shape)
            module.weight.copy_(heavy / heavy.std() * module.weight.std())
    if kind.flat_stem:
        stem = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        stem.weight.sub_(stem.weight.mean(dim=(2, 3), keepdim=True))


def _draw_scales(model: nn.Module, kind: Kind) -> None:
    """Give every BatchNorm scales and shifts as training leaves them, with what is planted."""
    for norm in _norms(model):
        channels = len(norm.weight)
        norm.weight.log_normal_(-0.7, 0.5)
        norm.bias.normal_(-0.1, 0.3)
        outliers = torch.randperm(channels)[: max(1, channels // _OUTLIER_EVERY)]
        norm.weight[outliers] *= kind.outlier_gain
        norm.bias[torch.rand(channels) < 0.5] -= kind.dead_shift


def _scale_branches(model: nn.Module, first: float, gain: float) -> None:
    """Multiply what the n-th block adds to the residual stream by `first * gain**n`."""
    blocks = [m for m in model.modules() if isinstance(m, BasicBlock | Bottleneck | CifarBlock)]
    for number, block in enumerate(blocks):
        last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
        last.weight.mul_(first * gain**number)
        last.bias.mul_(first * gain**number)


def _take_statistics(model: nn.Module, images: Tensor) -> None:
    """Set every BatchNorm's mean and variance to those over the images."""
    momenta = [norm.momentum for norm in _norms(model)]
    for norm in _norms(model):
        norm.momentum = None  # the mean over all batches
    model.train()
    for batch in images.split(_BATCH):
        model(batch)
    model.eval()
    for norm, momentum in zip(_norms(model), momenta, strict=True):
        norm.momentum = momentum


def _norms(model: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (module for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def _fit_classifier(model: ResNet | CifarResNet, images: Tensor) -> None:
    """Let every logit mix the directions in which photos differ most, with mean 0 and variance 1.

    What random weights read is nearly the same for all photos; a trained classifier reads what
    tells them apart.
    """
    found: list[Tensor] = []
    hook = model.fc.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    for batch in images.split(_BATCH):
        model(batch)
    hook.remove()
    features = torch.cat(found).double()
    _, _, directions = torch.linalg.svd(features - features.mean(0), full_matrices=False)
    most = directions[: 2 * model.fc.out_features]
    weight = torch.randn(model.fc.out_features, len(most), dtype=torch.float64) @ most
    logits = features @ weight.T
    spread = logits.std(0)
    model.fc.weight.copy_(weight / spread[:, None])
    model.fc.bias.copy_(-logits.mean(0) / spread)


@dataclass(frozen=True, kw_only=True)
class MadeNetwork:
    """Files of a made network.

    Attributes:
        kind: Which it is.
        weights: Its state dict.
        calibration: Folder of photos.
        evaluation: Folder of other photos.
    """

    kind: Kind
    weights: Path
    calibration: Path
    evaluation: Path


def write_network(kind: Kind, photos: Path, folder: Path) -> MadeNetwork:
    """Write a network and its photos into a folder, which is made.

    Args:
        kind: Which.
        photos: Folder or archive of photos, at least 3.
        folder: New, or as an earlier call left it.
    """
    calibration, evaluation = folder / CALIBRATION, folder / EVALUATION
    write_photos(photos, calibration, evaluation, kind.side, kind.oddity)
    plain = read_photos(calibration, kind.spec.preprocessing, STATISTICS_PHOTOS)
    model = make_network(kind, plain)
    torch.save(model.state_dict(), folder / WEIGHTS)
    described = NetworkFile(spec=kind.spec, structure=dict(kind.structure))
    (folder / NETWORK).write_text(described.model_dump_json(indent=2), encoding="utf-8")
    return MadeNetwork(
        kind=kind, weights=folder / WEIGHTS, calibration=calibration, evaluation=evaluation
    )


def command(made: MadeNetwork) -> Sequence[str]:
    """How the command line quantizes a made network.

    Raises:
        ValueError: It knows no architecture of this structure.
    """
    kind = made.kind
    if kind.structure:
        raise ValueError(f"{kind.architecture}: the command line has no {dict(kind.structure)}")
    side = str(kind.side)
    return (
        *("eightbit", "quantize", kind.architecture.value, "--weights", str(made.weights)),
        *("--resize", side, "--crop", side, "--calibrate", str(made.calibration)),
    )


# By name, from fast to slow.
KINDS: Final[Mapping[str, Kind]] = {
    "deep-and-narrow": Kind(architecture=Architecture.CIFAR_RESNET56, side=64, seed=1),
    "cifar-outliers": Kind(
        architecture=Architecture.CIFAR_RESNET20, side=64, seed=2, outlier_gain=8.0
    ),
    "plain": Kind(architecture=Architecture.RESNET18, side=64, seed=3),
    "heavy-tails": Kind(architecture=Architecture.RESNET18, side=64, seed=4, tail=2.5),
    "outlier-channels": Kind(architecture=Architecture.RESNET18, side=96, seed=5, outlier_gain=6.0),
    "outlier-images": Kind(
        architecture=Architecture.RESNET18,
        side=96,
        seed=6,
        flat_stem=True,
        oddity=Oddity(dithered_share=1 / 48),
    ),
    "stamped-images": Kind(
        architecture=Architecture.RESNET18, side=64, seed=1, flat_stem=True, oddity=Oddity(stamp=4)
    ),
    "dead-halves": Kind(architecture=Architecture.RESNET34, side=64, seed=7, dead_shift=1.5),
    "growing-residuals": Kind(
        architecture=Architecture.RESNET34, side=64, seed=8, residual_gain=1.3
    ),
    "thin": Kind(
        architecture=Architecture.RESNET50,
        side=96,
        seed=9,
        structure=MappingProxyType({"width_per_group": 16}),
        num_classes=2,
    ),
    "thin-everything": Kind(
        architecture=Architecture.RESNET50,
        side=96,
        seed=10,
        structure=MappingProxyType({"width_per_group": 32}),
        tail=4.0,
        outlier_gain=4.0,
        residual_gain=0.9,
        oddity=Oddity(dithered_share=1 / 64),
        flat_stem=True,
    ),
    "grouped": Kind(architecture=Architecture.RESNEXT50_32X4D, side=64, seed=11),
    "thin-224": Kind(
        architecture=Architecture.RESNET50,
        side=224,
        seed=12,
        structure=MappingProxyType({"width_per_group": 32}),
        num_classes=2,
    ),
    "random": Kind(
        architecture=Architecture.RESNET50, side=224, seed=0, num_classes=1000, trained=False
    ),
}


def main(
    photos: Annotated[Path, typer.Option(help="Folder or archive of photos.")],
    out: Annotated[Path, typer.Option(help="Folder for a folder of each kind.")],
    kinds: Annotated[list[str] | None, typer.Argument(metavar="KIND", help="All.")] = None,
) -> None:
    """Make networks, and say how the command line quantizes those that it can."""
    for name in kinds or KINDS:
        if name not in KINDS:
            raise typer.BadParameter(f"expected {', '.join(KINDS)}, found {name}")
        folder = out / name
        made = write_network(KINDS[name], photos, folder)
        typer.echo(f"{folder}: " + (" ".join(command(made)) if not made.kind.structure else "-"))


if __name__ == "__main__":
    typer.run(main)
