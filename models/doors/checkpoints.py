"""From a file to the weights of one network, under the names that this project's networks use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from eightbit.models.doors.choosing import only_match
from eightbit.models.doors.matching import COUNTER, Match
from eightbit.models.doors.weight_files import SAVE_AGAIN, read_weight_file, shown_path
from eightbit.models.doors.wordings import listed, shape_of, shown
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.models.spec import Architecture
from eightbit.models.torch_state import own_state

_FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """The weights of one network.

    Attributes:
        state_dict: On the CPU, contiguous; floating point tensors as float32, finite.
        sha256: Of the file's bytes, hexadecimal.
        num_classes: Width of the classifier `fc`; None if the checkpoint has none.
        name: The file's, without its folder.
        key: Where in the file they are, as `read_checkpoint` takes it.
        notes: What was left out, and what was taken for granted, in words.
    """

    state_dict: dict[str, Tensor]
    sha256: str
    num_classes: int | None
    name: str
    key: str
    notes: tuple[str, ...] = ()


@own_state()
def read_checkpoint(
    path: Path, architecture: Architecture, weights_key: str | None = None
) -> Checkpoint:
    """Read `.safetensors`, or whatever `torch.save` wrote (`.pth`, `.pt`), without running code.

    Every state dict in the file is looked at, and in it every prefix under which all keys of the
    architecture are; the classifier may have another name. What stands beside the network, such as
    a loss, is left out. Only `num_batches_tracked` and the classifier may be missing.

    Args:
        path: The file.
        architecture: Whose weights to look for.
        weights_key: Where in the file to look: keys joined by `/`, at the end perhaps a prefix that
            the keys of a state dict have in common, as `state_dict_ema` or `state_dict/student`;
            `/` is the file's top. None for everywhere.

    Raises:
        InputError: The file is missing, is no checkpoint of weights alone, holds no such network or
            more than one, or one with weights that cannot be used (another dtype than floating
            point, not finite). The message names the key that is in the way, and the architecture
            that would fit, if there is one.
    """
    where = shown_path(path)
    file = read_weight_file(path)
    match = only_match(file, architecture, weights_key, where)
    state_dict = _converted(match, file.size_bytes, where)
    classifier = match.classifier
    left_out = f"left out beside the network: {listed(match.left_out)}" if match.left_out else ""
    notes = (classifier.note if classifier else "", left_out)
    return Checkpoint(
        state_dict=state_dict,
        sha256=file.sha256,
        num_classes=len(state_dict["fc.weight"]) if classifier else None,
        name=printable(path.name),
        key=match.label,
        notes=tuple(note for note in notes if note),
    )


@own_state()
def load_into(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's weights into ``model``, in place; one without a top takes the features.

    Raises:
        InputError: The network has other shapes, or another number of classes.
    """
    wanted = {key: shape_of(tensor) for key, tensor in model.state_dict().items()}
    found = {key: shape_of(tensor) for key, tensor in checkpoint.state_dict.items()}
    if "fc.weight" not in wanted:
        found = {key: shape for key, shape in found.items() if not key.startswith("fc.")}
    different = [
        key
        for key in (*wanted, *found)
        if not key.endswith(COUNTER) and wanted.get(key) != found.get(key)
    ]
    if different:
        advice = (
            f"only the classifier differs: build the network with {checkpoint.num_classes} classes"
            if checkpoint.num_classes and different[0].startswith("fc.")
            else "build the network that the checkpoint was read for"
        )
        raise InputError(
            f"{shown(checkpoint.name)}: {different[0]}: checkpoint has shape"
            f" {found.get(different[0])}, the network needs {wanted.get(different[0])}; {advice}"
        )
    model.load_state_dict(checkpoint.state_dict, strict=False)  # compared above


def _converted(match: Match, file_size: int, where: str) -> dict[str, Tensor]:
    """The weights of a network under our names, a classifier's as those of a linear layer."""
    state_dict = {
        key: usable(
            match.state.entries[theirs],
            f"{where}: {shown(theirs)}",
            file_size,
            is_counter=key.endswith(COUNTER),
        )
        for key, theirs in match.keys.items()
    }
    if match.classifier is not None:
        weight = state_dict["fc.weight"].flatten(1)
        bias = state_dict.get("fc.bias", torch.zeros(len(weight), dtype=torch.float32))
        state_dict |= {"fc.weight": weight, "fc.bias": bias}
    return state_dict


def usable(value: object, where: str, file_size: int, *, is_counter: bool = False) -> Tensor:
    """A tensor as finite contiguous float32, a counter as int64; none larger than its file."""
    if not isinstance(value, Tensor):
        raise InputError(
            f"{where}: expected a tensor, found {shown(type(value).__name__)}; {SAVE_AGAIN}"
        )
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        kind = "quantized" if value.is_quantized else "meta" if value.is_meta else value.layout
        raise InputError(f"{where}: expected a dense tensor, found a {kind} one; {SAVE_AGAIN}")
    if value.numel() * value.element_size() > file_size:
        raise InputError(
            f"{where}: a tensor of shape {shown(shape_of(value))} cannot be in a file of"
            f" {file_size} bytes; the file is damaged or hostile"
        )
    if is_counter and value.dtype in (torch.int32, torch.int64):
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
