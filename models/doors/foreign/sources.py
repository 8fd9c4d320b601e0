"""What a source on the command line stands for: each kind of it has a door here.

A door takes the source and the weights, and returns a `Pretrained` whose module may be any.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from eightbit.models.bounded_files import open_regular
from eightbit.models.doors.channels import taking_rgb
from eightbit.models.doors.file_kinds import HEAD_BYTES, is_onnx
from eightbit.models.doors.foreign.callables import call, is_callable, name_of
from eightbit.models.doors.foreign.fitting import fit_weights
from eightbit.models.doors.foreign.hugging_face import from_hugging_face
from eightbit.models.doors.foreign.keras_models import from_keras
from eightbit.models.doors.foreign.modules import from_module
from eightbit.models.doors.foreign.timm_models import from_timm
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.pretrained import Pretrained, load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import Architecture, ChannelOrder, Preprocessing

_UNKNOWN_PREPROCESSING: Final = (
    "preprocessing not known: shorter side 256 px, centre 224 px and ImageNet's mean and standard "
    "deviation taken for granted, where no option says otherwise"
)


def load_source(source: str | None, wanted: Wanted) -> Pretrained:
    """The network that a source stands for; without one, that of an ONNX file of weights.

    Raises:
        InputError: There is none, or its weights cannot be loaded.
    """
    if source is None:
        return _alone(wanted)
    if source in tuple(Architecture):
        return _architecture(source, wanted)
    if _is_known(source):
        return _of_channels(_opened(source, wanted), wanted)
    named = " or ".join(f"{prefix}:{what}" for prefix, (what, _) in _DOORS.items())
    raise InputError(
        "SOURCE: expected an architecture that `eightbit models` lists, FILE.py:CALLABLE, "
        f"package.module:CALLABLE, {named}, found {one_line(repr(source), 100)}"
    )


def stands_alone(weights: str | None) -> bool:
    """Whether a file of weights holds its network as well, so that it takes no source."""
    if weights is None or not os.path.isfile(weights):  # which is False for any text
        return False
    with open_regular(Path(weights), "a file of weights") as file:
        return is_onnx(file.read(HEAD_BYTES))


def _alone(wanted: Wanted) -> Pretrained:
    if wanted.weights is None or not stands_alone(wanted.weights):
        found = "none" if wanted.weights is None else one_line(repr(wanted.weights), 100)
        raise InputError(
            f"SOURCE: expected one beside these weights, or an ONNX file alone, found {found}"
        )
    # Here, since onnx and its runtime take a second to load.
    from eightbit.models.doors.foreign.onnx_files import from_onnx

    return _of_channels(from_onnx(Path(wanted.weights), wanted), wanted)


def _of_channels(found: Pretrained, wanted: Wanted) -> Pretrained:
    """A network of the channels that it is said to have been trained on."""
    if wanted.channels in (None, found.channels):
        return found
    if wanted.channels is ChannelOrder.BGR and found.channels is ChannelOrder.RGB:
        turned = taking_rgb(found.model, ChannelOrder.BGR)
        return replace(found, model=turned, channels=ChannelOrder.BGR)
    raise InputError(
        f"--channels: expected {found.channels}, which {one_line(found.source, 60)} takes, found "
        f"{wanted.channels}; leave it out"
    )


def _is_known(source: str) -> bool:
    """Whether a source has the form of one."""
    prefix, colon, _ = source.partition(":")
    return (bool(colon) and prefix in _DOORS) or is_callable(source)


def _opened(source: str, wanted: Wanted) -> Pretrained:
    """What is behind a door."""
    prefix, _, name = source.partition(":")
    if prefix in _DOORS:
        return _DOORS[prefix][1](name, wanted)
    return _callable(source, wanted)


def _architecture(source: str, wanted: Wanted) -> Pretrained:
    if wanted.weights is None:
        raise InputError(f"{source}: expected --weights, a name of torchvision's or a file")
    return load_pretrained(Architecture(source), **vars(wanted))


def _callable(source: str, wanted: Wanted) -> Pretrained:
    """A user's own code; without a file the weights are those that it made."""
    module = call(source)
    fitted = None
    if wanted.weights is not None:
        fitted = fit_weights(module, Path(wanted.weights), wanted.weights_key)
    known = any(part is not None for part in (wanted.preprocessing, wanted.resize, wanted.crop))
    notes = () if fitted is None else fitted.notes
    return from_module(
        module,
        preprocessing=wanted.prepared(Preprocessing()),
        labels=wanted.labels,
        task=wanted.task,
        threshold=wanted.threshold,
        name=name_of(source),
        weights_sha256=fitted.sha256 if fitted else None,
        source=fitted.source(wanted.weights_key) if fitted else None,
        weights_key=fitted.key if fitted and wanted.weights_key is not None else None,
        channels=wanted.channels or ChannelOrder.RGB,
        notes=notes if known else (*notes, _UNKNOWN_PREPROCESSING),
    )


# By the prefix of a source: what stands after the colon, and who opens it.
_DOORS: Final[Mapping[str, tuple[str, Callable[[str, Wanted], Pretrained]]]] = {
    "timm": ("NAME", from_timm),
    "hf": ("FOLDER", from_hugging_face),
    "keras": ("FILE", from_keras),
}
