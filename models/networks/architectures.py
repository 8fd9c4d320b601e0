"""Which network a name stands for."""

import functools
import math

import torch

from eightbit.models.errors import InputError
from eightbit.models.networks.cifar import CifarResNet
from eightbit.models.networks.resnet import BasicBlock, Bottleneck, ResNet
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing

_Builder = functools.partial[ResNet] | functools.partial[CifarResNet]

_IMAGENET_CLASSES = 1000
_CIFAR_CLASSES = 10
_IMAGENET_PREPROCESSING = Preprocessing(resize=256, crop=224)
_CIFAR_PREPROCESSING = Preprocessing(resize=32, crop=32)


def default_num_classes(architecture: Architecture) -> int:
    """Number of classes of the data set that the architecture was made for."""
    return _CIFAR_CLASSES if architecture.is_cifar else _IMAGENET_CLASSES


def default_preprocessing(architecture: Architecture) -> Preprocessing:
    """Preprocessing where the weights do not say: that of the architecture's own data set."""
    return _CIFAR_PREPROCESSING if architecture.is_cifar else _IMAGENET_PREPROCESSING


def build_model(
    architecture: Architecture,
    *,
    num_classes: int | None = None,
    include_top: bool = True,
    **kwargs: object,
) -> ResNet | CifarResNet:
    """Build a network with random weights, in training mode.

    Args:
        architecture: Which network.
        num_classes: Width of the classifier; None for the architecture's own data set.
        include_top: Whether there is a pooling and a classifier.
        **kwargs: Further arguments of `ResNet`, except those that define the architecture, such
            as the groups of a ResNeXt.

    Raises:
        InputError: An argument that this architecture cannot have.
    """
    builder = _BUILDERS[architecture]
    fixed = sorted(builder.keywords.keys() & kwargs.keys())
    if fixed:
        raise InputError(
            f"{architecture}: {', '.join(fixed)} cannot be given, it makes this architecture what"
            " it is; take another architecture"
        )
    if num_classes is None:
        num_classes = default_num_classes(architecture)
    if num_classes < 1:
        raise InputError(f"{architecture}: num_classes: expected at least 1, found {num_classes}")
    try:
        return builder(num_classes=num_classes, include_top=include_top, **kwargs)
    except TypeError as exc:
        raise InputError(f"{architecture}: {exc}") from exc


def build_from_spec(spec: ModelSpec) -> ResNet | CifarResNet:
    """Build the network that a spec describes, with random weights, in training mode.

    Raises:
        InputError: This project does not build it.
    """
    if not isinstance(spec.architecture, Architecture):
        raise InputError(
            f"{spec.architecture}: expected an architecture that `eightbit models` lists, found "
            "another network's name, whose operations a recipe holds"
        )
    return build_model(spec.architecture, num_classes=spec.num_classes)


@functools.cache
def state_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a state dict with the default classifier, without allocating it."""
    with torch.device("meta"):
        model = build_model(architecture)
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def parameter_count(architecture: Architecture) -> int:
    """Number of trainable parameters, with the default number of classes."""
    shapes = state_shapes(architecture)
    return sum(
        math.prod(shape)
        for key, shape in shapes.items()
        if key.endswith((".weight", ".bias"))  # the rest of a BatchNorm's state is statistics
    )


_BUILDERS: dict[Architecture, _Builder] = {
    Architecture.RESNET18: functools.partial(ResNet, BasicBlock, (2, 2, 2, 2)),
    Architecture.RESNET34: functools.partial(ResNet, BasicBlock, (3, 4, 6, 3)),
    Architecture.RESNET50: functools.partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    Architecture.RESNET101: functools.partial(ResNet, Bottleneck, (3, 4, 23, 3)),
    Architecture.RESNET152: functools.partial(ResNet, Bottleneck, (3, 8, 36, 3)),
    Architecture.RESNEXT50_32X4D: functools.partial(
        ResNet, Bottleneck, (3, 4, 6, 3), groups=32, width_per_group=4
    ),
    Architecture.RESNEXT101_32X8D: functools.partial(
        ResNet, Bottleneck, (3, 4, 23, 3), groups=32, width_per_group=8
    ),
    Architecture.RESNEXT101_64X4D: functools.partial(
        ResNet, Bottleneck, (3, 4, 23, 3), groups=64, width_per_group=4
    ),
    Architecture.WIDE_RESNET50_2: functools.partial(
        ResNet, Bottleneck, (3, 4, 6, 3), width_per_group=128
    ),
    Architecture.WIDE_RESNET101_2: functools.partial(
        ResNet, Bottleneck, (3, 4, 23, 3), width_per_group=128
    ),
    Architecture.CIFAR_RESNET20: functools.partial(CifarResNet, depth=20),
    Architecture.CIFAR_RESNET32: functools.partial(CifarResNet, depth=32),
    Architecture.CIFAR_RESNET44: functools.partial(CifarResNet, depth=44),
    Architecture.CIFAR_RESNET56: functools.partial(CifarResNet, depth=56),
    Architecture.CIFAR_RESNET110: functools.partial(CifarResNet, depth=110),
}
