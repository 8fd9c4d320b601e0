"""Any torch module as a `Pretrained`."""

import hashlib
import re
import warnings

import torch
from torch import nn

from eightbit.models.doors.channels import taking_rgb
from eightbit.models.doors.pretrained import Pretrained, checked_spec
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import (
    EVEN,
    ChannelOrder,
    Preprocessing,
    Size,
    Task,
    height_and_width,
    recognised_task,
    size_text,
)
from eightbit.models.torch_state import own_state


@own_state()
def from_module(
    module: nn.Module,
    *,
    preprocessing: Preprocessing,
    num_classes: int | None = None,
    labels: tuple[str, ...] | None = None,
    task: Task | None = None,
    threshold: float = EVEN,
    name: str | None = None,
    weights_sha256: str | None = None,
    source: str | None = None,
    weights_key: str | None = None,
    channels: ChannelOrder = ChannelOrder.RGB,
    notes: tuple[str, ...] = (),
) -> Pretrained:
    """A network that this project does not build, with its weights, ready to be quantized.

    Args:
        module: Maps float32 images (N, 3, H, W) of the crop to logits (N, classes). It is put
            into evaluation mode, float32 and onto the CPU.
        preprocessing: How an image becomes its input.
        num_classes: Width of its output; None to see what it answers.
        labels: One name per class.
        task: What the outputs mean; None for single-label, and for binary where there is one.
        threshold: Probability above which a binary or multi-label classifier says yes.
        name: What to call it; None for its class.
        weights_sha256: Of the file that its weights are from; None to digest the weights.
        source: Where they are from; None for the name.
        weights_key: Which weights of that file.
        channels: What the module takes in place of red, green, blue; the result takes these.
        notes: What was taken for granted, in words.

    Raises:
        InputError: It cannot compute with such images, or has another number of outputs.
    """
    module = module.to(device="cpu", dtype=torch.float32).eval()
    called = network_name(name or type(module).__name__)
    weights_sha256 = weights_sha256 or digest(module)
    module = taking_rgb(module, channels)
    outputs = _outputs(module, preprocessing.crop, called)
    if num_classes not in (None, outputs):
        raise InputError(f"{called}: expected {num_classes} classes, found {outputs} outputs")
    spec = checked_spec(
        called,
        architecture=called,
        num_classes=outputs,
        labels=labels,
        preprocessing=preprocessing,
        task=recognised_task(outputs) if task is None else task,
        threshold=threshold,
    )
    return Pretrained(
        model=module,
        spec=spec,
        weights_sha256=weights_sha256,
        source=source or called,
        weights_key=weights_key,
        channels=channels,
        notes=notes,
    )


def network_name(text: str) -> str:
    """A name for a network out of any text: letters, digits and a few signs."""
    return re.sub(r"[^A-Za-z0-9_.:+-]", "_", text)[:100].lstrip(".:+-") or "network"


def digest(module: nn.Module) -> str:
    """SHA-256 of a module's weights, their names, types and shapes; hexadecimal."""
    found = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _outputs(module: nn.Module, size: Size, name: str) -> int:
    """Number of outputs for an image of that size."""
    images = torch.zeros(2, 3, *height_and_width(size))
    try:
        with warnings.catch_warnings(action="ignore"):  # of the user's code: they are not ours
            found = module(images)
    except Exception as exc:  # whatever the user's code raises
        raise InputError(
            f"{name}: expected a network that computes with images of {size_text(size)} px, "
            f"found one that raises {type(exc).__name__}: {one_line(exc)}; give --crop, if it "
            "takes others"
        ) from exc
    if not isinstance(found, torch.Tensor) or found.dim() != 2 or len(found) != len(images):
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise InputError(
            f"{name}: expected logits of shape ({len(images)}, classes) for {len(images)} images, "
            f"found {one_line(shape)}; wrap it in a module that returns its logits"
        )
    return found.shape[1]
