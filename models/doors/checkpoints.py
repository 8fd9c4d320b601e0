"""Reads checkpoints under this project's parameter names and loads them strictly, key by key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from eightbit.models.doors.weight_files import SAVE_AGAIN, read_weight_file
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import state_shapes
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import Architecture

_Shapes = Mapping[str, tuple[int, ...]]

_NESTS = ("state_dict", "model_state_dict", "model", "net")
_WRAPPERS = ("module", "_orig_mod", "model", "backbone", "net", "network", "resnet", "encoder")
_CLASSIFIER_NAMES = ("linear", "classifier")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTER = "num_batches_tracked"  # of no effect on inference, and absent from old checkpoints


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """The weights of one file, under the names that this project's networks use.

    Attributes:
        state_dict: On the CPU, contiguous; floating point tensors as float32, finite.
        sha256: Of the file's bytes, hexadecimal.
        num_classes: Width of the classifier `fc`; None if the checkpoint has none.
    """

    state_dict: dict[str, Tensor]
    sha256: str
    num_classes: int | None
    name: str


def read_state_dict(path: Path) -> Checkpoint:
    """Read `.safetensors`, or whatever `torch.save` wrote (`.pth`, `.pt`), without running code.

    A state dict nested under `state_dict`, `model`, … is found, wrappers' prefixes such as
    `module.` are dropped where all keys have them, and a classifier called `linear` is called `fc`.

    Raises:
        InputError: The file is missing, is no checkpoint of weights alone, or holds weights that
            cannot be used (another dtype than floating point, not finite).
    """
    weight_file = read_weight_file(path)
    named = _normalise_names(_find_state_dict(weight_file.content, path), path)
    state_dict = {
        key: _usable(value, f"{path}: {key}", weight_file.size_bytes)
        for key, value in named.items()
    }
    classifier = state_dict.get("fc.weight")
    return Checkpoint(
        state_dict=state_dict,
        sha256=weight_file.sha256,
        num_classes=None if classifier is None or classifier.ndim != 2 else len(classifier),
        name=printable(path.name),
    )


def load_into(model: nn.Module, checkpoint: Checkpoint, architecture: Architecture) -> None:
    """Load a checkpoint's weights into ``model``, in place: every key, and nothing else.

    Only `num_batches_tracked` may be missing. ``architecture`` is for the message.

    Raises:
        InputError: A key is missing or unexpected, or a shape differs. The message names the
            architecture that would fit, if there is one.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in checkpoint.state_dict.items()}
    if "fc.weight" not in wanted:  # a network without its top takes the features alone
        found = {key: shape for key, shape in found.items() if not key.startswith("fc.")}
    problem = _first_difference(wanted, found, architecture)
    if problem is not None:
        raise InputError(f"{checkpoint.name}: {problem}; {_advice(found, architecture)}")
    model.load_state_dict(checkpoint.state_dict, strict=False)  # compared above


def _find_state_dict(loaded: object, path: Path) -> Mapping[object, object]:
    """The mapping that holds the tensors, perhaps nested in what the file holds."""
    candidate = loaded
    for _ in range(4):  # bounded: a hostile mapping may contain itself
        if not isinstance(candidate, Mapping):
            break
        inner = [candidate[nest] for nest in _NESTS if isinstance(candidate.get(nest), Mapping)]
        if inner:
            candidate = inner[0]
        elif any(isinstance(value, Tensor) for value in candidate.values()):
            return candidate
        else:
            break
    if isinstance(candidate, Mapping):
        keys = ", ".join(repr(key) for key in list(candidate)[:5])
        found = f"a mapping of no tensors with the keys {one_line(keys) or 'none'}"
    else:
        found = f"an object of type {type(candidate).__name__}"
    raise InputError(
        f"{path}: expected a state dict, at the top or under one of {', '.join(_NESTS)},"
        f" found {found}; {SAVE_AGAIN}"
    )


def _normalise_names(weights: Mapping[object, object], path: Path) -> dict[str, object]:
    """Drop prefixes that all keys have because the network was wrapped; call the classifier fc."""
    named: dict[str, object] = {}
    for key, value in weights.items():
        if not isinstance(key, str):
            raise InputError(
                f"{path}: expected names as keys of the state dict, found {one_line(repr(key))};"
                f" {SAVE_AGAIN}"
            )
        if key != "n_averaged":  # torch.optim.swa_utils.AveragedModel's counter
            named[key] = value
    while (prefix := _common_wrapper(named)) is not None:
        named = {key.removeprefix(prefix): value for key, value in named.items()}
    for name in _CLASSIFIER_NAMES:
        if f"{name}.weight" in named and "fc.weight" not in named:
            named = {re.sub(rf"^{name}\.", "fc.", key): value for key, value in named.items()}
    return named


def _common_wrapper(named: Mapping[str, object]) -> str | None:
    """The wrapper's prefix that every key has, with its dot; None if there is none."""
    prefixes = (f"{wrapper}." for wrapper in _WRAPPERS)
    return next(
        (prefix for prefix in prefixes if named and all(key.startswith(prefix) for key in named)),
        None,
    )


def _usable(value: object, where: str, file_size: int) -> Tensor:
    """A tensor as finite contiguous float32, a counter as int64; none larger than its file."""
    if not isinstance(value, Tensor):
        raise InputError(f"{where}: expected a tensor, found {type(value).__name__}; {SAVE_AGAIN}")
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        kind = "quantized" if value.is_quantized else "meta" if value.is_meta else value.layout
        raise InputError(f"{where}: expected a dense tensor, found a {kind} one; {SAVE_AGAIN}")
    if value.numel() * value.element_size() > file_size:
        raise InputError(
            f"{where}: a tensor of shape {tuple(value.shape)} cannot be in a file of {file_size}"
            f" bytes; the file is damaged or hostile"
        )
    if where.endswith(_COUNTER) and value.dtype in (torch.int32, torch.int64):
        return value.detach().to(torch.int64)
    if value.dtype not in _FLOATS:
        raise InputError(
            f"{where}: expected floating point weights (16, 32 or 64 bits), found {value.dtype};"
            " give the float checkpoint that it was made from"
        )
    tensor = value.detach().to(torch.float32).contiguous()
    if not torch.isfinite(tensor).all():
        raise InputError(
            f"{where}: expected finite weights, found NaN or infinity (as float32); the training"
            " diverged or the file is damaged"
        )
    return tensor


def _first_difference(wanted: _Shapes, found: _Shapes, architecture: Architecture) -> str | None:
    """The first key by which a checkpoint does not fit a network, as part of a message."""
    for key, shape in wanted.items():
        if key not in found and not key.endswith(_COUNTER):
            return f"{key}: {architecture} needs it, the checkpoint has no such key"
        if key in found and found[key] != shape:
            return f"{key}: checkpoint has shape {found[key]}, {architecture} needs {shape}"
    for key, shape in found.items():
        if key not in wanted and not key.endswith(_COUNTER):
            return f"{key}: checkpoint has it with shape {shape}, {architecture} has no such key"
    return None


def _advice(found: _Shapes, architecture: Architecture) -> str:
    """What to do about a checkpoint that does not fit, as the end of a message."""
    features = _features(found)
    fitting = [other for other in Architecture if _features(state_shapes(other)) == features]
    if architecture in fitting and "fc.weight" in found and "fc.bias" in found:
        return (
            f"only the classifier differs: build the network with {found['fc.weight'][0]} classes"
        )
    if architecture in fitting:
        return "the classifier (fc.weight and fc.bias) is not complete; give the whole checkpoint"
    if fitting:
        return f"this looks like a {' or '.join(fitting)} checkpoint: ask for that architecture"
    return "it fits none of this project's architectures; is it a ResNet as torchvision defines it?"


def _features(shapes: _Shapes) -> _Shapes:
    """Everything but the classifier and the counters."""
    return {
        key: shape
        for key, shape in shapes.items()
        if not key.startswith("fc.") and not key.endswith(_COUNTER)
    }
