"""Fixtures of this room: the state dict of a small network, and what is read of a saved one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from eightbit.models.doors.checkpoints import Checkpoint, read_checkpoint
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

State = dict[str, Tensor]


def _drawn(seed: int) -> State:
    torch.manual_seed(seed)
    return dict(build_model(Architecture.CIFAR_RESNET20).state_dict())


@pytest.fixture(scope="session")
def state() -> State:
    """Of a cifar_resnet20."""
    return _drawn(11)


@pytest.fixture(scope="session")
def other() -> State:
    """Of another cifar_resnet20."""
    return _drawn(12)


@pytest.fixture(scope="session")
def features(state: State) -> State:
    """All of `state` but the classifier."""
    return {key: tensor for key, tensor in state.items() if not key.startswith("fc.")}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Save something and read a cifar_resnet20 of it."""

    def make(content: object, key: str | None = None) -> Checkpoint:
        torch.save(content, tmp_path / "x.pt")
        return read_checkpoint(tmp_path / "x.pt", Architecture.CIFAR_RESNET20, key)

    return make
