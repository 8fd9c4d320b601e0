"""The command of the README, as a new user would type it, on a real network and real photos."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.artifact.formats import OPENVINO, TORCHSCRIPT
from eightbit.quantize import bundle
from eightbit.quantize.cli import entry

COMMAND = Path(sys.executable).parent / "eightbit"
BRIEF = Path(__file__).parent / "brief"
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
PHOTOS_PER_CLASS = 3


@dataclass(frozen=True)
class Run:
    """What the command printed and left.

    Attributes:
        out: The bundle.
        printed: Standard output.
        report: The report in the bundle.
    """

    out: Path
    printed: str
    report: Report


def _eightbit(*arguments: object) -> str:
    """The command in a process of its own; what it times, it times briefly."""
    path = os.pathsep.join(filter(None, (str(BRIEF), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command says that is run in this process."""

    def run(*arguments: object) -> str:
        assert entry.main([str(argument) for argument in arguments]) == 0
        out, err = capfd.readouterr()
        assert err == ""
        return out

    return run


@pytest.fixture(scope="module")
def run(shared_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "classes.txt").write_text("\n".join(CLASSES))
    printed = _eightbit(
        *("quantize", "cifar_resnet20", "--weights", shared_file("weights/cifar_resnet20.pth")),
        *("--resize", 32, "--crop", 32, "--labels", folder / "classes.txt"),
        *("--calibrate", shared_file("data/cifar10-calibration.tar"), "--samples", 256),
        *("--evaluate", shared_file("data/cifar10-evaluation.tar")),
        # One thread: where cores are shared, a second one waits for the first at every layer.
        *("--max-drop", 0.5, "--threads", 1, "--out", folder / "r20"),
    )
    out = folder / "r20"
    return Run(out=out, printed=printed, report=read_report(out / bundle.REPORT_JSON))


@pytest.fixture(scope="module")
def photos(
    shared_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, str]:
    """A few photos of every class, and what they show."""
    folder = tmp_path_factory.mktemp("photos")
    found: dict[Path, str] = {}
    with tarfile.open(shared_file("data/cifar10-evaluation.tar")) as archive:
        for name in CLASSES:
            members = [member for member in archive if member.name.startswith(f"{name}/")]
            for member in members[:PHOTOS_PER_CLASS]:
                file = archive.extractfile(member)
                assert file is not None
                path = folder / member.name.replace("/", "-")
                path.write_bytes(file.read())
                found[path] = name
    return found


def _candidates(report: Report) -> dict[str, CandidateAccuracy]:
    assert report.accuracy is not None
    assert report.accuracy.torchscript is not None
    assert report.accuracy.onnx is not None
    return {"torchscript": report.accuracy.torchscript, "onnx": report.accuracy.onnx}


def test_both_artefacts_are_within_half_a_point_of_float(run: Run) -> None:
    assert run.report.accuracy is not None
    assert run.report.accuracy.fp32.top1 == pytest.approx(0.81, abs=0.015)
    for name, result in _candidates(run.report).items():
        assert result.n == 4000
        assert result.drop_pp is not None, name
        assert abs(result.drop_pp) <= 0.5, name


def test_the_artefacts_predict_the_same(run: Run) -> None:
    parity = run.report.parity["torchscript_vs_onnx"]
    assert parity.n == 4000
    assert parity.top1_agreement >= 0.995
    assert parity.within_one_lsb_fraction >= 0.98


def test_everything_is_verified_and_computes_in_integers(run: Run) -> None:
    assert run.report.verification is not None
    assert run.report.verification.passed
    assert run.report.verification.images == 64
    coverage = run.report.coverage
    assert coverage is not None
    assert (coverage.conv.quantized, coverage.add.quantized) == (19, 9)


def test_the_artefacts_are_a_third_of_the_float_model(run: Run) -> None:
    size = run.report.size_bytes
    for name in (bundle.ONNX, TORCHSCRIPT.file()):
        assert size[name] < 0.33 * size[bundle.FLOAT_ONNX]


def test_what_is_measured_is_printed(run: Run) -> None:
    assert "Accuracy on 4,000 images" in run.printed
    assert "Latency in ms (batch 1, 1 thread)" in run.printed
    assert len(run.report.latency) == (6 if OPENVINO.is_installed else 4)
    assert all(0 < entry.p50_ms <= entry.p90_ms <= entry.p99_ms for entry in run.report.latency)


@pytest.mark.parametrize("name", [bundle.ONNX, TORCHSCRIPT.file()])
def test_inspect_shows_what_computes_in_integers(
    name: str, run: Run, said: Callable[..., str]
) -> None:
    printed = said("inspect", run.out / name)
    for expected in ("airplane, automobile, bird", "19 of 19", "9 of 9", "cifar_resnet20.pth"):
        assert expected in printed


@pytest.mark.parametrize("name", [bundle.ONNX, TORCHSCRIPT.file()])
def test_classify_names_what_most_photos_show(
    name: str, run: Run, photos: dict[Path, str], said: Callable[..., str]
) -> None:
    printed = said("classify", run.out / name, *photos, "--top", 1, "--threads", 1)
    answers = [line.split()[-1] for line in printed.splitlines() if "%" in line]
    assert len(answers) == len(photos)
    right = sum(answer == label for answer, label in zip(answers, photos.values(), strict=True))
    assert right >= 0.6 * len(photos)
