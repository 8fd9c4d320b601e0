import sys
from pathlib import Path

import pytest
from tests.quantize.conftest import DELIVERED

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.models.digits import LABELS
from eightbit.models.errors import InputError
from eightbit.quantize import bundle, pipeline
from eightbit.quantize.cli.demo import load_digits_network, run_demo
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.measure.report import failed_gates
from eightbit.quantize.stages import Stages
from eightbit.quantize.verify import verification

HELD_OUT_IMAGES = 717


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def report(out: Path) -> Report:
    """The one slow step of this file, without what takes as long as all the rest."""
    pytest.importorskip("sklearn", reason="the digits are in scikit-learn")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
        patch.setattr(verification, "executions", lambda *_, **__: Availability())
        return run_demo(out, threads=1, command="eightbit demo")


def test_the_network_knows_its_classes_and_where_it_came_from() -> None:
    network = load_digits_network()
    assert network.spec.labels == LABELS
    assert network.source == "digits_resnet20.safetensors"
    assert not network.model.training


def test_the_demo_leaves_artefacts_and_report(report: Report, out: Path) -> None:
    reports = {bundle.REPORT_JSON, bundle.REPORT_MARKDOWN, bundle.REPORT_HTML}
    names = {*DELIVERED, bundle.RECIPE, *reports}
    assert names <= {path.name for path in out.iterdir()}
    assert report.command == "eightbit demo"
    assert "write digits" in report.timings_s


def test_the_artefacts_are_verified(report: Report) -> None:
    assert report.verification is not None
    assert failed_gates(report, max_drop_pp=1.0) == ()


def test_int8_is_within_half_a_point_of_float(report: Report) -> None:
    accuracy = report.accuracy
    assert accuracy is not None
    assert accuracy.fp32.n == HELD_OUT_IMAGES
    assert accuracy.fp32.top1 is not None
    assert accuracy.fp32.top1 >= 0.985
    for candidate in (accuracy.torchscript, accuracy.onnx):
        assert candidate is not None
        assert candidate.drop_pp is not None
        assert abs(candidate.drop_pp) <= 0.5


def test_calibration_and_evaluation_share_no_image(report: Report) -> None:
    assert report.calibration is not None
    assert report.evaluation is not None
    assert (report.calibration.source, report.calibration.images) == ("training-digits", 128)
    assert (report.evaluation.source, report.evaluation.images) == (
        "held-out-digits",
        HELD_OUT_IMAGES,
    )
    assert report.calibration.also_in_evaluation == 0
    assert report.calibration.skipped == report.evaluation.skipped == ()


def test_without_scikit_learn_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    stages = Stages()
    with pytest.raises(InputError, match=r'pip install "eightbit\[demo\]"'):
        run_demo(tmp_path / "out", stages=stages)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits are in scikit-learn")
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="found files in it"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
