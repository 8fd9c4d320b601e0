"""Classifies files with a packed model and says what each gave; runs on the emulated machine too.

Usage: python worker.py MODEL.zip < LIST, where LIST is a JSON array of paths

It is run by its path, since eightbit is not installed there. The program in the archive does the
work: this only asks it for all logits.
"""

import hashlib
import json
import sys
from pathlib import Path


def main(archive: str, paths: list[str]) -> None:
    """Print one JSON document: of every file the digest of its pixels, and its logits."""
    sys.path.insert(0, archive)
    import classify  # type: ignore[import-not-found]  # the archive's

    model = classify.Model(1)
    pixels = [classify.photo(Path(path), model) for path in paths]
    answers = {
        "pixels_sha256": [hashlib.sha256(one.tobytes()).hexdigest() for one in pixels],
        "logits": [model(one).tolist() for one in pixels],
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
