"""Folders that `save_pretrained` writes: the map of keys, our own networks, and variants."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from eightbit.models import (
    Architecture,
    InputError,
    Preprocessing,
    Task,
    Wanted,
    build_model,
    load_pretrained,
    load_source,
)
from eightbit.models.doors.foreign.hf_files import HubResNet
from eightbit.models.doors.foreign.hf_network import architecture_of, build, their_key

# Written down from files of transformers 5.24.
GOLDEN = {
    "conv1.weight": "resnet.embedder.embedder.convolution.weight",
    "bn1.running_mean": "resnet.embedder.embedder.normalization.running_mean",
    "layer1.0.conv1.weight": "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight",
    "layer1.2.bn3.bias": "resnet.encoder.stages.0.layers.2.layer.2.normalization.bias",
    "layer4.1.bn2.num_batches_tracked": (
        "resnet.encoder.stages.3.layers.1.layer.1.normalization.num_batches_tracked"
    ),
    "layer2.0.downsample.0.weight": "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight",
    "layer2.0.downsample.1.running_var": (
        "resnet.encoder.stages.1.layers.0.shortcut.normalization.running_var"
    ),
    "layer3.22.conv3.weight": "resnet.encoder.stages.2.layers.22.layer.2.convolution.weight",
    "fc.weight": "classifier.1.weight",
    "fc.bias": "classifier.1.bias",
}

RESNET18: dict[str, Any] = {
    "model_type": "resnet",
    "layer_type": "basic",
    "depths": [2, 2, 2, 2],
    "hidden_sizes": [64, 128, 256, 512],
}
SMALL: dict[str, Any] = {
    "model_type": "resnet",
    "layer_type": "basic",
    "depths": [1, 1],
    "hidden_sizes": [8, 16],
    "embedding_size": 8,
    "id2label": {"0": "rose", "1": "tulip"},
}
BOTTLENECK: dict[str, Any] = {**SMALL, "layer_type": "bottleneck", "downsample_in_bottleneck": True}

State = dict[str, Tensor]


def parsed(content: dict[str, Any]) -> HubResNet:
    return HubResNet.model_validate_json(json.dumps(content))


def drawn(content: dict[str, Any], classes: int = 2) -> State:
    """Weights under their names, none of which leaves what it meets as it is."""
    torch.manual_seed(3)
    state = build(parsed(content), classes).state_dict()
    for key, value in state.items():
        if key.endswith(("bias", "running_mean", "running_var")):
            value.uniform_(0.1, 1)
    return {their_key(key): value for key, value in state.items()}


def saved(folder: Path, content: dict[str, Any], state: State) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))
    save_file(state, folder / "model.safetensors")
    return f"hf:{folder}"


@pytest.mark.parametrize("key", GOLDEN)
def test_every_key_of_ours_has_the_name_that_the_library_gives_it(key: str) -> None:
    assert their_key(key) == GOLDEN[key]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Architecture.RESNET18),
        ({"depths": [3, 4, 6, 3]}, Architecture.RESNET34),
        ({"downsample_in_bottleneck": True}, Architecture.RESNET18),  # it has no bottleneck
        ({"downsample_in_first_stage": True}, None),
        ({"embedding_size": 32}, None),
        ({"hidden_sizes": [64, 128, 256, 500]}, None),
        ({"depths": [2, 2, 2, 3]}, None),
    ],
)
def test_basic_blocks_are_ours_where_they_compute_the_same(
    changes: dict[str, Any], expected: Architecture | None
) -> None:
    assert architecture_of(parsed(RESNET18 | changes)) is expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Architecture.RESNET50),
        ({"depths": [3, 4, 23, 3]}, Architecture.RESNET101),
        ({"depths": [3, 8, 36, 3]}, Architecture.RESNET152),
        ({"depths": [2, 2, 2, 2]}, None),  # resnet-26
        ({"downsample_in_bottleneck": True}, None),
    ],
)
def test_bottlenecks_are_ours_where_they_compute_the_same(
    changes: dict[str, Any], expected: Architecture | None
) -> None:
    assert architecture_of(parsed({"model_type": "resnet"} | changes)) is expected


def test_one_of_ours_is_what_the_ordinary_door_makes_of_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = build_model(Architecture.RESNET18, num_classes=4).state_dict()
    torch.save(state, tmp_path / "ours.pth")
    names = {"id2label": {str(index): f"class {index}" for index in range(4)}}
    theirs = {their_key(key): value for key, value in state.items()}
    found = load_source(saved(tmp_path / "flowers", RESNET18 | names, theirs), Wanted())
    ordinary = load_pretrained(
        Architecture.RESNET18,
        str(tmp_path / "ours.pth"),
        labels=("class 0", "class 1", "class 2", "class 3"),
        preprocessing=found.spec.preprocessing,
    )
    assert found.spec == ordinary.spec
    assert found.source == "flowers/model.safetensors"
    assert type(found.model) is type(ordinary.model)
    expected = ordinary.model.state_dict()
    for key, value in found.model.state_dict().items():
        assert torch.equal(value, expected[key])


def test_a_variant_takes_labels_and_task_from_its_folder(tmp_path: Path) -> None:
    content = SMALL | {"problem_type": "multi_label_classification"}
    found = load_source(saved(tmp_path / "my roses", content, drawn(content)), Wanted())
    assert found.spec.architecture == "hf:my_roses"
    assert (found.spec.labels, found.spec.task) == (("rose", "tulip"), Task.MULTI_LABEL)
    assert found.notes[0].startswith("no preprocessor_config.json")
    own = Wanted(labels=("a", "b"), task=Task.SINGLE_LABEL, preprocessing=Preprocessing(crop=64))
    asked = load_source(f"hf:{tmp_path / 'my roses'}", own).spec
    assert (asked.labels, asked.task, asked.preprocessing.crop) == (
        ("a", "b"),
        Task.SINGLE_LABEL,
        64,
    )


@pytest.mark.parametrize(
    ("changes", "strides"),
    [
        ({}, [2, 1, 1, 2, 1]),
        ({"downsample_in_first_stage": True}, [2, 2, 1, 2, 1]),
        ({"layer_type": "bottleneck"}, [2, 1, 1, 1, 1, 2, 1]),
        ({"layer_type": "bottleneck", "downsample_in_bottleneck": True}, [2, 1, 1, 1, 2, 1, 1]),
    ],
)
def test_strides_are_where_the_configuration_says(
    changes: dict[str, Any], strides: list[int]
) -> None:
    modules = build(parsed(SMALL | changes), 2).named_modules()
    found = {
        name: module.stride[0] for name, module in modules if isinstance(module, torch.nn.Conv2d)
    }
    assert [stride for name, stride in found.items() if "downsample" not in name] == strides
    assert found["layer2.0.downsample.0"] == 2


def test_the_older_file_of_weights_is_read_and_counters_may_be_missing(tmp_path: Path) -> None:
    state = {key: value for key, value in drawn(BOTTLENECK).items() if "num_batches" not in key}
    (tmp_path / "config.json").write_text(json.dumps(BOTTLENECK))
    torch.save(state, tmp_path / "pytorch_model.bin")
    found = load_source(f"hf:{tmp_path}", Wanted())
    assert found.source == f"{tmp_path.name}/pytorch_model.bin"
    mine = found.model.state_dict()
    assert torch.equal(mine["layer2.0.conv3.weight"], state[their_key("layer2.0.conv3.weight")])


KEY = "resnet.encoder.stages.1.layers.0.shortcut.normalization.bias"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({KEY: None}, f"{KEY}: expected shape \\(16,\\), as config.json says, found none"),
        ({KEY: torch.ones(8)}, f"{KEY}: expected shape \\(16,\\), .* found \\(8,\\)"),
        ({KEY: torch.full((16,), torch.inf)}, f"{KEY}: expected finite weights"),
        ({KEY: torch.ones(16, dtype=torch.int8)}, f"{KEY}: expected floating point weights"),
        ({"resnet.gate.weight": torch.ones(2)}, "resnet.gate.weight: expected only weights that"),
        ({"classifier.1.weight": None}, "classifier.1.weight: expected a classifier .* found none"),
        ({"classifier.1.weight": torch.ones(2, 9)}, r"classifier.1.weight: .*\(2, 16\).*\(2, 9\)"),
    ],
)
def test_weights_that_are_not_those_of_the_configuration_are_refused(
    changes: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    state = {key: value for key, value in (drawn(SMALL) | changes).items() if value is not None}
    with pytest.raises(InputError, match=f"model.safetensors: {message}"):
        load_source(saved(tmp_path, SMALL, state), Wanted())


def test_a_network_larger_than_its_file_is_refused_before_it_is_built(tmp_path: Path) -> None:
    huge = SMALL | {"hidden_sizes": [65_536, 65_536], "depths": [200, 200]}
    with pytest.raises(InputError, match=r"expected shape \(65536"):
        load_source(saved(tmp_path, huge, drawn(SMALL)), Wanted())


def test_a_folder_without_weights_and_one_in_parts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    with pytest.raises(InputError, match=r"model\.safetensors or pytorch_model\.bin .*, found nei"):
        load_source(f"hf:{tmp_path}", Wanted())
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match="found weights in several files"):
        load_source(f"hf:{tmp_path}", Wanted())
    with pytest.raises(InputError, match="expected the config"):
        load_source(f"hf:{tmp_path / 'absent'}", Wanted())


def test_weights_beside_the_folder_are_refused(tmp_path: Path) -> None:
    source = saved(tmp_path, SMALL, drawn(SMALL))
    with pytest.raises(InputError, match="--weights: expected none beside hf:"):
        load_source(source, Wanted(weights="x.pth"))
    with pytest.raises(InputError, match="--weights-key: expected none beside hf:"):
        load_source(source, Wanted(weights_key="ema"))
