"""What the programs of examples/cpp show of odd answers, and refuse of bad input."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.examples.running import Outcome, run
from tests.examples.synthetic_models import (
    KEY,
    LENGTH,
    SIDE,
    described,
    onnx_model,
    torchscript_model,
)
from tests.onnx_models import numbers, saved, written

ONNX_PROGRAMS = ("classify_onnxruntime", "classify_openvino")
PROGRAMS = (*ONNX_PROGRAMS, "classify_torchscript")
LOGITS = [1.0, 2.0, 3.0]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Black pixels, as many as the synthetic models take."""
    path = tmp_path / "image.rgb"
    path.write_bytes(bytes(LENGTH))
    return path


@pytest.fixture(params=ONNX_PROGRAMS)
def answer(
    request: pytest.FixtureRequest, program: Callable[[str], Path], image: Path, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run an ONNX program on a model that gives some logits and says something of itself."""
    executable = program(request.param)

    def run_it(logits: list[float], metadata: str | None) -> Outcome:
        path = onnx_model(tmp_path / "m.onnx", logits, metadata)
        return run(executable, path, image, logits=tmp_path / "logits.f32")

    return run_it


def test_of_equal_logits_the_lowest_class_comes_first(answer: Callable[..., Outcome]) -> None:
    found = answer([0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0], described(7))
    assert [line.split()[1] for line in found.shown] == ["1", "3", "0", "2", "4"]


def test_fewer_than_five_classes_are_all_shown(answer: Callable[..., Outcome]) -> None:
    labels = ["one", "two", "three"]
    found = answer([math.log(3), math.log(5), math.log(2)], described(spec={"labels": labels}))
    assert found.shown == ["   50.0%  two", "   30.0%  one", "   20.0%  three"]


def test_logits_far_apart_are_no_overflow(answer: Callable[..., Outcome]) -> None:
    assert answer([-3e38, 3e38], described(2)).shown == ["  100.0%  1", "    0.0%  0"]


def test_a_label_cannot_move_the_cursor(answer: Callable[..., Outcome]) -> None:
    labels = ["\x1b[2Jx", "line\nbreak", "\x9b2Jü"]
    found = answer(LOGITS, described(spec={"labels": labels}))
    assert [line[10:] for line in found.shown] == ["?2Jü", "line?break", "?[2Jx"]


# Metadata, and what is said of it after the file's name.
DAMAGED = {
    "none": (
        None,
        "expected an artefact with its preprocessing inside, found a model without",
    ),
    "a newer version": (
        described(format_version=2),
        "eightbit metadata: expected format_version 1 or lower, found 2; a newer eightbit wrote",
    ),
    "no JSON": ("{]", "eightbit metadata: it is damaged: [json.exception.parse_error"),
    "no object": ("[1]", "eightbit metadata: it is damaged: [json.exception.type_error"),
    "nested a million deep": ("[" * 1_000_000, "eightbit metadata: it is damaged: "),
    "too long": (
        " " * (16 * 2**20) + described(),
        "eightbit metadata: expected at most 16777216 bytes, found more; do not trust this file",
    ),
    "a huge crop": (
        described(preprocessing={"crop": 10**12}),
        "eightbit metadata: expected a count from 1 to 8192, found 1000000000000",
    ),
    "half a pixel": (
        described(preprocessing={"crop": 2.5}),
        "eightbit metadata: expected a count from 1 to 8192, found 2.5",
    ),
    "three sides": (
        described(preprocessing={"crop": [4, 4, 4]}),
        "eightbit metadata: expected height and width, found [4,4,4]",
    ),
    "a huge width": (
        described(preprocessing={"crop": [4, 10**12]}),
        "eightbit metadata: expected a count from 1 to 8192, found 1000000000000",
    ),
    "two colours": (
        described(preprocessing={"mean": [0.5, 0.5]}),
        "eightbit metadata: expected a number for each of R, G and B, found [0.5,0.5]",
    ),
    "a mean that is infinite in float32": (
        described(preprocessing={"mean": [0.5, 0.5, 1e300]}),
        "eightbit metadata: expected a finite number, found [0.5,0.5,1e+300]",
    ),
    "a missing label": (
        described(spec={"labels": ["one", "two"]}),
        "eightbit metadata: expected 3 labels, found 2",
    ),
    "an input of another type": (
        described(input={"dtype": "int4\x1b", "layout": "NCHW"}),
        "eightbit metadata: dtype: expected float32 or uint8, found int4?",
    ),
}


@pytest.mark.parametrize(("metadata", "sentence"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_metadata_is_refused(
    metadata: str | None, sentence: str, answer: Callable[..., Outcome]
) -> None:
    refusal = answer(LOGITS, metadata).refusal
    assert refusal.partition("m.onnx: ")[2].startswith(sentence)


def test_more_logits_than_classes_are_refused(answer: Callable[..., Outcome]) -> None:
    assert answer(LOGITS, described(2)).refusal.endswith(
        "m.onnx: expected 2 logits as its metadata says, found 3; do not trust this file"
    )


def test_logits_that_are_not_finite_are_refused(answer: Callable[..., Outcome]) -> None:
    assert answer([1.0, math.nan, math.inf], described()).refusal.endswith(
        "expected finite logits, found 2 of 3 NaN or infinite; the model is broken for this input"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"input": {"dtype": "uint8", "layout": "NCHW"}},
        {"input": {"dtype": "float32", "layout": "NHWC"}},
    ],
    ids=["type", "layout"],
)
def test_a_model_that_takes_something_else_than_it_says_is_refused(
    changes: dict[str, dict[str, str]], answer: Callable[..., Outcome]
) -> None:
    assert answer(LOGITS, described(**changes)).refusal


@pytest.mark.parametrize("name", ONNX_PROGRAMS)
def test_a_model_for_another_size_than_it_says_is_refused(
    name: str, program: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "image.rgb").write_bytes(bytes(LENGTH // 4))
    metadata = described(preprocessing={"crop": SIDE // 2})
    model = onnx_model(tmp_path / "m.onnx", LOGITS, metadata)
    assert run(program(name), model, tmp_path / "image.rgb").refusal.startswith(f"{model}: ")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("name", ONNX_PROGRAMS)
def test_rows_and_columns_of_an_image_that_is_not_square_stay_in_order(
    name: str, layout: str, program: Callable[[str], Path], tmp_path: Path
) -> None:
    """Every number of the input has a weight of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 3), dtype=np.uint8)
    taken = pixels if layout == "NHWC" else pixels.transpose(2, 0, 1)
    weights = numbers(pixels.size, 3)
    text = "N," + ",".join(map(str, taken.shape))
    model = written("f = Flatten(x) y = MatMul(f, v)", {"v": weights}, shape=text)
    said = {"preprocessing": {"crop": [2, 6]}, "input": {"dtype": "float32", "layout": layout}}
    onnx.helper.set_model_props(model, {KEY: described(**said)})
    path, image = saved(model, tmp_path), tmp_path / "image.rgb"
    image.write_bytes(pixels.tobytes())
    found = run(program(name), path, image, logits=tmp_path / "logits.f32")
    assert found.logits is not None, found
    expected = (taken.astype(np.float32) / 255).reshape(1, -1) @ weights
    np.testing.assert_allclose(found.logits, expected[0], rtol=1e-4, atol=1e-4)
    image.write_bytes(bytes(1))
    refusal = run(program(name), path, image).refusal
    assert "expected 36 bytes (2 x 6 pixels of R, G and B), found 1; " in refusal


def with_opset(path: Path, version: int) -> Path:
    model = onnx.load(path)
    model.opset_import[0].version = version
    onnx.save(model, path)
    return path


def test_an_opset_that_onnx_runtime_lacks_is_named(
    program: Callable[[str], Path], image: Path, tmp_path: Path
) -> None:
    model = with_opset(onnx_model(tmp_path / "m.onnx", LOGITS, described()), 90)
    refusal = run(program("classify_onnxruntime"), model, image).refusal
    assert refusal.startswith(f"{model}: ONNX Runtime ")
    assert "Opset 90" in refusal
    assert "_src/" not in refusal
    assert refusal.endswith("; take a newer one, or export the model again")


@pytest.mark.parametrize("name", PROGRAMS)
def test_files_that_are_not_what_they_should_be_are_refused(
    name: str, program: Callable[[str], Path], image: Path, tmp_path: Path
) -> None:
    suffix, other = ("pt", "onnx") if name == "classify_torchscript" else ("onnx", "pt")
    models = {
        "onnx": onnx_model(tmp_path / "good.onnx", LOGITS, described()),
        "pt": torchscript_model(tmp_path / "good.pt", described()),
    }
    model, absent = models[suffix], tmp_path / "absent"
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(model.read_bytes()[:200])
    empty = tmp_path / "empty"
    empty.touch()
    assert run(program(name), model, image).shown
    assert run(program(name), absent, image).refusal == (
        f"{absent}: expected a model file, found none; check the path"
    )
    assert run(program(name), tmp_path, image).refusal.startswith(f"{tmp_path}: expected a model")
    assert run(program(name), cut, image).refusal.startswith(f"{cut}: ")
    assert run(program(name), empty, image).refusal.startswith(f"{empty}: ")
    assert "; an ONNX model runs in " in run(program("classify_torchscript"), empty, image).refusal
    assert "classify_" in run(program(name), models[other], image).refusal
    assert run(program(name), model, absent).refusal == (
        f"{absent}: expected a file of raw RGB pixels, found none; check the path"
    )
    assert run(program(name), model, empty).refusal == (
        f"{empty}: expected 48 bytes (4 x 4 pixels of R, G and B), found 0; resize and crop the "
        "image first"
    )
    image.write_bytes(bytes(LENGTH + 1))
    assert f"expected 48 bytes (4 x 4 pixels of R, G and B), found {LENGTH + 1}; " in (
        run(program(name), model, image).refusal
    )


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (None, "found a model without eightbit metadata"),
        (described(format_version=2), "expected format_version 1 or lower, found 2"),
        (" " * (16 * 2**20) + described(), "expected at most 16777216 bytes, found more"),
        (described(2), "expected 2 logits as its metadata says, found 3; do not trust this file"),
        (described(preprocessing={"crop": 8192}), "expected 201326592 bytes (8192 x 8192 pixels"),
    ],
    ids=["none", "newer", "too long", "other classes", "other size"],
)
def test_torchscript_metadata_is_checked_as_well(
    metadata: str | None,
    sentence: str,
    program: Callable[[str], Path],
    image: Path,
    tmp_path: Path,
) -> None:
    model = torchscript_model(tmp_path / "m.pt", metadata)
    assert sentence in run(program("classify_torchscript"), model, image).refusal


def test_a_checkpoint_and_a_module_without_logits_are_refused(
    program: Callable[[str], Path], image: Path, tmp_path: Path
) -> None:
    classify = program("classify_torchscript")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "checkpoint.pt")
    assert "without eightbit metadata" in run(classify, tmp_path / "checkpoint.pt", image).refusal
    pair = torchscript_model(tmp_path / "pair.pt", described(), pair=True)
    assert "cannot run it: " in run(classify, pair, image).refusal


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "expected a model and an image, found 0 file names; --help shows the order"),
        (("a",), "expected a model and an image, found 1 file names; --help shows the order"),
        (("a", "b", "--threads"), "--threads: expected a value after it, found none"),
        (("a", "b", "--threads", "0"), "--threads: expected a number from 1 to 1024, found 0"),
        (("a", "b", "--threads", "2x"), "--threads: expected a number from 1 to 1024, found 2x"),
        (("a", "b", "--top"), "--top: no such option; --help shows which there are"),
    ],
    ids=["nothing", "no image", "no value", "no threads", "no number", "another option"],
)
def test_a_command_line_that_says_nothing_useful_is_refused(
    arguments: tuple[str, ...], sentence: str, program: Callable[[str], Path]
) -> None:
    assert run(program("classify_openvino"), *arguments).refusal == sentence


def test_logits_that_cannot_be_written_are_a_refusal(
    program: Callable[[str], Path], image: Path, tmp_path: Path
) -> None:
    model = onnx_model(tmp_path / "m.onnx", LOGITS, described())
    target = tmp_path / "nowhere" / "logits.f32"
    assert run(program("classify_openvino"), model, image, logits=target).refusal == (
        f"{target}: cannot be written; check the folder"
    )


def test_the_logits_are_raw_numbers(answer: Callable[..., Outcome]) -> None:
    logits = answer(LOGITS, described()).logits
    np.testing.assert_array_equal(logits, np.array(LOGITS, dtype=np.float32))


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_says_what_to_give(name: str, program: Callable[[str], Path]) -> None:
    found = run(program(name), "--help")
    assert found.code == 0
    assert found.out.startswith(f"Usage: {name} MODEL IMAGE.rgb [--threads N] [--logits FILE]\n")
