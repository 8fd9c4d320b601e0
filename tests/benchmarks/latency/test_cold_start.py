"""From the start of a process to its first label: what launches say, and how memory is counted."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from eightbit.benchmarks.artifact.formats import ONNX_METADATA_KEY, Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, read_metadata
from eightbit.benchmarks.latency import bare_script, cold_start
from eightbit.benchmarks.latency.cold_start import Start, cold_start_of, launch, measure_cold_start
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing, Size

MB = 10**6
HUNGRY = "a = bytearray({megabytes} * 10**6)"


def starts(*pairs: tuple[float, float]) -> list[tuple[Start, Start]]:
    return [
        (
            Start(seconds=bare, peak_rss_bytes=100 * MB),
            Start(seconds=ours, peak_rss_bytes=(110 + index) * MB),
        )
        for index, (bare, ours) in enumerate(pairs)
    ]


def test_the_ratio_is_that_of_each_turn() -> None:
    # The machine is twice as slow for a while: both are, so the ratio stays.
    found = cold_start_of(starts((0.4, 0.5), (0.8, 1.0), (0.4, 0.5)))
    assert found.ratio == pytest.approx(1.25)
    assert found.ratio_ci95 == pytest.approx((1.25 / 1.01, 1.25 * 1.01))  # never narrower
    assert (found.launches, found.seconds, found.bare_seconds) == (3, 0.5, 0.4)
    assert (found.peak_rss_bytes, found.bare_peak_rss_bytes) == (111 * MB, 100 * MB)


def test_turns_that_disagree_widen_the_interval_and_so_do_other_programs() -> None:
    calm = cold_start_of(starts((0.4, 0.5), (0.4, 0.5), (0.4, 0.5)))
    busy = cold_start_of(starts((0.4, 0.5), (0.4, 0.5), (0.4, 0.5)), busy=0.2)
    uneven = cold_start_of(starts((0.4, 0.5), (0.4, 0.6), (0.4, 0.4)))
    assert uneven.ratio_ci95[1] > busy.ratio_ci95[1] > calm.ratio_ci95[1]
    assert busy.ratio_ci95[1] == pytest.approx(1.25 * 1.2)


def test_one_launch_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 2 launches"):
        cold_start_of(starts((0.4, 0.5)))


def test_memory_is_that_of_the_program_and_not_of_whoever_starts_it() -> None:
    code = HUNGRY.format(megabytes=40)
    small = launch([sys.executable, "-I", "-S", "-c", code]).peak_rss_bytes
    ballast = np.ones(300 * MB, dtype=np.uint8)
    large = launch([sys.executable, "-I", "-S", "-c", code]).peak_rss_bytes
    assert ballast.all()
    assert 40 * MB < small < 80 * MB
    assert abs(large - small) < 10 * MB


def test_more_memory_is_counted() -> None:
    small, large = (
        launch([sys.executable, "-I", "-S", "-c", HUNGRY.format(megabytes=size)]).peak_rss_bytes
        for size in (40, 90)
    )
    assert large - small == pytest.approx(50 * MB, abs=5 * MB)


def test_a_program_that_fails_is_named() -> None:
    with pytest.raises(InputError, match="expected it to end with 0, found 3; run it to see"):
        launch([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its logits are the means of the three channels."""
    return means(tmp_path_factory.mktemp("model") / "means.onnx", Preprocessing(resize=8, crop=8))


def means(path: Path, preprocessing: Preprocessing) -> Path:
    """Write a model of the means of three channels."""
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["means"]),
            helper.make_node("Flatten", ["means"], ["logits"]),
        ],
        "means",
        [
            helper.make_tensor_value_info(
                "input", TensorProto.FLOAT, ["batch", 3, *preprocessing.crop_size]
            )
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    spec = ModelSpec(architecture=Architecture.RESNET18, num_classes=3, preprocessing=preprocessing)
    metadata = ArtifactMetadata(precision=Precision.FP32, spec=spec)
    helper.set_model_props(made, {ONNX_METADATA_KEY: metadata.to_json()})
    onnx.save(made, path)
    return path


@pytest.mark.parametrize(
    ("resize", "crop", "squash"),
    [(8, (6, 8), False), ((8, 12), (6, 10), False), ((8, 12), (6, 10), True), (9, 8, True)],
)
def test_the_bare_script_prepares_images_that_are_not_square(
    resize: Size,
    crop: Size,
    squash: bool,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    how = Preprocessing(resize=resize, crop=crop, squash=squash)
    model = means(tmp_path / "means.onnx", how)
    metadata = read_metadata(model)
    assert metadata is not None
    bare_script.main(*cold_start._bare_arguments(model, photo, metadata))
    assert capsys.readouterr().out == "1\n"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "green.png"
    Image.new("RGB", (20, 15), (10, 200, 30)).save(path)
    return path


def test_the_bare_script_classifies_the_photo(
    model: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = read_metadata(model)
    assert metadata is not None
    bare_script.main(*cold_start._bare_arguments(model, photo, metadata))
    assert capsys.readouterr().out == "1\n"


def test_both_start_in_turns_and_the_first_turn_does_not_count(
    model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def record(command: list[str]) -> Start:
        commands.append(command)
        return Start(seconds=1.0 if len(commands) > 2 else 99.0, peak_rss_bytes=50 * MB)

    monkeypatch.setattr(cold_start, "launch", record)
    steps: list[int] = []
    program = Path("/somewhere/model.zip")
    found = measure_cold_start(program, model, photo, launches=2, advance=steps.append)
    assert (found.launches, found.seconds, found.bare_seconds) == (2, 1.0, 1.0)
    assert len(steps) == 3
    names = [Path(command[1]).name for command in commands]
    bare, ours = "bare_script.py", "model.zip"
    assert names == [ours, bare, bare, ours, ours, bare]  # neither is always the first
    assert all(command[0] == sys.executable for command in commands)
    assert commands[0][2:] == [str(photo)]


def test_a_model_without_metadata_is_refused(model: Path, photo: Path, tmp_path: Path) -> None:
    bare = onnx.load(model)
    del bare.metadata_props[:]
    onnx.save(bare, tmp_path / "bare.onnx")
    with pytest.raises(InputError, match="expected a model with metadata, found none"):
        measure_cold_start(tmp_path / "x.zip", tmp_path / "bare.onnx", photo)
