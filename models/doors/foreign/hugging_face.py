"""Networks of Hugging Face, from the folder that `save_pretrained` wrote; without its library."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from eightbit.models.doors.checkpoints import usable
from eightbit.models.doors.foreign.hf_files import (
    CONFIG,
    OWN_CODE,
    HubResNet,
    read_config,
    read_preprocessing,
)
from eightbit.models.doors.foreign.hf_network import architecture_of, build, their_key
from eightbit.models.doors.foreign.modules import from_module
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.matching import COUNTER
from eightbit.models.doors.pretrained import Pretrained, checked_spec
from eightbit.models.doors.weight_files import read_weight_file, shown_path
from eightbit.models.doors.wordings import shape_of, shown
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import MAX_CLASSES, recognised_task
from eightbit.models.torch_state import own_state

_WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
_SHARDS: Final = tuple(f"{name}.index.json" for name in _WEIGHTS)
_CLASSIFIER: Final = "classifier.1.weight"


@own_state()
def from_hugging_face(place: str, wanted: Wanted) -> Pretrained:
    """A ResNet with the weights, labels and preprocessing of its folder.

    One that this project builds is that network, with the same numbers; any other is a module.

    Raises:
        InputError: The folder holds no such network, or asks for what is not done here.
    """
    folder = Path(place)
    _refuse_other_weights(folder, wanted)
    config = read_config(folder)
    preprocessing, notes = read_preprocessing(folder, wanted)
    path = _weights(folder)
    file = read_weight_file(path)
    module = _filled(config, file.content, file.size_bytes, shown_path(path))
    fc: nn.Linear = module.fc  # type: ignore[assignment]
    classes = fc.out_features
    labels = wanted.labels or config.labels(classes, shown_path(folder / CONFIG))
    task = wanted.task or config.task(classes) or recognised_task(classes)
    name = folder.resolve().name
    source = one_line(f"{name}/{path.name}", 200)
    architecture = architecture_of(config)
    if architecture is None:
        return from_module(
            module,
            preprocessing=preprocessing,
            num_classes=classes,
            labels=labels,
            task=task,
            threshold=wanted.threshold,
            name=f"hf:{name}",
            weights_sha256=file.sha256,
            source=source,
            notes=notes,
        )
    spec = checked_spec(
        source,
        architecture=architecture,
        num_classes=classes,
        labels=labels,
        preprocessing=preprocessing,
        task=task,
        threshold=wanted.threshold,
    )
    return Pretrained(
        model=module, spec=spec, weights_sha256=file.sha256, source=source, notes=notes
    )


def _refuse_other_weights(folder: Path, wanted: Wanted) -> None:
    for option, value in (("--weights", wanted.weights), ("--weights-key", wanted.weights_key)):
        if value is not None:
            raise InputError(
                f"{option}: expected none beside hf:{shown_path(folder)}, whose weights are in "
                f"the folder, found {shown(value)}; leave it out"
            )


def _weights(folder: Path) -> Path:
    """The file of weights, the safer of two."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    shards = [name for name in _SHARDS if (folder / name).exists()]
    found = (
        f"weights in several files ({shards[0]}); save it with a larger max_shard_size"
        if shards
        else "neither; save it with model.save_pretrained(FOLDER)"
    )
    raise InputError(
        f"{shown_path(folder)}: expected {' or '.join(_WEIGHTS)} beside {CONFIG}, found {found}"
    )


def _filled(config: HubResNet, content: object, size_bytes: int, where: str) -> nn.Module:
    """The network with these weights, every one of which has its place, in evaluation mode."""
    entries = content if isinstance(content, Mapping) else {}
    shape = shape_of(entries.get(_CLASSIFIER))
    if len(shape) != 2 or not 1 <= shape[0] <= MAX_CLASSES:
        raise InputError(
            f"{where}: {_CLASSIFIER}: expected a classifier of 1 to {MAX_CLASSES:,} classes, found "
            f"{f'shape {shown(shape)}' if shape else 'none'}; {OWN_CODE}"
        )
    with torch.device("meta"):  # the file is compared before anything is allocated
        wanted = {
            key: shape_of(value) for key, value in build(config, shape[0]).state_dict().items()
        }
    theirs = {key: their_key(key) for key in wanted}
    for key, expected in wanted.items():
        name = theirs[key]
        if name not in entries and key.endswith(COUNTER):
            continue
        found = shape_of(entries[name]) if name in entries else None
        if found != expected:
            raise InputError(
                f"{where}: {shown(name)}: expected shape {expected}, as {CONFIG} says, found "
                f"{'none' if found is None else shown(found)}; is {CONFIG} of other weights?"
            )
    strangers = [str(key) for key in entries if key not in set(theirs.values())]
    if strangers:
        raise InputError(
            f"{where}: {shown(strangers[0])}: expected only weights that {CONFIG} says, found this "
            "beside them; is it another network?"
        )
    state: dict[str, Tensor] = {
        key: usable(
            entries.get(name, torch.tensor(0)),
            f"{where}: {shown(name)}",
            size_bytes,
            is_counter=key.endswith(COUNTER),
        )
        for key, name in theirs.items()
    }
    module = build(config, shape[0]).to(torch.float32).eval()
    module.load_state_dict(state)
    return module
