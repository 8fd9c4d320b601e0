"""Networks that Keras saved, `.keras` or `.h5`, without its library."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from torch import Tensor

from eightbit.models.doors.foreign.modules import from_module
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.keras.activations import SIGMOID
from eightbit.models.doors.keras.files import KerasFile, opened
from eightbit.models.doors.keras.graph import Graph, graph_of
from eightbit.models.doors.keras.network import Front, Translated, Translation
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ChannelOrder,
    Preprocessing,
    Size,
    Task,
    height_and_width,
    of_sides,
)
from eightbit.models.torch_state import own_state

_CHANNELS: Final = {3: ChannelOrder.RGB, 1: ChannelOrder.GREY}
_WHITE: Final = 255
_WHOLE_IMAGE: Final = (
    "the file does not say how images are cut: they are resized to its input's size whatever their "
    "ratio, as Keras' own loaders do, where no option says otherwise"
)

_Triple = tuple[float, float, float]
_RAW: Final[_Triple] = (1 / _WHITE, 1 / _WHITE, 1 / _WHITE)
_HALF: Final[_Triple] = (0.5, 0.5, 0.5)
# ImageNet's means in 0..255, as `imagenet_utils.preprocess_input` has them for Caffe's networks.
_CAFFE: Final[_Triple] = (123.68 / _WHITE, 116.779 / _WHITE, 103.939 / _WHITE)

# What `preprocess_input` of keras.applications does for networks whose name begins so: mean,
# deviation and channels.
_APPLICATIONS: Final[Mapping[tuple[str, ...], tuple[_Triple, _Triple, ChannelOrder]]] = {
    ("resnet50v2", "resnet101v2", "resnet152v2", "mobilenet_", "mobilenetv2_"): (
        _HALF,
        _HALF,
        ChannelOrder.RGB,
    ),
    ("inception_v3", "inception_resnet_v2", "xception", "nasnet"): (_HALF, _HALF, ChannelOrder.RGB),
    ("densenet",): (IMAGENET_MEAN, IMAGENET_STD, ChannelOrder.RGB),
    ("resnet50", "resnet101", "resnet152", "vgg16", "vgg19"): (_CAFFE, _RAW, ChannelOrder.BGR),
}

# What a network is trained with whose outputs are numbers, or answers for several labels.
_OF_NUMBERS: Final = frozenset(
    {
        *("mse", "mean_squared_error", "MeanSquaredError", "mae", "mean_absolute_error"),
        *("MeanAbsoluteError", "huber", "huber_loss", "Huber", "log_cosh", "LogCosh"),
    }
)
_OF_LABELS: Final = frozenset({"binary_crossentropy", "BinaryCrossentropy"})


@own_state()
def from_keras(place: str, wanted: Wanted) -> Pretrained:
    """A model with its weights, and the preprocessing that its first layers are.

    Raises:
        InputError: The file holds no such model, or it says too little about images.
    """
    for option, value in (("--weights", wanted.weights), ("--weights-key", wanted.weights_key)):
        if value is not None:
            raise InputError(
                f"{option}: expected none beside keras:FILE, which holds the weights, found "
                f"{shown(value)}; leave it out"
            )
    path = Path(place)
    with opened(path) as file:
        graph = graph_of(file.config, file.where)
        size = _size(file, graph, wanted)
        shape = (*height_and_width(size), graph.shape[2] or 0)
        translation = Translation(file, graph, shape)
        known = _known(file, graph, translation.front, size, wanted)
        turned = known.channels is ChannelOrder.BGR
        network = translation.network(is_reversed=translation.front.is_reversed != turned)
    notes = (_WHOLE_IMAGE, *known.notes)
    if network.activation:
        notes += (f"its last {network.activation} is left out: its input are the logits",)
    is_grey = known.channels is ChannelOrder.GREY
    pretrained = from_module(
        network.module,
        preprocessing=wanted.prepared(known.preprocessing),
        num_classes=network.outputs,
        labels=wanted.labels,
        task=wanted.task or _task(network, file.loss),
        threshold=wanted.threshold,
        name=f"keras:{graph.name}",
        weights_sha256=file.sha256,
        source=printable(path.name),
        channels=ChannelOrder.GREY if is_grey else ChannelOrder.RGB,
        notes=notes,
    )
    return replace(pretrained, channels=known.channels)  # blue, green, red is turned round above


@dataclass(frozen=True, kw_only=True)
class _Known:
    """How a model's file, or its name, says that images are prepared.

    Attributes:
        preprocessing: Of images in red, green, blue.
        channels: What the model takes.
        notes: What was taken for granted.
    """

    preprocessing: Preprocessing
    channels: ChannelOrder
    notes: tuple[str, ...] = ()


def _size(file: KerasFile, graph: Graph, wanted: Wanted) -> Size:
    """Size of the images in pixels; options come first."""
    height, width, channels = graph.shape
    if channels not in _CHANNELS:
        raise InputError(
            f"{file.where}: expected a model of images of three channels or one, found one of "
            f"(height, width, channels) {shown(graph.shape)}"
        )
    asked = wanted.crop or (wanted.preprocessing.crop if wanted.preprocessing else None)
    if asked is not None:
        return asked
    if height is None or width is None:
        raise InputError(
            f"{file.where}: expected a model of images of one size, found one of any; say which: "
            "--crop"
        )
    return of_sides(height, width)


def _known(file: KerasFile, graph: Graph, front: Front, size: Size, wanted: Wanted) -> _Known:
    """What the first layers make of pixels, or what networks of its name are given."""
    own = _CHANNELS[graph.shape[2] or 0]
    channels = wanted.channels or own
    if (channels is ChannelOrder.GREY) != (own is ChannelOrder.GREY):
        raise InputError(
            f"{file.where}: --channels: expected those of a model of {graph.shape[2]}, found "
            f"{channels}; leave it out"
        )
    if front.is_known:
        # They compute x * factor + summand of pixels in 0..255.
        deviation = 1 / (front.factor * _WHITE)
        mean = 0.0 - front.summand * deviation  # and no negative zero
        found = _of_scale(file, size, _triple(mean), _triple(deviation))
        return _Known(preprocessing=found, channels=channels)
    if wanted.preprocessing is not None or None not in (wanted.mean, wanted.std):
        unscaled = Preprocessing(resize=size, crop=size, squash=True)
        return _Known(preprocessing=unscaled, channels=channels)
    name = graph.name.lower()
    for names, (means, deviations, usual) in _APPLICATIONS.items():
        if name.startswith(names):
            note = (
                f"mean, standard deviation and channels ({usual}) are those that "
                f"keras.applications gives {one_line(name, 60)}"
            )
            found = _of_scale(file, size, means, deviations)
            return _Known(preprocessing=found, channels=wanted.channels or usual, notes=(note,))
    raise InputError(
        f"{file.where}: expected a model whose first layer is Rescaling or Normalization, found "
        "one that does not say what pixels it takes; say it: --mean and --std, or --pixels 0..255"
    )


def _of_scale(file: KerasFile, size: Size, mean: _Triple, std: _Triple) -> Preprocessing:
    try:
        return Preprocessing(resize=size, crop=size, squash=True, mean=mean, std=std)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise InputError(
            f"{file.where}: expected first layers that scale pixels, found {first['loc'][0]} of "
            f"{one_line(first['input'], 60)}: {one_line(first['msg'], 80)}"
        ) from exc


def _triple(values: Tensor) -> _Triple:
    red, green, blue = (float(value) for value in values.expand(3))
    return red, green, blue


def _task(network: Translated, loss: object) -> Task | None:
    """What the outputs mean, as far as the file says it."""
    if network.outputs > 1 and (network.activation == SIGMOID or str(loss) in _OF_LABELS):
        return Task.MULTI_LABEL
    if not network.activation and isinstance(loss, str) and loss in _OF_NUMBERS:
        return Task.REGRESSION
    return None
