"""A pretrained model by the name of its weights, or from a file."""

import http.client
import os
import re
import urllib.error
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from torch import nn

from eightbit.models.doors.channels import taking_rgb
from eightbit.models.doors.checkpoints import Checkpoint, load_into, read_checkpoint
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import build_from_spec, default_preprocessing
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import (
    EVEN,
    MAX_CLASSES,
    MAX_SIDE,
    Architecture,
    ChannelOrder,
    Decode,
    Interpolation,
    ModelSpec,
    Preprocessing,
    Size,
    Task,
    height_and_width,
    of_sides,
    recognised_task,
)
from eightbit.models.torch_state import own_state

_WEIGHT_SUFFIXES = frozenset({".pth", ".pt", ".safetensors", ".bin", ".ckpt", ".th", ".tar"})
CHANGEABLE: Final = ("resize", "crop", "squash", "interpolation", "mean", "std", "decode")
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """A model with its weights.

    Attributes:
        model: In evaluation mode, float32, on the CPU; one of this project's networks, or any
            other that maps images (N, 3, H, W) of the crop to logits (N, classes).
        weights_sha256: Of the weights' file, hexadecimal.
        source: Name of the weights (`ResNet50_Weights.IMAGENET1K_V2`), or the file's base name;
            behind it in brackets the key, if there is one.
        weights_key: Which weights of the file, where that was asked for; None for the only ones.
        channels: What the network was trained on; `model` takes red, green, blue whatever it is.
        notes: What was left out of the file, and what was taken for granted, in words.
    """

    model: nn.Module
    spec: ModelSpec
    weights_sha256: str
    source: str
    weights_key: str | None = None
    channels: ChannelOrder = ChannelOrder.RGB
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Weights:
    """Weights before they are in a network, with what is known about them."""

    checkpoint: Checkpoint
    source: str
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing


@own_state()
def load_pretrained(
    architecture: Architecture,
    weights: str,
    *,
    weights_key: str | None = None,
    labels: tuple[str, ...] | None = None,
    task: Task | None = None,
    threshold: float = EVEN,
    preprocessing: Preprocessing | None = None,
    resize: Size | None = None,
    crop: Size | None = None,
    squash: bool | None = None,
    interpolation: Interpolation | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    decode: Decode | None = None,
    channels: ChannelOrder | None = None,
    progress: bool = True,
) -> Pretrained:
    """Load a network with pretrained weights.

    Args:
        architecture: Which network.
        weights: A name of torchvision's (`DEFAULT`, `ResNet50_Weights.IMAGENET1K_V2`), downloaded
            once and checked by its hash; or the path of a `.pth`, `.pt` or `.safetensors` file.
        weights_key: Which weights of a file that holds several; see `read_checkpoint`.
        labels: One name per class, the negative first of two; None for the weights' own.
        task: What the outputs mean; None for single-label, and for binary where there is one.
        threshold: Probability above which a binary or multi-label classifier says yes.
        preprocessing: None for that of the weights, or for a file the architecture's; of any scale.
        resize: Replaces this field of the preprocessing, as do the next six.
        crop: Likewise; without `resize`, see `changed`.
        squash: Likewise.
        interpolation: Likewise.
        mean: See `Preprocessing`; at most 1, since pixels are in 0..1.
        std: The same.
        decode: See `Preprocessing`.
        channels: What the network was trained on; None for red, green, blue.
        progress: Whether a download shows a bar on stderr.

    Raises:
        InputError: The weights are unknown, unreachable or do not fit, or an argument does not.
    """
    check_scale(mean, std)
    found = _find_weights(architecture, weights, weights_key, progress=progress)
    known = preprocessing or found.preprocessing
    spec = _spec(
        found,
        architecture=architecture,
        labels=found.labels if labels is None else labels,
        preprocessing=changed(known, resize, crop, squash, interpolation, mean, std, decode),
        task=task,
        threshold=threshold,
    )
    return _loaded(found, spec, weights_key, _three(channels, architecture))


def _loaded(
    found: _Weights, spec: ModelSpec, weights_key: str | None, channels: ChannelOrder
) -> Pretrained:
    """The network of a spec with these weights."""
    model = build_from_spec(spec).to(torch.float32).eval()  # whatever torch's default is
    load_into(model, found.checkpoint)
    key = found.checkpoint.key if weights_key is not None else None
    return Pretrained(
        model=taking_rgb(model, channels),
        spec=spec,
        weights_sha256=found.checkpoint.sha256,
        source=found.source if key is None else f"{found.source}[{printable(key)}]",
        weights_key=key,
        channels=channels,
        notes=found.checkpoint.notes,
    )


def _three(channels: ChannelOrder | None, architecture: Architecture) -> ChannelOrder:
    """The order of three channels, red, green, blue where nothing is said."""
    if channels is ChannelOrder.GREY:
        raise InputError(f"--channels: expected rgb or bgr of {architecture}, found {channels}")
    return channels or ChannelOrder.RGB


def check_scale(mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Refuse what is meant for pixels of 0..255: taken for 0..1, every image would look black."""
    for name, values in (("mean", mean), ("std", std)):
        if values is not None and max(values) > 1:
            divided = " ".join(f"{value / 255:.6g}" for value in values)
            raise InputError(
                f"{name}: expected at most 1, for pixels in 0..1, found {max(values):g}, as for "
                f"pixels in 0..255; divide by 255: {divided}, or give --pixels 0..255"
            )


def _spec(weights: _Weights, *, task: Task | None, threshold: float, **fields: Any) -> ModelSpec:
    """The spec of these weights."""
    num_classes = _num_classes(weights)
    known = recognised_task(num_classes) if task is None else task
    where = weights.source if task is None else f"{weights.source} ({task})"
    return checked_spec(where, num_classes=num_classes, task=known, threshold=threshold, **fields)


def checked_spec(where: str, **fields: Any) -> ModelSpec:
    """A spec of fields that a user or a file gives.

    Raises:
        InputError: They do not fit together.
    """
    try:
        return ModelSpec(**fields)
    except ValidationError as exc:
        problem = exc.errors()[0]
        place = "".join(f"{part}: " for part in problem["loc"])
        said = f"{place}{problem['msg'].removeprefix('Value error, ')}"
        raise InputError(f"{where}: {said}") from exc


def _num_classes(weights: _Weights) -> int:
    """Width of the classifier."""
    num_classes = weights.checkpoint.num_classes
    if num_classes is None:
        raise InputError(
            f"{weights.source}: expected a classifier, such as fc.weight or head.weight, found no"
            f" layer of that kind behind the features under {shown(weights.checkpoint.key)}; give"
            " the whole model's checkpoint"
        )
    if not 1 <= num_classes <= MAX_CLASSES:
        raise InputError(
            f"{weights.source}: expected a classifier of 1 to {MAX_CLASSES:,} classes, found"
            f" {num_classes:,}"
        )
    return num_classes


def changed(preprocessing: Preprocessing, *values: object) -> Preprocessing:
    """Replace the fields of `CHANGEABLE` that are given, in that order; None for the others.

    Without a resize, a crop that is no square, or that replaces one, is left as much room as the
    known crop had, by ratio: the resized image covers it, be it portrait or landscape.
    """
    changes = zip(CHANGEABLE, values, strict=True)
    given = {field: value for field, value in changes if value is not None}
    try:
        found = Preprocessing.model_validate({**preprocessing.model_dump(), **given})
        of_squares = isinstance(found.crop, int) and isinstance(preprocessing.resize, int)
        if "resize" in given or found.crop == preprocessing.crop or of_squares:
            return found
        return found.model_copy(update={"resize": _with_room(found.crop_size, preprocessing)})
    except ValidationError as exc:
        problem = exc.errors()[0]
        raise InputError(
            f"preprocessing: {problem['loc'][0]}: {problem['msg']}, found {problem['input']!r}"
        ) from exc


def _with_room(crop_size: tuple[int, int], known: Preprocessing) -> Size:
    """What a resized image has to cover for a crop to have the room that the known one had."""
    both = zip(height_and_width(known.resize), known.crop_size, strict=True)
    room = max(1.0, min(resized / cropped for resized, cropped in both))
    return of_sides(*(min(round(side * room), MAX_SIDE) for side in crop_size))


def _find_weights(
    architecture: Architecture, weights: str, weights_key: str | None, *, progress: bool
) -> _Weights:
    """Resolve a name or a path."""
    named = _named_weights(architecture)
    name = (
        weights.removeprefix(f"{next(iter(named.values())).__class__.__name__}.") if named else ""
    )
    if name in named:
        if weights_key is not None:
            raise InputError(
                f"--weights-key: expected it with a file, found {name}, which holds the weights of"
                " one network; leave it out"
            )
        downloaded = _downloaded(architecture, named[name], progress=progress)
        return _from_torchvision(named[name], downloaded)
    path = Path(weights)
    is_path = os.sep in weights or path.suffix.lower() in _WEIGHT_SUFFIXES
    if weights and (is_path or os.path.exists(path)):  # which is False for a name too long
        return _from_file(architecture, path, weights_key, named)
    known = (
        f"expected {', '.join(named)} or the path of a file"
        if named
        else "expected the path of a .pth, .pt or .safetensors file (torchvision has no weights"
        " for this network)"
    )
    raise InputError(f"weights of {architecture}: {known}, found {one_line(repr(weights), 100)}")


def weight_names(architecture: Architecture) -> tuple[str, ...]:
    """Names of torchvision's weights for an architecture; none for the CIFAR networks."""
    return tuple(_named_weights(architecture))


def _named_weights(architecture: Architecture) -> dict[str, Any]:
    """Torchvision's weights by name, aliases such as DEFAULT included; empty for CIFAR networks."""
    if architecture.is_cifar:
        return {}
    models = import_torchvision().models
    return dict(models.get_model_weights(architecture.value).__members__)


def _from_torchvision(entry: Any, checkpoint: Checkpoint) -> _Weights:
    """Describe torchvision's weights by torchvision's own metadata."""
    preset = entry.transforms()
    return _Weights(
        checkpoint=checkpoint,
        source=f"{type(entry).__name__}.{entry.name}",
        labels=tuple(entry.meta["categories"]),
        preprocessing=Preprocessing(
            resize=preset.resize_size[0],
            crop=preset.crop_size[0],
            mean=tuple(preset.mean),
            std=tuple(preset.std),
        ),
    )


def _from_file(
    architecture: Architecture, path: Path, weights_key: str | None, named: dict[str, Any]
) -> _Weights:
    """Read a user's file; one of torchvision's is recognised by its digest."""
    checkpoint = read_checkpoint(path, architecture, weights_key)
    for entry in named.values():
        if checkpoint.sha256.startswith(_expected_hash(entry)):
            return _from_torchvision(entry, checkpoint)
    return _Weights(
        checkpoint=checkpoint,
        source=checkpoint.name,
        labels=None,
        preprocessing=default_preprocessing(architecture),
    )


def _downloaded(architecture: Architecture, entry: Any, *, progress: bool) -> Checkpoint:
    """Read torchvision's weights from torch's cache, where they are downloaded to if needed."""
    cached = Path(torch.hub.get_dir(), "checkpoints", _file_name(entry))
    name = f"{type(entry).__name__}.{entry.name}"
    if not cached.exists():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                entry.url, str(cached), _expected_hash(entry), progress=progress
            )
        except (OSError, http.client.HTTPException, RuntimeError) as exc:
            if isinstance(exc, urllib.error.HTTPError):
                exc.close()  # it is the server's answer, too, and holds its connection
            raise InputError(
                f"{name}: cannot be downloaded from {entry.url} ({one_line(exc)}); put"
                f" {cached.name} into {cached.parent}, or give the path of a local file"
            ) from exc
    checkpoint = read_checkpoint(cached, architecture)
    if not checkpoint.sha256.startswith(_expected_hash(entry)):
        raise InputError(
            f"{cached}: expected SHA-256 {_expected_hash(entry)}..., found"
            f" {checkpoint.sha256[:8]}...; delete this file, it is downloaded again"
        )
    return checkpoint


def _file_name(entry: Any) -> str:
    return str(entry.url).rsplit("/", 1)[-1]


def _expected_hash(entry: Any) -> str:
    """The first digits of the SHA-256 that torchvision puts into the name of every file."""
    match = _HASH_IN_NAME.search(_file_name(entry))
    if match is None:
        raise ValueError(f"{entry.url}: torchvision's file name has no hash")
    return match[1]
