#!/bin/sh
# torch.save writes with any pickle protocol; torch.load reads two of the six back.
#
# The guess: torch.save(tensor, file, pickle_protocol=4) and torch.load(file) fit together. The
# argument is documented ("can be specified to override the default protocol"), and a plain tensor is
# what the default weights_only=True is documented to load.
#
# The behaviour: weights_only=True has an unpickler of its own, for protocol 2. It reads 3 with a
# warning, and refuses 0, 1, 4 and 5 for an opcode ("Unsupported operand 149"), of a tensor as of a
# dictionary of tensors, in the zip format as in the legacy one. The error does not name the protocol;
# a warning before it does for 4 and 5, none for 0 and 1. Its advice is weights_only=False. That reads
# 1, 4 and 5; a file of protocol 0 is written without a word and read by neither.
# Reported upstream as pytorch/pytorch#118092 (protocol 4).
#
# Versions: torch 2.13.0, Python 3.11. torch 2.14.1 does the same.
#
# Why it matters: pickle.HIGHEST_PROTOCOL (5) and pickle.DEFAULT_PROTOCOL (4) are the usual arguments
# of whoever gives one. It is noticed by whoever receives the file, and all that is offered to them is
# to let it run code. A way out: leave the argument alone, or load the file where it was made
# (weights_only=False) and save it again.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import io
import re
import warnings

import torch

TENSOR = torch.arange(4.0)
STATE = {"weight": TENSOR}


def loaded(value, protocol, **how):
    """What torch.load says, and its warning, of what torch.save wrote; the tensor is compared."""
    file = io.BytesIO()
    zipped = how.pop("zipped", True)
    torch.save(value, file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = torch.load(file, **how)
        except Exception as error:
            reason = re.search(r"Unsupported operand \d+|saved_id must be.*", str(error))
            said = reason[0] if reason else repr(error)
        else:
            found = found["weight"] if isinstance(found, dict) else found
            said = "loaded" if torch.equal(found, TENSOR) else "another tensor"
    return said + ", warned" * any("pickle protocol" in str(w.message) for w in caught)


for protocol in range(6):
    print(f"protocol {protocol}")
    print("  a tensor:", loaded(TENSOR, protocol))
    print("  a dictionary:", loaded(STATE, protocol))
    print("  a tensor, legacy format:", loaded(TENSOR, protocol, zipped=False))
    print("  a tensor, weights_only=False:", loaded(TENSOR, protocol, weights_only=False))
PYTHON
cat > "$folder/expected" <<'TEXT'
protocol 0
  a tensor: Unsupported operand 112
  a dictionary: Unsupported operand 100
  a tensor, legacy format: Unsupported operand 76
  a tensor, weights_only=False: saved_id must be a tuple, got str
protocol 1
  a tensor: Unsupported operand 73
  a dictionary: Unsupported operand 73
  a tensor, legacy format: Unsupported operand 76
  a tensor, weights_only=False: loaded
protocol 2
  a tensor: loaded
  a dictionary: loaded
  a tensor, legacy format: loaded
  a tensor, weights_only=False: loaded
protocol 3
  a tensor: loaded, warned
  a dictionary: loaded, warned
  a tensor, legacy format: loaded, warned
  a tensor, weights_only=False: loaded
protocol 4
  a tensor: Unsupported operand 149, warned
  a dictionary: Unsupported operand 149, warned
  a tensor, legacy format: Unsupported operand 149, warned
  a tensor, weights_only=False: loaded
protocol 5
  a tensor: Unsupported operand 149, warned
  a dictionary: Unsupported operand 149, warned
  a tensor, legacy format: Unsupported operand 149, warned
  a tensor, weights_only=False: loaded
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   protocol 0
#     a tensor: Unsupported operand 112
#     a dictionary: Unsupported operand 100
#     a tensor, legacy format: Unsupported operand 76
#     a tensor, weights_only=False: saved_id must be a tuple, got str
#   protocol 1
#     a tensor: Unsupported operand 73
#     a dictionary: Unsupported operand 73
#     a tensor, legacy format: Unsupported operand 76
#     a tensor, weights_only=False: loaded
#   protocol 2
#     a tensor: loaded
#     a dictionary: loaded
#     a tensor, legacy format: loaded
#     a tensor, weights_only=False: loaded
#   protocol 3
#     a tensor: loaded, warned
#     a dictionary: loaded, warned
#     a tensor, legacy format: loaded, warned
#     a tensor, weights_only=False: loaded
#   protocol 4
#     a tensor: Unsupported operand 149, warned
#     a dictionary: Unsupported operand 149, warned
#     a tensor, legacy format: Unsupported operand 149, warned
#     a tensor, weights_only=False: loaded
#   protocol 5
#     a tensor: Unsupported operand 149, warned
#     a dictionary: Unsupported operand 149, warned
#     a tensor, legacy format: Unsupported operand 149, warned
#     a tensor, weights_only=False: loaded
