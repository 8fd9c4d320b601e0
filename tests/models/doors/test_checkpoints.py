import argparse
import hashlib
import pickle
import random
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from eightbit.models.doors.checkpoints import load_into, read_state_dict
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

SMALL = Architecture.CIFAR_RESNET20


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(11)
    return dict(build_model(SMALL).state_dict())


def saved(path: Path, content: object, **options: object) -> Path:
    torch.save(content, path, **options)
    return path


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for key, tensor in found.items():
        assert torch.equal(tensor, expected[key].to(tensor.dtype)), key


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy pickle"])
def test_a_plain_state_dict_is_read_as_it_is(
    legacy: bool, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = saved(tmp_path / "x.pth", state, _use_new_zipfile_serialization=not legacy)
    checkpoint = read_state_dict(path)
    assert_same(checkpoint.state_dict, state)
    assert checkpoint.num_classes == 10
    assert checkpoint.name == "x.pth"
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_safetensors_are_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    checkpoint = read_state_dict(tmp_path / "x.safetensors")
    assert_same(dict(sorted(checkpoint.state_dict.items())), dict(sorted(state.items())))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "best_prec1": torch.tensor(0.9), "optimizer": {"lr": 1}},
        lambda s: {"model": s, "args": argparse.Namespace(lr=0.1), "epoch": 3},
        lambda s: {"net": OrderedDict(s)},
        lambda s: {"model_state_dict": {"state_dict": s}},
        lambda s: {f"module.{key}": value for key, value in s.items()},
        lambda s: {f"_orig_mod.module.{key}": value for key, value in s.items()},
        lambda s: {"state_dict": {f"model.{key}": value for key, value in s.items()}},
        lambda s: {f"backbone.{key}": value for key, value in s.items()},
        lambda s: {"n_averaged": torch.tensor(3)} | {f"module.{key}": s[key] for key in s},
        lambda s: {key.replace("fc.", "linear."): value for key, value in s.items()},
        lambda s: {key: torch.nn.Parameter(v, requires_grad=False) for key, v in s.items()},
    ],
)
def test_wrappings_found_in_the_wild_are_undone(
    wrap: Callable[[dict[str, Tensor]], object], state: dict[str, Tensor], tmp_path: Path
) -> None:
    checkpoint = read_state_dict(saved(tmp_path / "x.pt", wrap(state)))
    assert_same(checkpoint.state_dict, state)
    load_into(build_model(SMALL), checkpoint, SMALL)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_become_float32(
    dtype: torch.dtype, state: dict[str, Tensor], tmp_path: Path
) -> None:
    other = {
        key: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
    }
    checkpoint = read_state_dict(saved(tmp_path / "x.pt", other))
    assert_same(checkpoint.state_dict, other)
    types = {tensor.dtype for tensor in checkpoint.state_dict.values()}
    assert types == {torch.float32, torch.int64}


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
    checkpoint = read_state_dict(shared_file(f"weights/{name}.pth"))
    assert checkpoint.num_classes == num_classes
    with torch.device("meta"):
        model = build_model(architecture, num_classes=num_classes)
    model.to_empty(device="cpu")
    load_into(model, checkpoint, architecture)
    loaded = model.state_dict()
    for key, tensor in checkpoint.state_dict.items():
        assert torch.equal(loaded[key], tensor), key


def test_num_batches_tracked_may_be_missing_and_nothing_else(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    old = {key: value for key, value in state.items() if "num_batches" not in key}
    load_into(build_model(SMALL), read_state_dict(saved(tmp_path / "x.pt", old)), SMALL)
    for key in ("layer2.1.bn1.running_var", "fc.bias", "conv1.weight"):
        less = {other: value for other, value in state.items() if other != key}
        checkpoint = read_state_dict(saved(tmp_path / "x.pt", less))
        with pytest.raises(InputError, match=f"{key}: cifar_resnet20 needs it"):
            load_into(build_model(SMALL), checkpoint, SMALL)


def test_an_unexpected_key_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    more = {**state, "layer9.conv.weight": torch.zeros(2)}
    checkpoint = read_state_dict(saved(tmp_path / "x.pt", more))
    with pytest.raises(
        InputError, match=r"layer9.conv.weight: checkpoint has it with shape \(2,\)"
    ):
        load_into(build_model(SMALL), checkpoint, SMALL)


def test_a_checkpoint_of_another_architecture_names_that_one(tmp_path: Path) -> None:
    for actual, asked in (
        (Architecture.RESNET34, Architecture.RESNET18),
        (Architecture.RESNET18, Architecture.RESNET50),
        (Architecture.CIFAR_RESNET20, Architecture.CIFAR_RESNET32),
        (Architecture.WIDE_RESNET50_2, Architecture.RESNET50),
    ):
        with torch.device("meta"):
            state = build_model(actual, num_classes=4).state_dict()
            model = build_model(asked, num_classes=4)
        zeros = {key: torch.zeros(value.shape, dtype=value.dtype) for key, value in state.items()}
        checkpoint = read_state_dict(saved(tmp_path / "x.pt", zeros))
        with pytest.raises(InputError, match=f"looks like a {actual} checkpoint") as caught:
            load_into(model, checkpoint, asked)
        assert "\n" not in str(caught.value)


def test_a_shape_that_differs_is_named_with_both_shapes(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    other = {**state, "conv1.weight": torch.zeros(16, 3, 5, 5)}
    checkpoint = read_state_dict(saved(tmp_path / "x.pt", other))
    expected = (
        r"conv1.weight: checkpoint has shape \(16, 3, 5, 5\), cifar_resnet20 needs "
        r"\(16, 3, 3, 3\); it fits none"
    )
    with pytest.raises(InputError, match=expected):
        load_into(build_model(SMALL), checkpoint, SMALL)


def test_another_number_of_classes_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    checkpoint = read_state_dict(saved(tmp_path / "x.pt", state))
    with pytest.raises(InputError, match="build the network with 10 classes"):
        load_into(build_model(SMALL, num_classes=7), checkpoint, SMALL)


def test_a_refused_checkpoint_leaves_the_network_as_it_was(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    model = build_model(SMALL, num_classes=7)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    checkpoint = read_state_dict(saved(tmp_path / "x.pt", state))
    with pytest.raises(InputError):
        load_into(model, checkpoint, SMALL)
    assert_same(dict(model.state_dict()), before)


def test_a_network_without_its_top_takes_the_features_alone(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    model = build_model(SMALL, include_top=False)
    load_into(model, read_state_dict(saved(tmp_path / "x.pt", state)), SMALL)
    assert torch.equal(model.state_dict()["conv1.weight"], state["conv1.weight"])


class Exploding:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("the pickle's code was run",))


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pickle that needs code"):
        read_state_dict(saved(tmp_path / "x.pt", {"conv1.weight": Exploding()}))
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Exploding()))
    with pytest.raises(InputError, match="expected"):
        read_state_dict(tmp_path / "y.pt")


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs code \(eightbit.*state_dict\(\)"):
        read_state_dict(saved(tmp_path / "x.pt", build_model(SMALL)))


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        # torch.jit is deprecated upstream; users have such files.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "x.pt"))
    with pytest.raises(InputError, match="TorchScript archive"):
        read_state_dict(tmp_path / "x.pt")


def test_a_compressed_archive_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", {"conv1.weight": torch.zeros(1_000_000)})
    with (
        zipfile.ZipFile(path) as plain,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(InputError, match="compressed zip"):
        read_state_dict(tmp_path / "y.pt")


def test_a_tensor_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    trap = torch.zeros(1).expand(10**12)
    with pytest.raises(InputError, match="cannot be in a file of"):
        read_state_dict(saved(tmp_path / "x.pt", {"conv1.weight": trap}))


def test_a_mapping_that_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: dict[str, object] = {}
    loop["state_dict"] = loop
    with pytest.raises(InputError, match="no tensors"):
        read_state_dict(saved(tmp_path / "x.pt", loop))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(
    value: float, state: dict[str, Tensor], tmp_path: Path
) -> None:
    bad = state["layer1.0.conv1.weight"].clone()
    bad[3, 2, 1, 0] = value
    path = saved(tmp_path / "x.pt", {**state, "layer1.0.conv1.weight": bad})
    with pytest.raises(InputError, match=r"layer1\.0\.conv1\.weight: expected finite"):
        read_state_dict(path)


def test_weights_too_large_for_float32_are_refused(tmp_path: Path) -> None:
    huge = torch.tensor([1e300], dtype=torch.float64)
    with pytest.raises(InputError, match="expected finite"):
        read_state_dict(saved(tmp_path / "x.pt", {"conv1.weight": huge}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.weight": torch.zeros(2, dtype=torch.int8)}, "conv1.weight: .*found torch.int8"),
        ({"conv1.weight": torch.zeros(2, dtype=torch.complex64)}, "found torch.complex64"),
        ({"conv1.weight": torch.zeros(2, dtype=torch.bool)}, "found torch.bool"),
        ({"bn1.num_batches_tracked": torch.zeros((), dtype=torch.int8)}, "torch.int8"),
        ({"conv1.weight": torch.zeros(2, device="meta")}, "found a meta one"),
        ({"conv1.weight": torch.zeros(2), "epoch": 3}, "epoch: expected a tensor, found int"),
        ({3: torch.zeros(2)}, "expected names as keys"),
        ({}, "no tensors with the keys none"),
        ({"epoch": 3, "lr": 0.1}, "no tensors with the keys 'epoch', 'lr'"),
        ({"state_dict": {}}, "no tensors"),
        ([torch.zeros(2)], "type list"),
        (torch.zeros(2), "type Tensor"),
        (3, "type int"),
        (None, "type NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_content_that_is_no_state_dict_of_weights_is_refused_in_one_line(
    content: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_state_dict(saved(tmp_path / "x.pt", content))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "x.pt") in str(caught.value)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.bin"])
@pytest.mark.parametrize(
    "data",
    [b"", b"hello", bytes(100), b"PK\x03\x04" + bytes(50), b"\x80\x02}q\x00.", b"\x89HDF\r\n" * 9],
    ids=["empty", "text", "zeros", "zip header", "empty pickle", "HDF5"],
)
def test_garbage_is_refused_in_one_line(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="expected") as caught:
        read_state_dict(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.pth", "."])
def test_a_missing_file_and_a_directory_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file|a directory"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy pickle"])
def test_damaged_checkpoints_are_read_or_refused_and_nothing_else(
    legacy: bool, state: dict[str, Tensor], tmp_path: Path
) -> None:
    small = {key: state[key] for key in ("conv1.weight", "bn1.weight", "bn1.num_batches_tracked")}
    path = saved(tmp_path / "x.pt", small, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    draw = random.Random(5)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data[: draw.choice((len(data), draw.randrange(len(data))))])
        try:
            read_state_dict(path)
        except InputError as exc:
            assert "\n" not in str(exc)
