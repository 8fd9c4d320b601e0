"""Damages good files, by a seeded generator: bytes, JSON and names."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any, Final

# Texts that a terminal, a file system or a reader of JSON takes amiss.
TEXTS: Final = (
    "\x1b[2J\x1b[31mred\x07",
    "\u202egpj.exe\u2066",
    "a" * 100_000,
    "",
    "\n\r\n\x85\u2028",
    "../../../../etc/hostname",
    "/etc/hostname",
    "%s%n{0}{self}[bold]markup[/bold]",
    "\N{PILE OF POO}" * 300,
    "e\u0301" * 50,
    "\ufeff\u200b",
    "<script>alert(1)</script>",
    "__class__",
    "-1",
    "NaN",
)

# As they are written in JSON; Python would refuse to write some of them.
RAW: Final = (
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "9" * 5000,
    "1" + "0" * 30,
    "-1",
    "0",
    "1e-320",
    "9223372036854775808",
    "[" * 3000 + "]" * 3000,
    '{"a":' * 300 + "1" + "}" * 300,
    "null",
    "true",
    "[]",
    "{}",
    '"\\ud800"',
    '"\\u0000"',
)


def damaged_bytes(content: bytes, rng: random.Random) -> bytes:
    """The content with something cut, changed, doubled or put in."""
    data = bytearray(content)
    kind = rng.randrange(6)
    place = rng.randrange(len(data) + 1)
    if kind == 0:
        del data[place:]
    elif kind == 1:
        for _ in range(rng.choice((1, 3, 30))):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2:
        data[place:place] = rng.randbytes(rng.choice((1, 100, 5000)))
    elif kind == 3:
        data[place : place + rng.choice((1, 50, 5000))] = b""
    elif kind == 4:
        data[place : place + 64] = bytes(min(64, len(data) - place))
    else:
        data = data[: len(data) // 2] * 2
    return bytes(data)


def garbage(rng: random.Random) -> bytes:
    """What is no file of any kind that is expected, though it may begin like one."""
    start = rng.choice(
        (
            *(b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"),
            *(b"{", b"\x80\x02", b"\x08\x08\x12", b"\x1f\x8b", b"ustar", b"\x89HDF\r\n\x1a\n"),
            *(b"\x1c\0\0\0TFL3", b"GIF89a", b"II*\0", b"#!/bin/sh\n", b"\xef\xbb\xbf", b"\xff\xfe"),
        )
    )
    return start + rng.randbytes(rng.choice((0, 1, 7, 200, 20_000)))


def damaged_json(document: Any, rng: random.Random) -> bytes:
    """The document with one to three of its values changed, or as broken text."""
    if rng.random() < 0.15:
        return damaged_bytes(json.dumps(document).encode(), rng)
    changed = copy.deepcopy(document)
    raw: dict[str, str] = {}
    for number in range(rng.choice((1, 1, 2, 3))):
        _change_one(changed, rng, raw, f"@@{number}@@")
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.5)
    for mark, value in raw.items():
        text = text.replace(f'"{mark}"', value)
    return text.encode("utf-8", "surrogatepass")


def _change_one(document: Any, rng: random.Random, raw: dict[str, str], mark: str) -> None:
    """Change what lies at a random place of a document, in place."""
    holder, key = _place(document, rng)
    if holder is None:
        return
    kind = rng.randrange(6)
    if kind <= 1:
        raw[mark] = rng.choice(RAW)
        holder[key] = mark
    elif kind == 2:
        holder[key] = rng.choice(TEXTS)
    elif kind == 3:
        del holder[key]
    elif kind == 4 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)[:2000]] = holder.pop(key)
    elif kind == 4:
        holder.extend([holder[key]] * rng.choice((1, 1000)))
    else:
        holder[key] = [holder[key]] if rng.random() < 0.5 else {"value": holder[key]}


def _place(document: Any, rng: random.Random) -> tuple[Any, Any]:
    """A container in the document and a key of it, any depth alike."""
    holder, key = None, None
    inner = document
    while isinstance(inner, dict | list) and inner:
        holder, key = (
            inner,
            rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner))),
        )
        inner = inner[key]
        if rng.random() < 0.25:
            break
    return holder, key


Damage = Callable[[random.Random], bytes]
