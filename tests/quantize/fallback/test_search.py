"""A target of accuracy that integers alone miss, so that layers go to float."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.quantize.conftest import DELIVERED

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.artifact.formats import FORMATS, ONNX
from eightbit.benchmarks.latency import launches
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.models.digits import LABELS, WEIGHTS_FILE, load_digits_split, write_class_folders
from eightbit.models.doors.pretrained import Pretrained, load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture
from eightbit.quantize import (
    Delivery,
    QuantConfig,
    bundle,
    failed_gates,
    pipeline,
    quantize,
    read_recipe,
    rebuild,
)
from eightbit.quantize.fallback import search, trials
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.verify import verification

BAD = "layer1.0.conv1"
IMAGES = 100
# Each takes ten seconds. That so many as the product allows find the fewest: see `test_fewest`.
EVALUATIONS = 3
# Nothing that would mend the badly scaled channel without float.
HARMFUL = QuantConfig(samples=8, equalize="off", method="minmax")
# A network that lost nothing on a hundred images could still have lost 3.7 points.
REACHABLE_PP, TOO_LITTLE_PP = 4.0, 1.0


@pytest.fixture(scope="module")
def badly_scaled(tmp_path_factory: pytest.TempPathFactory) -> Pretrained:
    """The demo's network with one channel a thousand times larger; to float it is the same."""
    asset = resources.files("eightbit.models") / "assets" / WEIGHTS_FILE
    with resources.as_file(asset) as path:
        state = load_file(path)
    for name in ("layer1.0.bn1.weight", "layer1.0.bn1.bias"):
        state[name][0] *= 1000
    state["layer1.0.conv2.weight"][:, 0] /= 1000
    path = tmp_path_factory.mktemp("weights") / "scaled.safetensors"
    save_file(state, path)
    return load_pretrained(Architecture.CIFAR_RESNET20, str(path), labels=LABELS)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the digits that the network was not trained on."""
    pytest.importorskip("sklearn", reason="the digits are in scikit-learn")
    held_out = load_digits_split().held_out
    folder = tmp_path_factory.mktemp("images") / "digits"
    write_class_folders(held_out.images[:IMAGES], held_out.labels[:IMAGES], folder)
    return folder


@pytest.fixture(scope="module")
def run(badly_scaled: Pretrained, digits: Path) -> Callable[..., Report]:
    def quantized(out: Path, target_pp: float, formats: tuple[str, ...] = tuple(FORMATS)) -> Report:
        delivery = Delivery(
            out=out,
            evaluate=digits,
            threads=1,
            max_drop_pp=target_pp,
            fallback=True,
            formats=formats,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
            patch.setattr(verification, "executions", lambda *_, **__: Availability())
            patch.setattr(search, "MAX_EVALUATIONS", EVALUATIONS)
            patch.setattr(launches, "_WARM_UP_SECONDS", 0.0)
            patch.setattr(trials, "_LATENCY_SECONDS", 0.05)
            return quantize(badly_scaled, digits, delivery, HARMFUL)

    return quantized


@pytest.fixture(scope="module")
def reached(
    run: Callable[..., Report], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Report]:
    out = tmp_path_factory.mktemp("reached") / "bundle"
    return out, run(out, REACHABLE_PP)


def test_a_target_that_integers_miss_is_met_with_layers_in_float(
    reached: tuple[Path, Report],
) -> None:
    folder, report = reached
    fallback = report.fallback
    assert fallback is not None
    assert fallback.met
    assert not fallback.steps[0].met
    assert fallback.evaluations == len(fallback.steps) <= EVALUATIONS
    assert failed_gates(report, REACHABLE_PP) == ()
    recipe = read_recipe(folder / bundle.RECIPE)
    assert BAD in recipe.float_layers
    assert 0 < len(recipe.float_layers) < fallback.candidates
    assert report.accuracy is not None
    for result in (report.accuracy.torchscript, report.accuracy.onnx):
        assert result is not None
        assert result.drop_ci95_pp is not None
        assert result.drop_ci95_pp[1] <= REACHABLE_PP


def test_the_steps_lead_to_what_was_delivered(reached: tuple[Path, Report]) -> None:
    folder, report = reached
    assert report.fallback is not None
    steps = report.fallback.steps
    (chosen,) = (index for index, step in enumerate(steps) if step.chosen)
    added = [name for step in steps[: chosen + 1] for name in step.added]
    assert sorted(added) == sorted(read_recipe(folder / bundle.RECIPE).float_layers)
    assert [step.float_layers for step in steps] == sorted(step.float_layers for step in steps)
    assert not any(step.met for step in steps[:chosen])
    assert steps[0].latency_ratio == 1.0
    assert all(step.latency_ratio is not None for step in steps)


def test_the_audit_counts_what_stayed_in_integers(reached: tuple[Path, Report]) -> None:
    folder, report = reached
    assert report.coverage is not None
    floats = read_recipe(folder / bundle.RECIPE).float_layers
    in_float = sum("conv" in name for name in floats)
    assert report.coverage.conv.quantized == 19 - in_float
    assert report.coverage.conv.total == 19
    assert report.verification is not None
    assert report.verification.passed


def test_the_report_on_disk_is_the_same(reached: tuple[Path, Report]) -> None:
    folder, report = reached
    assert read_report(folder / bundle.REPORT_JSON) == report


def test_the_recipe_gives_the_same_bytes_again(
    reached: tuple[Path, Report], badly_scaled: Pretrained, tmp_path: Path
) -> None:
    folder, _ = reached
    recipe = read_recipe(folder / bundle.RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
        rebuild(badly_scaled, recipe, Delivery(out=tmp_path / "again", threads=1))
    for name in (*DELIVERED, bundle.RECIPE):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_too_few_images_are_named_and_nothing_is_spent_on_them(
    run: Callable[..., Report], tmp_path: Path
) -> None:
    report = run(tmp_path / "out", TOO_LITTLE_PP, (ONNX.key,))
    assert report.fallback is not None
    assert not report.fallback.met
    assert report.fallback.evaluations == 1
    assert read_recipe(tmp_path / "out" / bundle.RECIPE).float_layers == ()
    failure = failed_gates(report, TOO_LITTLE_PP)[-1]
    assert failure.startswith("max drop: onnx: top-1 drops by ")
    # 1.96^2 / (n + 1.96^2) is at most 1 %.
    assert "1 allowed; to show that, about 381 evaluation images are needed" in failure


def test_a_recipe_leaves_no_choice(
    badly_scaled: Pretrained, digits: Path, reached: tuple[Path, Report]
) -> None:
    folder, _ = reached
    delivery = Delivery(
        out=folder.parent / "no", evaluate=digits, max_drop_pp=1.0, fallback=True, threads=1
    )
    with pytest.raises(InputError, match="fallback: expected none beside a recipe"):
        rebuild(badly_scaled, read_recipe(folder / bundle.RECIPE), delivery)
    assert not (folder.parent / "no").exists()


def test_a_fallback_needs_a_target() -> None:
    with pytest.raises(InputError, match=r"fallback: .* give --max-drop"):
        Delivery(out=Path("out"), evaluate=Path("images"), fallback=True)
