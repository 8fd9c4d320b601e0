"""The same command on other real networks, with a tenth of the evaluation images."""

import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.benchmarks import read_report

COMMAND = Path(sys.executable).parent / "eightbit"
EVERY = 10


@pytest.fixture(scope="module")
def evaluation(
    shared_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Every tenth of the real evaluation images, 40 of each class."""
    path = tmp_path_factory.mktemp("evaluation") / "tenth.tar"
    with (
        tarfile.open(shared_file("data/cifar10-evaluation.tar")) as source,
        tarfile.open(path, "w") as target,
    ):
        files = sorted((m for m in source if m.isfile()), key=lambda member: member.name)
        for member in files[::EVERY]:
            target.addfile(member, source.extractfile(member))
    return path


@pytest.mark.parametrize(
    ("architecture", "weights", "side", "median_db"),
    [
        ("cifar_resnet32", "cifar_resnet32.pth", 32, 28.5),
        ("resnet18", "resnet18_cifar10_64px.pth", 64, 38.5),
        # A few outlier images rule the SQNR of all logits, but not that of the others.
        ("resnet50", "resnet50_cifar10_48px_fp16.pth", 48, 34.0),
    ],
    ids=["cifar_resnet32", "resnet18 at 64 px", "resnet50, the hard case"],
)
def test_a_real_network_goes_through_the_line(
    architecture: str,
    weights: str,
    side: int,
    median_db: float,
    evaluation: Path,
    shared_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    command = (
        *(COMMAND, "quantize", architecture, "--weights", shared_file(f"weights/{weights}")),
        *("--resize", side, "--crop", side, "--threads", 1, "--out", out),
        *("--calibrate", shared_file("data/cifar10-calibration.tar"), "--evaluate", evaluation),
    )
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    report = read_report(out / "report.json")
    assert report.accuracy is not None
    assert report.fidelity is not None
    assert report.accuracy.fp32.n == 400
    for name in ("torchscript", "onnx"):
        fidelity = getattr(report.fidelity, name)
        assert fidelity.median_image_sqnr_db >= median_db, name
        assert fidelity.top1_agreement >= 0.965, name
        # Half a point of 400 images is two; chance allows a few more.
        assert abs(getattr(report.accuracy, name).drop_pp) <= 2.0, name
    assert report.parity["torchscript_vs_onnx"].top1_agreement >= 0.98
