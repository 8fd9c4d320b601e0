"""How many images, in which order, and the stages that a user can switch."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.quantize.conftest import CLASSES, like_known

from eightbit.benchmarks import read_report
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.benchmarks.report.images import SETTLED_CHANGE
from eightbit.calibration.convergence import TOLERANCE
from eightbit.models import Architecture, load_pretrained
from eightbit.models.images.sources import ImageItem, open_source
from eightbit.quantize import QuantConfig, bundle, calibrate, fuse
from eightbit.quantize.algorithms.decisions import decide
from eightbit.quantize.algorithms.equalization import Equalized
from eightbit.quantize.stages import Stages

Eightbit = Callable[..., Any]


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """136 different pictures, which the network knows: no close calls."""
    root = tmp_path_factory.mktemp("many")
    for number in range(136):
        like_known(number % CLASSES, 20_000 + number).save(root / f"{number}.png")
    return root


def test_as_many_images_as_the_ranges_need(
    eightbit: Eightbit, checkpoint: Path, many_photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ("quantize", "cifar_resnet20", "--weights", checkpoint, "--calibrate", many_photos)
    options = ("--samples", "auto", "--formats", "onnx", "--threads", 1, "--out", out)
    outcome = eightbit(*command, *options)
    assert outcome.code == 0, outcome
    section = read_report(out / bundle.REPORT_JSON).calibration
    assert section is not None
    points = section.convergence
    assert [point.images for point in points] == [64, 96, 128][: len(points)]
    assert len(points) >= 2
    assert all(point.largest_change >= 0 for point in points)
    if section.settled:
        assert section.images == points[-1].images
        assert max(point.largest_change for point in points[-2:]) <= 0.02
    else:
        assert section.images == 136
    assert "Convergence of the ranges" in (out / bundle.REPORT_MARKDOWN).read_text()


@pytest.mark.parametrize(
    ("method", "watched"),
    [("minmax", "minmax"), ("auto", "percentile"), ("mse", "percentile")],
)
def test_a_fixed_number_of_images_is_watched_and_not_cut_short(
    method: str, watched: str, checkpoint: Path, many_photos: Path
) -> None:
    pretrained = load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint), progress=False)
    fused = fuse(pretrained)
    config = QuantConfig(method=method, samples=130)
    with open_source(many_photos) as source:
        calibrated = calibrate.calibrate(fused, pretrained, source, config, Stages())
    assert [point.images for point in calibrated.convergence] == [128]
    assert calibrated.collected.images == 130
    assert calibrated.watched == watched
    assert calibrated.settled is None


def test_more_images_asked_for_than_there_are_have_their_curve(
    checkpoint: Path, many_photos: Path
) -> None:
    pretrained = load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint), progress=False)
    config = QuantConfig(method="minmax", samples=4000)
    with open_source(many_photos) as source:
        calibrated = calibrate.calibrate(fuse(pretrained), pretrained, source, config, Stages())
    assert [point.images for point in calibrated.convergence] == [128]


def test_few_images_have_no_two_checkpoints(bundle_folder: Path) -> None:
    section = read_report(bundle_folder / bundle.REPORT_JSON).calibration
    assert section is not None
    assert section.images < 64
    assert (section.convergence, section.watched, section.settled) == ((), "percentile", None)


@pytest.mark.parametrize("method", ["auto", "mse", "percentile", "entropy", "minmax"])
def test_the_order_of_the_images_does_not_matter(
    method: str, checkpoint: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint), progress=False)
    fused = fuse(pretrained)
    config = QuantConfig(method=method)
    recipes = []
    for step in (1, -1):

        def order(items: Sequence[ImageItem], seed: int, step: int = step) -> tuple[ImageItem, ...]:
            return tuple(sorted(items, key=lambda item: item.name)[::step])

        monkeypatch.setattr(calibrate, "balanced_order", order)
        with open_source(photos) as source:
            calibrated = calibrate.calibrate(fused, pretrained, source, config, Stages())
        decided = decide(
            *(Equalized(network=fused, exponents={}), calibrated.collected, pretrained, config),
            fitting=calibrated.kept.fitting,
            held_out=calibrated.kept.held_out,
        )
        recipes.append(decided.recipe)
    assert recipes[0].to_json() == recipes[1].to_json()
    assert recipes[0].tables.content == recipes[1].tables.content


def test_tables_go_into_a_file_of_their_own_and_rebuild_byte_for_byte(
    eightbit: Eightbit, quick: tuple[object, ...], checkpoint: Path, tmp_path: Path
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    stages = ("--equalize", "on", "--weight-method", "mse")
    both = ("--formats", "torchscript,onnx")
    first = eightbit(*quick, *both, *stages, "--out", out)
    assert first.code == 0, first
    assert (out / bundle.TABLES).is_file()
    rebuilt = eightbit(
        *("quantize", "--recipe", out / bundle.RECIPE, "--weights", checkpoint),
        *(*both, "--threads", 1, "--out", again),
    )
    assert rebuilt.code == 0, rebuilt
    for name in (bundle.ONNX, TORCHSCRIPT.file(), bundle.RECIPE, bundle.TABLES):
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


def test_a_diagnosis_shows_every_tensor(
    eightbit: Eightbit, bundle_folder: Path, flat_photos: Path
) -> None:
    outcome = eightbit("diagnose", bundle_folder, "--data", flat_photos, "--threads", 1)
    assert outcome.code == 0, outcome
    report = read_report(bundle_folder / bundle.REPORT_JSON)
    assert len(report.diagnosis) == 30
    for tensor in report.diagnosis:
        assert tensor.name in outcome.out
    assert "avgpool" in outcome.out
    assert "saturated" in outcome.out


def test_a_report_calls_settled_what_the_search_for_images_does() -> None:
    assert SETTLED_CHANGE == TOLERANCE
