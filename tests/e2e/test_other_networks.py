"""The same line on other real networks, with a tenth of the evaluation images.

The command itself, and what it times, is tested on a small network: see `test_cifar_resnet20`.
"""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.benchmarks.runtimes.available import Availability
from eightbit.models import Architecture, load_pretrained
from eightbit.quantize import Delivery, failed_gates, pipeline, quantize
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.verify import verification

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
        (Architecture.CIFAR_RESNET32, "cifar_resnet32.pth", 32, 28.5),
        (Architecture.RESNET18, "resnet18_cifar10_64px.pth", 64, 38.5),
        # A few outlier images rule the SQNR of all logits, but not that of the others.
        (Architecture.RESNET50, "resnet50_cifar10_48px_fp16.pth", 48, 34.0),
    ],
    ids=["cifar_resnet32", "resnet18 at 64 px", "resnet50, the hard case"],
)
def test_a_real_network_goes_through_the_line(
    architecture: Architecture,
    weights: str,
    side: int,
    median_db: float,
    evaluation: Path,
    shared_file: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
    # That every execution computes the same: see `test_verify` of the command line.
    monkeypatch.setattr(verification, "executions", lambda *_, **__: Availability())
    path = str(shared_file(f"weights/{weights}"))
    pretrained = load_pretrained(architecture, path, resize=side, crop=side)
    delivery = Delivery(out=tmp_path / "out", evaluate=evaluation, threads=1)
    report = quantize(pretrained, shared_file("data/cifar10-calibration.tar"), delivery)
    assert capfd.readouterr().err == ""
    assert failed_gates(report) == ()
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
