"""An archive is checked by what torch will read of it, before torch reads it."""

import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from eightbit.benchmarks import trusting
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.runners.torchscript_archive import check_archive
from eightbit.benchmarks.runtimes.runners.torchscript_runner import TorchScriptRunner, load_module
from eightbit.models.errors import InputError
from eightbit.models.torch_warnings import expected_deprecations

WRITTEN = "written-by-the-model"


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.ones(4, 3, 3, 3))

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.kernel, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.kernel = state[0]
        self.training = state[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.conv2d(x, self.kernel)).mean((2, 3))


def saved(module: nn.Module, path: Path) -> Path:
    with expected_deprecations():
        torch.jit.script(module.eval()).save(str(path))
    return path


def with_member(
    path: Path, changes: dict[str, bytes], *, add: dict[str, bytes] | None = None
) -> Path:
    """Change members of an archive in place: the text in the code, and further members."""
    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    root = members[0][0].filename.partition("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members:
            changed = content
            if info.filename.endswith(".py"):
                for before, after in changes.items():
                    assert before.encode() in changed
                    changed = changed.replace(before.encode(), after)
            archive.writestr(info.filename, changed)
        for name, content in (add or {}).items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of a second member with one name
                archive.writestr(f"{root}/{name}", content)
    return path


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return saved(Network(), tmp_path / "network.pt")


@pytest.fixture
def writing_as_it_loads(network: Path) -> Path:
    """Its `__setstate__`, which torch.jit.load calls, writes a file."""
    save = f'torch.save(1, "{network.parent / WRITTEN}")\n    self.training ='
    return with_member(network, {"self.training =": save.encode()})


@pytest.fixture
def writing_as_it_runs(network: Path) -> Path:
    save = f'torch.save(1, "{network.parent / WRITTEN}")\n    kernel = self.kernel\n    _0'
    return with_member(network, {"kernel = self.kernel\n    _0": save.encode()})


def test_a_network_is_loaded(network):
    module, _ = load_module(network)
    assert module(torch.zeros(2, 3, 8, 8)).shape == (2, 4)


def test_a_network_that_writes_as_it_loads_is_refused_and_has_not_written(writing_as_it_loads):
    with pytest.raises(InputError, match=r"found operator aten::save; give --trust if you trust"):
        load_module(writing_as_it_loads)
    assert not (writing_as_it_loads.parent / WRITTEN).exists()


def test_a_network_that_writes_as_it_loads_does_so_where_it_is_trusted(writing_as_it_loads):
    """The file of the test above is not one that cannot be loaded at all."""
    with trusting(True):
        load_module(writing_as_it_loads)
    assert (writing_as_it_loads.parent / WRITTEN).exists()


def test_a_worker_trusts_what_its_parent_trusts(writing_as_it_runs, noise_images):
    with pytest.raises(InputError, match="aten::save"):
        IsolatedRunner(writing_as_it_runs, threads=1)
    with trusting(True), IsolatedRunner(writing_as_it_runs, threads=1) as runner:
        assert runner(noise_images(1, 8)).shape == (1, 4)
    assert (writing_as_it_runs.parent / WRITTEN).exists()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("constants.pkl", "two records with one name"),
        ("CODE/__torch__/A.py", "record CODE/__torch__/A.py"),
        ("Data.pkl", "two records with one name"),
        ("code/other.pyc", "record code/other.pyc"),
        ("model.json", "record model.json"),
        ("bytecode.pkl", "record bytecode.pkl"),
    ],
)
def test_an_archive_that_may_be_read_in_two_ways_is_refused(name, found, network):
    with pytest.raises(InputError, match=found):
        check_archive(with_member(network, {}, add={name: b"{}"}))


def test_a_record_that_is_declared_to_be_larger_than_its_file_is_refused(network, monkeypatch):
    monkeypatch.setattr(
        "eightbit.benchmarks.runtimes.runners.torchscript_archive.MAX_RECORD_BYTES", 20
    )
    with pytest.raises(InputError, match=r"record \S+ of \d+ bytes"):
        check_archive(network)


@pytest.mark.parametrize("how", ["script", "trace", "freeze"])
def test_classifiers_of_other_tools_are_accepted(how, random_network, tmp_path):
    """As torchvision's networks are exported: scripted, traced, frozen."""
    from eightbit.models import Architecture

    model = random_network(Architecture.CIFAR_RESNET20, side=32).model
    with expected_deprecations():
        if how == "trace":
            module = torch.jit.trace(model, torch.zeros(1, 3, 32, 32))
        else:
            module = torch.jit.script(model)
        if how == "freeze":
            module = torch.jit.freeze(module)
        module.save(str(tmp_path / "model.pt"))
    TorchScriptRunner(tmp_path / "model.pt", threads=1)
