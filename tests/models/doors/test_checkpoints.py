import argparse
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from eightbit.models.doors.checkpoints import Checkpoint, load_into, read_checkpoint
from eightbit.models.doors.choosing import only_match
from eightbit.models.doors.weight_files import WeightFile
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

SMALL = Architecture.CIFAR_RESNET20

Read = Callable[..., Checkpoint]
State = dict[str, Tensor]


def assert_same(found: State, expected: State) -> None:
    assert list(found) == list(expected)
    for key, tensor in found.items():
        assert torch.equal(tensor, expected[key].to(tensor.dtype)), key


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy pickle"])
def test_a_plain_state_dict_is_read_as_it_is(legacy: bool, state: State, tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(path, SMALL)
    assert dict(checkpoint.state_dict).keys() == state.keys()
    assert_same({key: checkpoint.state_dict[key] for key in state}, state)
    assert checkpoint.num_classes == 10
    assert (checkpoint.name, checkpoint.key, checkpoint.notes) == ("x.pth", "/", ())
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_safetensors_are_read(state: State, tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    checkpoint = read_checkpoint(tmp_path / "x.safetensors", SMALL)
    assert_same(dict(sorted(checkpoint.state_dict.items())), dict(sorted(state.items())))


@pytest.mark.parametrize(
    ("wrap", "key"),
    [
        (
            lambda s: {"state_dict": s, "best_prec1": torch.tensor(0.9), "optimizer": {"lr": 1}},
            "state_dict",
        ),
        (lambda s: {"model": s, "args": argparse.Namespace(lr=0.1), "epoch": 3}, "model"),
        (lambda s: {"net": OrderedDict(s)}, "net"),
        (lambda s: {"a": {"my weights": s}}, "a/my weights"),
        (lambda s: [3, {"w": s}], "1/w"),
        (lambda s: {f"module.{key}": value for key, value in s.items()}, "module"),
        (lambda s: {f"_orig_mod.module.{key}": v for key, v in s.items()}, "_orig_mod.module"),
        (lambda s: {"state_dict": {f"my.own.{k}": v for k, v in s.items()}}, "state_dict"),
        (lambda s: {"n_averaged": torch.tensor(3)} | {f"module.{k}": s[k] for k in s}, "module"),
        (lambda s: {key.replace("fc.", "linear."): value for key, value in s.items()}, "/"),
        (lambda s: {k: torch.nn.Parameter(v, requires_grad=False) for k, v in s.items()}, "/"),
        (lambda s: {"model": s, "also": dict(s)}, "model"),
        (lambda s: {f"{name}.{key}": s[key] for name in ("model", "alias") for key in s}, "model"),
    ],
)
def test_wrappings_found_in_the_wild_are_undone(
    wrap: Callable[[State], object], key: str, state: State, read: Read
) -> None:
    checkpoint = read(wrap(state))
    assert checkpoint.key == key
    assert_same({key: checkpoint.state_dict[key] for key in state}, state)
    load_into(build_model(SMALL), checkpoint)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_become_float32(
    dtype: torch.dtype, state: State, read: Read
) -> None:
    other = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    found = read(other).state_dict
    assert_same({key: found[key] for key in other}, other)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(
    ("name", "architecture", "num_classes"),
    [
        ("cifar_resnet20", Architecture.CIFAR_RESNET20, 10),
        ("cifar_resnet32", Architecture.CIFAR_RESNET32, 10),
        ("resnet18_cifar10_64px", Architecture.RESNET18, 10),
        ("resnet50_cifar10_48px_fp16", Architecture.RESNET50, 10),
    ],
)
def test_real_checkpoints_load(
    name: str,
    architecture: Architecture,
    num_classes: int,
    shared_file: Callable[[str], Path],
) -> None:
    checkpoint = read_checkpoint(shared_file(f"weights/{name}.pth"), architecture)
    assert (checkpoint.num_classes, checkpoint.notes) == (num_classes, ())
    with torch.device("meta"):
        model = build_model(architecture, num_classes=num_classes)
    model.to_empty(device="cpu")
    load_into(model, checkpoint)
    loaded = model.state_dict()
    for key, tensor in checkpoint.state_dict.items():
        assert torch.equal(loaded[key], tensor), key


def test_num_batches_tracked_may_be_missing(state: State, read: Read) -> None:
    old = {key: value for key, value in state.items() if "num_batches" not in key}
    load_into(build_model(SMALL), read(old))


@pytest.mark.parametrize("key", ["layer2.1.bn1.running_var", "conv1.weight"])
def test_a_missing_key_is_named(key: str, state: State, read: Read) -> None:
    less = {other: value for other, value in state.items() if other != key}
    with pytest.raises(InputError, match=f"{key}: cifar_resnet20 needs it"):
        read(less)


@pytest.mark.parametrize(
    ("actual", "asked"),
    [
        (Architecture.RESNET34, Architecture.RESNET18),
        (Architecture.RESNET18, Architecture.RESNET50),
        (Architecture.CIFAR_RESNET20, Architecture.CIFAR_RESNET32),
        (Architecture.CIFAR_RESNET56, Architecture.CIFAR_RESNET20),
        (Architecture.WIDE_RESNET50_2, Architecture.RESNET50),
    ],
)
def test_a_checkpoint_of_another_architecture_names_that_one(
    actual: Architecture, asked: Architecture
) -> None:
    with torch.device("meta"):
        state = build_model(actual, num_classes=4).state_dict()
    file = WeightFile(content={"model": state}, sha256="", size_bytes=0)
    with pytest.raises(InputError, match=f"x.pt: .*looks like a {actual} checkpoint") as caught:
        only_match(file, asked, None, "x.pt")
    assert "\n" not in str(caught.value)


def test_a_shape_that_differs_is_named_with_both_shapes(state: State, read: Read) -> None:
    expected = (
        r"conv1.weight: checkpoint has shape \(16, 3, 5, 5\), cifar_resnet20 needs "
        r"\(16, 3, 3, 3\); it fits none"
    )
    with pytest.raises(InputError, match=expected):
        read({**state, "conv1.weight": torch.zeros(16, 3, 5, 5)})


def test_another_number_of_classes_is_named_and_leaves_the_network_as_it_was(
    state: State, read: Read
) -> None:
    model = build_model(SMALL, num_classes=7)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(InputError, match="build the network with 10 classes"):
        load_into(model, read(state))
    assert_same(dict(model.state_dict()), before)


def test_a_network_without_its_top_takes_the_features_alone(
    state: State, features: State, read: Read
) -> None:
    for content in (state, features):
        model = build_model(SMALL, include_top=False)
        load_into(model, read(content))
        assert torch.equal(model.state_dict()["conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite_as_float32_are_refused(
    value: float, state: State, read: Read
) -> None:
    bad = state["layer1.0.conv1.weight"].clone().double()
    bad[3, 2, 1, 0] = value
    with pytest.raises(InputError, match=r"layer1\.0\.conv1\.weight: expected finite"):
        read({**state, "layer1.0.conv1.weight": bad})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("bn1.weight", torch.zeros(16, dtype=torch.int8), "found torch.int8"),
        ("bn1.weight", torch.zeros(16, dtype=torch.complex64), "found torch.complex64"),
        ("bn1.weight", torch.zeros(16, dtype=torch.bool), "found torch.bool"),
        ("bn1.num_batches_tracked", torch.zeros((), dtype=torch.int8), "torch.int8"),
        ("bn1.weight", torch.zeros(16, device="meta"), "found a meta one"),
        ("bn1.weight", 3, "expected a tensor, found int"),
        ("bn1.weight", torch.zeros(16).numpy(), "expected a tensor, found NumPyArray"),
        ("bn1.weight", torch.zeros([1] * 100), r"shape \(1, 1, .*\.\.\., cifar_resnet20 needs"),
        ("fc.weight", torch.zeros(1, 1).expand(10**9, 64), "cannot be in a file of"),
    ],
    ids=lambda value: value if isinstance(value, str) else "value",
)
def test_weights_that_cannot_be_used_are_named(
    key: str, value: object, message: str, state: State, read: Read, tmp_path: Path
) -> None:
    without_bias = {other: tensor for other, tensor in state.items() if other != "fc.bias"}
    with pytest.raises(InputError, match=f"{key}: .*{message}") as caught:
        read({**without_bias, key: value})
    assert str(caught.value).startswith(str(tmp_path / "x.pt"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({3: torch.zeros(2)}, "expected keys such as layer1.0.conv1.weight, found 3"),
        ({"a\x1b[2J\n" + "x" * 10_000: torch.zeros(2)}, r"found a\\x1b\[2J x+\.\.\.; it"),
        ({"conv1.weight": torch.zeros(2)}, r"conv1.weight: checkpoint has shape \(2,\), cifar"),
        ({"conv1.weight": torch.zeros(16, 3, 3, 3)}, "bn1.weight: cifar_resnet20 needs it"),
        ({}, "no tensors with the keys none"),
        ({"epoch": 3, "lr": 0.1}, "no tensors with the keys 'epoch', 'lr'"),
        ({"state_dict": {}}, "no tensors"),
        ([1, 2], "type list"),
        (torch.zeros(2), "type Tensor"),
        (3, "type int"),
        (None, "type NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_content_without_a_network_is_refused_in_one_short_line(
    content: object, message: str, read: Read
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(content)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_mapping_that_contains_itself_is_refused(read: Read) -> None:
    loop: dict[str, object] = {}
    loop["state_dict"] = loop
    with pytest.raises(InputError, match="no tensors"):
        read(loop)


def test_the_default_dtype_changes_nothing(state: State, features: State, read: Read) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        found = read({**features, "fc.weight": state["fc.weight"]}).state_dict
    finally:
        torch.set_default_dtype(torch.float32)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}


def test_a_counter_under_a_long_name_is_a_counter(read: Read, state: State) -> None:
    prefix = "module.model.student.backbone.encoder.features.body."
    found = read({f"{prefix}{key}": value for key, value in state.items()})
    assert found.state_dict["bn1.num_batches_tracked"].dtype == torch.int64
