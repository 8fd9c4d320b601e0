#!/bin/sh
# torchvision's MNASNet refuses its own weights from safetensors.
#
# The guess: a state dict is names and tensors. Whatever keeps both (a dict, a comprehension over its
# items, safetensors) can be loaded again into the network that it is of.
#
# The behaviour: MNASNet.load_state_dict asks for a version in _metadata, an attribute that state_dict()
# sets on its OrderedDict, and raises ValueError without it: "version should be set to 1 or 2 instead of
# None", which does not say where. torch.save keeps the attribute, since it pickles the object; a dict, a
# comprehension and safetensors do not. MobileNetV2, as networks usually do, loads all of them.
#
# Versions: torch 2.13.0, torchvision 0.28.0, safetensors 0.8.0, Python 3.11.
#
# Why it matters: safetensors is what weights are published in, and a comprehension is how one strips a
# prefix ("module."); both work until somebody has an MNASNet. A way out: an OrderedDict with
# _metadata = {"": {"version": 2}}, where the weights are of that version.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 torchvision==0.28.0 safetensors==0.8.0 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

try:
    import torchvision
except RuntimeError:  # its CUDA build beside a torch for CPUs lacks two operators on boxes
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

folder = Path(sys.argv[1])


def by_pickle(state):
    torch.save(state, folder / "state.pth")
    return torch.load(folder / "state.pth", weights_only=True)


def by_safetensors(state):
    save_file(state, folder / "state.safetensors")
    return load_file(folder / "state.safetensors")


def with_version(state):
    made = OrderedDict(by_safetensors(state))
    made._metadata = {"": {"version": 2}}
    return made


ways = {
    "torch.save and torch.load": by_pickle,
    "dict": dict,
    "a comprehension": lambda state: {f"{name}": value for name, value in state.items()},
    "safetensors": by_safetensors,
    "safetensors, and the version set": with_version,
}
for name in ("mobilenet_v2", "mnasnet0_5"):
    network = torchvision.models.get_model(name)
    print(name)
    for way, through in ways.items():
        try:
            said = network.load_state_dict(through(network.state_dict()))
        except ValueError as error:
            said = f"ValueError: {error}"
        print(f"  {way}: {said}")
PYTHON
cat > "$folder/expected" <<'TEXT'
mobilenet_v2
  torch.save and torch.load: <All keys matched successfully>
  dict: <All keys matched successfully>
  a comprehension: <All keys matched successfully>
  safetensors: <All keys matched successfully>
  safetensors, and the version set: <All keys matched successfully>
mnasnet0_5
  torch.save and torch.load: <All keys matched successfully>
  dict: ValueError: version should be set to 1 or 2 instead of None
  a comprehension: ValueError: version should be set to 1 or 2 instead of None
  safetensors: ValueError: version should be set to 1 or 2 instead of None
  safetensors, and the version set: <All keys matched successfully>
TEXT
"$folder/venv/bin/python" "$folder/show.py" "$folder" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-12-01:
#   mobilenet_v2
#     torch.save and torch.load: <All keys matched successfully>
#     dict: <All keys matched successfully>
#     a comprehension: <All keys matched successfully>
#     safetensors: <All keys matched successfully>
#     safetensors, and the version set: <All keys matched successfully>
#   mnasnet0_5
#     torch.save and torch.load: <All keys matched successfully>
#     dict: ValueError: version should be set to 1 or 2 instead of None
#     a comprehension: ValueError: version should be set to 1 or 2 instead of None
#     safetensors: ValueError: version should be set to 1 or 2 instead of None
#     safetensors, and the version set: <All keys matched successfully>
