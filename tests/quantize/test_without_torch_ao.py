"""What upstream removes, `torch.ao` and `torch.jit`, is needed for TorchScript and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "without_torch_ao.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def command(checkpoint: Path, photos: Path) -> tuple[object, ...]:
    options = ("--weights", checkpoint, "--calibrate", photos, "--threads", 1)
    return ("quantize", "cifar_resnet20", *options)


def test_onnx_is_the_same_bytes_without_them(
    command: tuple[object, ...], bundle_folder: Path, tmp_path: Path
) -> None:
    done = run(*command, "--formats", "onnx", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for name in ("model.int8.onnx", "model.fp32.onnx", "recipe.json"):
        assert (tmp_path / "out" / name).read_bytes() == (bundle_folder / name).read_bytes(), name


def test_torchscript_needs_them(command: tuple[object, ...], tmp_path: Path) -> None:
    done = run(*command, "--formats", "torchscript", "--out", tmp_path / "out")
    assert done.returncode != 0
    assert "torch.ao" in done.stderr
    assert not (tmp_path / "out").exists()
