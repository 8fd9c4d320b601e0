"""Recognises weights that were saved as the parts that training computes them from."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from eightbit.models.doors.wordings import shown

_PARAMETRIZED: Final = re.compile(r"(.*\.)?parametrizations\.(\w+)\.original\d?")

# The ends of the two parts' names, what happened, and the call that makes the parameter plain.
_FORMS: Final = (
    ("_orig", "_mask", "pruned", "torch.nn.utils.prune.remove(module, {!r})"),
    ("_orig", "_u", "spectrally normed", "torch.nn.utils.remove_spectral_norm(module, {!r})"),
    ("_g", "_v", "weight-normed", "torch.nn.utils.remove_weight_norm(module, {!r})"),
)
_PARAMETRIZE: Final = "torch.nn.utils.parametrize.remove_parametrizations(module, {!r})"


def reparametrized(keys: Iterable[str], entries: Collection[str]) -> str:
    """What to do about the first of some keys that is a part of a parameter, for a message.

    ``entries`` are the keys of the whole state dict. Empty if there is none.
    """
    for key in keys:
        match = _PARAMETRIZED.fullmatch(key)
        if match:
            return _advice(key, "parametrized (weight norm, spectral norm)", _PARAMETRIZE, match[2])
        for first, second, kind, call in _FORMS:
            end = next((end for end in (first, second) if key.endswith(end)), "")
            parameter = key.removesuffix(end)
            name = parameter.rpartition(".")[2]
            both = end and parameter + first in entries and parameter + second in entries
            if both and name in ("weight", "bias"):
                return _advice(key, kind, call, name)
    return ""


def _advice(key: str, kind: str, call: str, name: str) -> str:
    return (
        f"{shown(key)}: the {name} is {kind}; {call.format(name)} for every such module makes it"
        " plain, then save the state_dict() again"
    )
