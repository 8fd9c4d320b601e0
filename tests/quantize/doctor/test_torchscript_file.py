"""What the doctor says about TorchScript files."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from eightbit.benchmarks import read_metadata
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import Examination, Finding, Severity, examine_file
from eightbit.quantize.doctor.host import TorchBuild
from eightbit.quantize.doctor.rendering import render_examination
from eightbit.quantize.doctor.torchscript_file import examine_torchscript

OLD = CpuFeatures(
    name="old",
    architecture="x86_64",
    instructions=("avx2",),
    logical_cores=2,
    usable_logical=2,
    usable_physical=2,
)


def found(examination, words):
    return [(x.severity, x.what) for x in examination.findings if words in x.what]


def save_foreign(path: Path, *, quantized: bool, frozen: bool = False) -> Path:
    from torch.ao.quantization import QConfigMapping, default_qconfig
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    torch.manual_seed(0)
    network: nn.Module = nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    )
    network.eval()
    with expected_deprecations():
        if quantized:
            images = (torch.randn(1, 4, 8, 8),)
            mapping = QConfigMapping().set_global(default_qconfig)
            observed = prepare_fx(network, mapping, images)
            observed(*images)
            network = convert_fx(observed)
        module = torch.jit.script(network)
        (torch.jit.freeze(module) if frozen else module).save(str(path))
    return path


def test_our_own_artefact_names_its_engine_and_is_examined(bundle_folder):
    examination = examine_file(bundle_folder / TORCHSCRIPT.file(), OLD)
    facts = dict(examination.facts)
    assert facts["made by"] == "eightbit"
    assert facts["engine"] == "onednn"
    assert facts["input"] == "float32 (batch, 3, 32, 32)"
    assert facts["in integers"] == "conv 19/19, add 9/9, linear 1/1"
    ((_, what),) = found(examination, "output channels can saturate")
    assert "698 output channels" in what


def test_a_missing_engine_is_an_error(bundle_folder):
    path = bundle_folder / TORCHSCRIPT.file()
    build = TorchBuild(version="2.13", engines=("qnnpack",), kernels="DEFAULT")
    examination = examine_torchscript(path, read_metadata(path), OLD, build)
    assert examination.verdict == "It does not run here: 1 error."
    assert found(examination, "engine") == [
        (Severity.ERROR, "It needs torch's quantized engine onednn")
    ]


@pytest.mark.parametrize("frozen", [False, True])
def test_the_weights_of_another_tool_are_found(frozen, onednn, tmp_path):
    path = save_foreign(tmp_path / "foreign.pt", quantized=True, frozen=frozen)
    examination = examine_file(path, OLD)
    assert dict(examination.facts)["in integers"] == "conv 1/1, linear 1/1"
    assert found(examination, "engine")[0][0] is Severity.WARNING
    ((severity, what),) = found(examination, "can saturate here")
    assert severity is Severity.WARNING
    assert "of 18 output channels" in what


def test_a_float_module_is_one(tmp_path):
    examination = examine_file(save_foreign(tmp_path / "float.pt", quantized=False), OLD)
    assert examination.verdict == "It runs here, in float: nothing was quantized."


@pytest.mark.parametrize("width", [80, 120])
def test_the_verdict_comes_first_and_everything_fits(width):
    examination = Examination(
        verdict="It runs here, with 1 warning.",
        facts=(("form", "QDQ"), ("input", "x: float " + "(1, 3, 224, 224) " * 12)),
        findings=(
            Finding(
                severity=Severity.WARNING,
                what="[bold]2 Conv\x1b[31m in float",
                why="Because " * 30,
                remedy="Do it",
            ),
        ),
    )
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(render_examination(examination))
    lines = console.export_text().splitlines()
    assert lines[0] == "It runs here, with 1 warning."
    assert max(len(line.rstrip()) for line in lines) <= width
    assert any(line.startswith(r"warning  [bold]2 Conv\x1b[31m in float") for line in lines)
    assert any(line.strip() == "-> Do it." for line in lines)
