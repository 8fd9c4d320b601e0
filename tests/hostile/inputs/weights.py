"""Bad checkpoints: of tensors that are none, of pickles that would run, of damaged files."""

import functools
import io
import json
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from tests.hostile.inputs.damage import TEXTS, damaged_bytes, garbage


class Runs:
    """Would print, if anything unpickled it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("a checkpoint ran code",)


def _nested(depth: int) -> dict[str, Any]:
    return functools.reduce(lambda inner, _: {"model": inner}, range(depth), {"x": torch.ones(1)})


def _itself() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    return content


_CONTENTS: Final[tuple[Callable[[dict[str, Any], str], Any], ...]] = (
    lambda good, text: {**good, "conv1.weight": torch.full((16, 3, 3, 3), float("nan"))},
    lambda good, text: {**good, "conv1.weight": torch.ones(16, 3, 3, 3, dtype=torch.int64)},
    lambda good, text: {**good, "conv1.weight": torch.ones(1).expand(16, 3, 3, 3)},
    lambda good, text: {**good, "conv1.weight": torch.ones(1).expand(2**20, 2**20)},
    lambda good, text: {**good, "conv1.weight": torch.ones([1] * 60)},
    lambda good, text: {**good, "conv1.weight": torch.ones(2, 2).to_sparse()},
    lambda good, text: {**good, "conv1.weight": torch.empty(16, 3, 3, 3, device="meta")},
    lambda good, text: {**good, "conv1.weight": torch.ones(0)},
    lambda good, text: {**good, "conv1.weight": text},
    lambda good, text: {**good, text: torch.ones(1)},
    lambda good, text: {**good, 7: torch.ones(1)},
    lambda good, text: {f"{text}.{key}": value for key, value in good.items()},
    lambda good, text: dict(list(good.items())[: len(good) // 2]),
    lambda good, text: {},
    lambda good, text: [text],
    lambda good, text: text,
    lambda good, text: _nested(30),
    lambda good, text: _itself(),
    lambda good, text: Runs(),
)


def bad(good: Path, ending: str, rng: random.Random) -> bytes:
    if ending == ".safetensors" and rng.random() < 0.8:
        return _safetensors(rng)
    kind = rng.randrange(5)
    if kind == 0:
        return garbage(rng)
    if kind == 1:
        content = good.read_bytes()
        return content[: rng.randrange(len(content) - 500)]
    if kind == 2:
        return pickle.dumps(rng.choice((Runs(), {"x": Runs()}, {"x": 1})), rng.choice((0, 2, 4)))
    if kind == 3:
        return damaged_bytes(good.read_bytes(), rng)
    buffer = io.BytesIO()
    state = torch.load(good, weights_only=True)
    torch.save(rng.choice(_CONTENTS)(state, rng.choice(TEXTS)[:5000]), buffer)
    return buffer.getvalue()


def _safetensors(rng: random.Random) -> bytes:
    shape = rng.choice(([1], [2**40], [-1], [0], [1] * 100, [2**31, 2**31, 2**31], "x"))
    header = {
        rng.choice(TEXTS)[:5000]: {
            "dtype": rng.choice(("F32", "I8", "X", "F64")),
            "shape": shape,
            "data_offsets": rng.choice(([0, 4], [4, 0], [0, 2**60], [0, 8], "x")),
        }
    }
    text = json.dumps(header).encode()
    length = rng.choice((len(text), len(text), 0, 2**40, 2**63))
    return struct.pack("<Q", length) + text + bytes(8)
