"""Bad inputs of every kind, each from a seed: one line, exit code 2, and the disk as it was.

`HOSTILE_INPUTS` says how many, `HOSTILE_SEED` with which seed; `make hostile` takes thousands.
"""

import os
import random
import shutil
from collections import Counter
from pathlib import Path

from tests.hostile.inputs.judge import Program, complaints, everything, is_refusal
from tests.hostile.inputs.kinds import KINDS, Good

SEED = os.environ.get("HOSTILE_SEED") or "8"
INPUTS = int(os.environ.get("HOSTILE_INPUTS") or 40)


def one(
    program: Program, good: Good, root: Path, kind: str, number: int
) -> tuple[list[str], tuple[str, ...], bool]:
    """What is to be complained about, of which command line, and whether it was refused."""
    for name in ("input", "cwd"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir()
    rng = random.Random(f"{SEED}:{kind}:{number}")
    bad = KINDS[kind](good, root / "input", rng)
    places = (root / "input", root / "cwd", root / "tmp", good.bundle.parent)
    before = [everything(place) for place in places]
    answer = program.run(bad.arguments, root / "cwd")
    found = complaints(answer, bad)
    for place, was in zip(places, before, strict=True):
        now = everything(place)
        if now != was:
            changed = sorted(str(name) for name, _ in set(now.items()) ^ set(was.items()))
            found.append(f"changed: {changed[:3]}")
    return found, bad.arguments, is_refusal(answer, bad)


def test_every_bad_input_is_refused_in_one_line_and_nothing_is_left_behind(good, tmp_path):
    print(f"HOSTILE_SEED={SEED} HOSTILE_INPUTS={INPUTS}")
    found: list[str] = []
    refused: Counter[str] = Counter()
    kinds = list(KINDS)
    (tmp_path / "tmp").mkdir()
    with Program(tmp_path) as program:
        number = 0
        while refused.total() < INPUTS and number < 3 * INPUTS:
            kind = kinds[number % len(kinds)]
            complaint, arguments, counts = one(program, good, tmp_path, kind, number)
            if complaint:
                shown = " ".join(arguments)[:300]
                found.append(f"{kind} {number}: {shown!r}: {'; '.join(complaint)}")
                print(found[-1], flush=True)
            refused[kind] += counts
            number += 1
    print(f"{number:,} inputs, {refused.total():,} refused: {dict(refused)}")
    assert not found, f"HOSTILE_SEED={SEED}\n" + "\n".join(found)
    assert refused.total() >= INPUTS
