"""Networks, their weights, and the images that go into them.

Names are resolved when they are first used (PEP 562), so that reading images, preprocessing and
labels need no torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eightbit.models.architectures import (
        build_from_spec,
        build_model,
        default_num_classes,
        default_preprocessing,
        parameter_count,
    )
    from eightbit.models.checkpoints import Checkpoint, load_into, read_state_dict
    from eightbit.models.cifar import CifarResNet, OptionAShortcut
    from eightbit.models.decoding import decode_image
    from eightbit.models.errors import InputError, UnusableImage
    from eightbit.models.fusable import FusableNetwork
    from eightbit.models.label_files import read_class_names, read_image_labels
    from eightbit.models.labels import (
        ClassMatch,
        LabelRule,
        imagenet_wnids,
        match_classes,
        resolve_labels,
    )
    from eightbit.models.loading import LoadedImage, SkippedImage, load_images
    from eightbit.models.preprocessing import preprocess
    from eightbit.models.pretrained import Pretrained, load_pretrained, weight_names
    from eightbit.models.resnet import BasicBlock, Bottleneck, ResNet
    from eightbit.models.sampling import balanced_order
    from eightbit.models.sources import ImageItem, ImageSource, open_source
    from eightbit.models.spec import Architecture, FrozenModel, ModelSpec, Preprocessing
    from eightbit.models.vision_guard import import_torchvision

_MODULE_OF = {
    name: module
    for module, names in {
        "architectures": (
            "build_from_spec",
            "build_model",
            "default_num_classes",
            "default_preprocessing",
            "parameter_count",
        ),
        "checkpoints": ("Checkpoint", "load_into", "read_state_dict"),
        "cifar": ("CifarResNet", "OptionAShortcut"),
        "decoding": ("decode_image",),
        "errors": ("InputError", "UnusableImage"),
        "fusable": ("FusableNetwork",),
        "label_files": ("read_class_names", "read_image_labels"),
        "labels": ("ClassMatch", "LabelRule", "imagenet_wnids", "match_classes", "resolve_labels"),
        "loading": ("LoadedImage", "SkippedImage", "load_images"),
        "preprocessing": ("preprocess",),
        "pretrained": ("Pretrained", "load_pretrained", "weight_names"),
        "resnet": ("BasicBlock", "Bottleneck", "ResNet"),
        "sampling": ("balanced_order",),
        "sources": ("ImageItem", "ImageSource", "open_source"),
        "spec": ("Architecture", "FrozenModel", "ModelSpec", "Preprocessing"),
        "vision_guard": ("import_torchvision",),
    }.items()
    for name in names
}

__all__ = [
    "Architecture",
    "BasicBlock",
    "Bottleneck",
    "Checkpoint",
    "CifarResNet",
    "ClassMatch",
    "FrozenModel",
    "FusableNetwork",
    "ImageItem",
    "ImageSource",
    "InputError",
    "LabelRule",
    "LoadedImage",
    "ModelSpec",
    "OptionAShortcut",
    "Preprocessing",
    "Pretrained",
    "ResNet",
    "SkippedImage",
    "UnusableImage",
    "balanced_order",
    "build_from_spec",
    "build_model",
    "decode_image",
    "default_num_classes",
    "default_preprocessing",
    "imagenet_wnids",
    "import_torchvision",
    "load_images",
    "load_into",
    "load_pretrained",
    "match_classes",
    "open_source",
    "parameter_count",
    "preprocess",
    "read_class_names",
    "read_image_labels",
    "read_state_dict",
    "resolve_labels",
    "weight_names",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
