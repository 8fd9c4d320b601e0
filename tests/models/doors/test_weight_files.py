import os
import pickle
import random
import struct
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from eightbit.models.doors import weight_files
from eightbit.models.doors.weight_files import read_weight_file
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture
from eightbit.models.torch_warnings import expected_deprecations

SMALL = Architecture.CIFAR_RESNET20


def saved(path: Path, content: object, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


class Exploding:
    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("the pickle's code was run",))


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pickle that needs code"):
        read_weight_file(saved(tmp_path / "x.pt", {"conv1.weight": Exploding()}))
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Exploding()))
    with pytest.raises(InputError, match="expected"):
        read_weight_file(tmp_path / "y.pt")


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs code \(eightbit.*state_dict\(\)"):
        read_weight_file(saved(tmp_path / "x.pt", build_model(SMALL)))


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    with expected_deprecations():
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "x.pt"))
    with pytest.raises(InputError, match="TorchScript archive"):
        read_weight_file(tmp_path / "x.pt")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", {"conv1.weight": torch.zeros(1_000_000)})
    with (
        zipfile.ZipFile(path) as plain,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(InputError, match="compressed zip"):
        read_weight_file(tmp_path / "y.pt")


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.bin"])
@pytest.mark.parametrize(
    "data",
    [b"", b"hello", bytes(100), b"PK\x03\x04" + bytes(50), b"\x80\x02}q\x00.", b"\x89HDF\r\n" * 9],
    ids=["empty", "text", "zeros", "zip header", "empty pickle", "HDF5"],
)
def test_garbage_is_refused_in_one_line(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="expected") as caught:
        read_weight_file(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.pth", "."])
def test_a_missing_file_and_a_directory_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file|a directory"):
        read_weight_file(tmp_path / name)


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
            read_weight_file(path)
        except InputError as exc:
            assert "\n" not in str(exc)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy pickle"])
def test_plain_data_of_other_packages_is_passed_over(legacy: bool, tmp_path: Path) -> None:
    content = {
        "weights": torch.arange(3.0),
        "best": np.float64(0.5),
        "history": np.arange(3),
        "where": Path("runs") / "1",
        "counts": defaultdict(list, {"a": [1]}),
    }
    path = saved(tmp_path / "x.pt", content, _use_new_zipfile_serialization=not legacy)
    found = read_weight_file(path).content
    assert isinstance(found, dict)
    assert torch.equal(found["weights"], torch.arange(3.0))
    assert found["counts"] == {"a": [1]}
    assert not any(isinstance(found[key], np.generic | np.ndarray | Path) for key in found)


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "numpy.core.multiarray.add"])
def test_code_of_the_same_packages_is_refused_by_name(name: str, tmp_path: Path) -> None:
    module, _, function = name.rpartition(".")
    code = f"c{module}\n{function}\nX\x01\x00\x00\x001\x85R.".encode()
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02" + code)
        archive.writestr("x/version", "3\n")
        archive.writestr("x/byteorder", "little")
    with pytest.raises(InputError, match=rf"needs code \({name.removeprefix('builtins.')}\)"):
        read_weight_file(tmp_path / "x.pt")


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.pth")
    for path in (tmp_path / "x.pth", Path("/dev/zero")):
        with pytest.raises(InputError, match="found a device, a pipe or a socket"):
            read_weight_file(path)


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read: .*too long") as caught:
        read_weight_file(tmp_path / f"{'x' * 5000}.pth")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("x.pth", b""),
        ("x.pth", b"\x80\x02"),
        ("x.safetensors", b""),
        ("x.safetensors", struct.pack("<Q", 2**36) + b"{"),
        ("x.safetensors", struct.pack("<Q", 2) + b"{}"),
    ],
)
def test_gigabytes_that_are_not_on_disk_are_not_read(
    name: str, start: bytes, tmp_path: Path
) -> None:
    with (tmp_path / name).open("wb") as file:
        file.write(start)
        file.truncate(2**37)
    with pytest.raises(InputError, match="expected"):
        read_weight_file(tmp_path / name)


@pytest.mark.parametrize("member", ["data.pkl", "data/0"])
def test_an_archive_that_declares_more_than_it_holds_is_refused(
    member: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "x.pt", {"a": torch.zeros(10)})
    data = bytearray(path.read_bytes())
    place = data.rindex(member.encode())  # in the central directory
    begin = data.rindex(b"PK\x01\x02", 0, place)
    data[begin + 20 : begin + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"declares 2,147,\d{3},\d{3}"):
        read_weight_file(path)


def test_a_pickle_of_too_many_operations_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "_MAX_PICKLE_READS", 1000)
    monkeypatch.setattr(weight_files, "_MAX_NAMES_BYTES", 1000)
    content = {"a": list(range(2000))}
    legacy = saved(tmp_path / "x.pt", content, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="a pickle of more than 1,000 operations"):
        read_weight_file(legacy)
    with pytest.raises(InputError, match=r"declares \d,\d{3}, \d,\d{3} of them names"):
        read_weight_file(saved(tmp_path / "y.pt", content))


def test_another_pickle_protocol_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.pt", {"a": torch.zeros(2)}, pickle_protocol=4)
    with pytest.raises(InputError, match=r"Unsupported operand 149.*pickle protocol"):
        read_weight_file(path)
