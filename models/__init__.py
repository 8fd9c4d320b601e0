"""Networks, their weights, and the images that go into them.

Names are resolved when they are first used (PEP 562), so that reading images, preprocessing and
labels need no torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eightbit.models.doors.checkpoints import Checkpoint, load_into, read_state_dict
    from eightbit.models.doors.pretrained import Pretrained, load_pretrained, weight_names
    from eightbit.models.doors.vision_guard import import_torchvision
    from eightbit.models.errors import InputError, UnusableImage
    from eightbit.models.images.decoding import decode_image
    from eightbit.models.images.loading import LoadedImage, SkippedImage, load_images
    from eightbit.models.images.preprocessing import preprocess
    from eightbit.models.images.sampling import balanced_order
    from eightbit.models.images.sources import ImageItem, ImageSource, open_source
    from eightbit.models.label_files import read_class_names, read_image_labels
    from eightbit.models.labels import (
        ClassMatch,
        LabelRule,
        imagenet_wnids,
        match_classes,
        resolve_labels,
    )
    from eightbit.models.networks.architectures import (
        build_from_spec,
        build_model,
        default_num_classes,
        default_preprocessing,
        parameter_count,
    )
    from eightbit.models.networks.cifar import CifarResNet, OptionAShortcut
    from eightbit.models.networks.fusable import FusableNetwork
    from eightbit.models.networks.resnet import BasicBlock, Bottleneck, ResNet
    from eightbit.models.spec import Architecture, FrozenModel, ModelSpec, Preprocessing

_MODULE_OF = {
    "Architecture": "spec",
    "BasicBlock": "networks.resnet",
    "Bottleneck": "networks.resnet",
    "Checkpoint": "doors.checkpoints",
    "CifarResNet": "networks.cifar",
    "ClassMatch": "labels",
    "FrozenModel": "spec",
    "FusableNetwork": "networks.fusable",
    "ImageItem": "images.sources",
    "ImageSource": "images.sources",
    "InputError": "errors",
    "LabelRule": "labels",
    "LoadedImage": "images.loading",
    "ModelSpec": "spec",
    "OptionAShortcut": "networks.cifar",
    "Preprocessing": "spec",
    "Pretrained": "doors.pretrained",
    "ResNet": "networks.resnet",
    "SkippedImage": "images.loading",
    "UnusableImage": "errors",
    "balanced_order": "images.sampling",
    "build_from_spec": "networks.architectures",
    "build_model": "networks.architectures",
    "decode_image": "images.decoding",
    "default_num_classes": "networks.architectures",
    "default_preprocessing": "networks.architectures",
    "imagenet_wnids": "labels",
    "import_torchvision": "doors.vision_guard",
    "load_images": "images.loading",
    "load_into": "doors.checkpoints",
    "load_pretrained": "doors.pretrained",
    "match_classes": "labels",
    "open_source": "images.sources",
    "parameter_count": "networks.architectures",
    "preprocess": "images.preprocessing",
    "read_class_names": "label_files",
    "read_image_labels": "label_files",
    "read_state_dict": "doors.checkpoints",
    "resolve_labels": "labels",
    "weight_names": "doors.pretrained",
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
