"""Archives of torch.export from anywhere: run, or refused before anything of them runs."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim, export, save

from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.runtimes.runners.program_runner import ProgramRunner
from eightbit.models import InputError

IMAGES = np.ones((2, 3, 4, 4), np.float32)


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x).mean((2, 3))


class Noise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) + torch.rand(3)


def saved(module: nn.Module, path: Path) -> Path:
    program = export(module, (torch.zeros(2, 3, 4, 4),), dynamic_shapes=({0: Dim("batch")},))
    program._guards_code = []
    save(program, str(path))
    return path


@pytest.fixture(scope="module")
def mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(Mean(), tmp_path_factory.mktemp("programs") / "mean.pt2")


def changed(path: Path, out: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w") as after:
        for name in before.namelist():
            after.writestr(name, content if name.endswith(member) else before.read(name))
    return out


def test_a_plain_program_runs(mean: Path) -> None:
    assert ProgramRunner(mean, threads=1)(IMAGES).tolist() == [[1.0] * 3] * 2


def test_one_with_an_unknown_operator_needs_trust(tmp_path: Path) -> None:
    path = saved(Noise(), tmp_path / "noise.pt2")
    with pytest.raises(InputError, match=r"only computes, found the operator .*rand.*--trust"):
        ProgramRunner(path, threads=1)
    with trusting(True):
        assert ProgramRunner(path, threads=1)(IMAGES).shape == (2, 3)


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_examples_do_not_run(mean: Path, tmp_path: Path) -> None:
    evil = pickle.dumps(Evil(tmp_path / "ran"))
    path = changed(mean, tmp_path / "evil.pt2", "sample_inputs/model.pt", evil)
    with pytest.raises(InputError, match="examples that are no plain tensors"):
        ProgramRunner(path, threads=1)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("member", ["models/model.json", "model_weights_config.json"])
def test_damage_is_refused(mean: Path, tmp_path: Path, member: str) -> None:
    path = changed(mean, tmp_path / "damaged.pt2", member, b"{")
    with pytest.raises(InputError, match=r"damaged\.pt2: expected a program"):
        ProgramRunner(path, threads=1)


def test_another_archive_is_named(tmp_path: Path) -> None:
    torch.save({}, tmp_path / "checkpoint.pt2")
    with pytest.raises(InputError, match=r"expected an archive of torch\.export, found a check"):
        ProgramRunner(tmp_path / "checkpoint.pt2", threads=1)
