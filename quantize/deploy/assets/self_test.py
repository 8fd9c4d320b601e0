"""The self-test of the model beside this file: `python classify.py --self-test`.

It classifies the bundle's own pictures and compares the logits, in last bits, with those computed
where the bundle was made.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import PIL

ALLOWED = 2  # last bits by which a logit may differ


def self_test(program: ModuleType, model: Any, names: list[str], *, as_json: bool) -> bool:
    """Print the result; returns whether this machine's logits match.

    `program` is classify.py, `names` are those of the classes, safe to print. `as_json` prints the
    answers, to be compared elsewhere, instead of a verdict.
    """
    where, content = "self_test.json", program.content
    try:
        model_sha256 = hashlib.sha256(content(program.MODEL)).hexdigest()
        document = content(where)
        test = json.loads(document)
        if test["format_version"] != 1:
            newer = f"expected format_version 1, found {test['format_version']}"
            program.refuse(f"{where}: {newer}; use the classify.py that came with it")
        if test["model_sha256"] != model_sha256:
            program.refuse(f"{where}: it is not of this {program.MODEL}; unpack the archive again")
        files, pixels_then, wanted = (
            [image[key] for image in test["images"]] for key in ("file", "pixels_sha256", "logits")
        )
        pixels = [program.pixels_of(content(file), *model.how) for file in files]
        logits = np.stack([model(one) for one in pixels])
        apart = distances(logits, np.array(wanted, np.float64), test["last_bit"])
    except Exception as exc:  # of Pillow, too, on a damaged picture
        problem = f"{type(exc).__name__}: {str(exc)[:200]}"
        program.refuse(f"{where}: cannot be used: {problem}; unpack the whole archive again")
    pixels_now = [hashlib.sha256(one.tobytes()).hexdigest() for one in pixels]
    decided = ([model.decisions(one) for one in many] for many in (logits, np.array(wanted)))
    same_class = [here == there for here, there in zip(*decided)]
    passed = bool((apart <= ALLOWED).all() and all(same_class))
    machine = {"machine": platform.machine(), "processor": processor()}
    packages = {"onnxruntime": onnxruntime, "numpy": np, "pillow": PIL}
    versions = {"python": platform.python_version()}
    versions.update((name, package.__version__) for name, package in packages.items())
    if as_json:
        said = {"format_version": 1, "model_sha256": model_sha256, **machine, "versions": versions}
        said["self_test_sha256"] = hashlib.sha256(document).hexdigest()  # what it was compared with
        print(json.dumps({**said, "pixels_sha256": pixels_now, "logits": logits.tolist()}))
        return passed
    for file, answer, distance, same in zip(files, logits, apart, same_class):
        unlike = "" if same else ", another class than expected"
        number, _, name = model.lines(answer, names)[0].strip().partition("  ")
        print(f"{file}: {name}, {number}{unlike}; ", end="")
        print(f"largest difference of a logit: {distance:.0f} last bits")
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    where = program.visible(", ".join(filter(None, machine.values())))
    decides = model.task != "regression"
    print(f"{verdict(passed, pixels_now == pixels_then, decides)} ({listed}; {where})")
    return passed


def distances(logits: Any, wanted: Any, last_bit: float) -> Any:
    """Largest difference of each row in last bits; ValueError if nothing could differ in them."""
    if wanted.shape != logits.shape or not np.isfinite(wanted).all():
        raise ValueError(f"{logits.shape} finite logits were expected")
    if not 0 < ALLOWED * last_bit < np.abs(wanted).max():
        raise ValueError("a last_bit above 0 and below the logits was expected")
    return np.rint(np.abs(logits - wanted) / last_bit).max(axis=1)


def verdict(passed: bool, same_pixels: bool, decides: bool = True) -> str:
    """Whether it passed, and if decoding or inference differs."""
    what = "'s runtime computes" if same_pixels else " decodes or resizes pictures"
    if not passed:
        return f"failed: this machine{what} differently"
    though = "" if same_pixels else f", though this machine{what} differently"
    return f"passed: {'the same classes, ' * decides}within {ALLOWED} last bits{though}"


def processor() -> str:
    """Linux's name of the processor, or ARM's implementer and part numbers; empty elsewhere."""
    try:
        told = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    for keys in (("model name",), ("CPU implementer", "CPU part")):
        found = [re.search(rf"^{key}\s*:\s*(.+)$", told, re.MULTILINE) for key in keys]
        if all(found):
            return " ".join(match[1].strip() for match in found if match)[:200]
    return ""
