"""An ONNX file alone through the command line, and rebuilt from its recipe under another name."""

import json
from pathlib import Path

import onnx
from tests.onnx_models import TAIL, numbers, saved, written
from tests.quantize.conftest import Eightbit

from eightbit.quantize import bundle

BODY = (
    'c = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w) s = Mul(c, scale) b = Add(s, shift) '
    "n = Transpose<perm = [0, 2, 3, 1]>(b) r = Relu(n) h = Transpose<perm = [0, 3, 1, 2]>(r) "
    f"{TAIL}"
)
NAMES = [f"class {index}" for index in range(10)]


def model() -> onnx.ModelProto:
    """As exporters of networks that keep channels last write: permuted, normalised, a softmax."""
    weights = {
        "w": numbers(10, 3, 3, 3),
        "scale": abs(numbers(10, 1, 1)) + 0.5,
        "shift": numbers(10, 1, 1),
    }
    made = written(
        f"x = Transpose<perm = [0, 3, 1, 2]>(images) {BODY.replace('y =', 'l =')} y = Softmax(l)",
        weights,
        shape="1,32,32,3",
    )
    made.graph.input[0].name = "images"
    onnx.helper.set_model_props(made, {"names": json.dumps(NAMES)})
    return made


def test_a_file_alone_becomes_a_bundle_that_its_recipe_rebuilds(
    eightbit: Eightbit, photos: Path, tmp_path: Path
) -> None:
    path = saved(model(), tmp_path, "flowers.onnx")
    made = eightbit(
        *("quantize", "--weights", path, "--calibrate", photos, "--out", tmp_path / "made"),
        *("--samples", 8, "--threads", 1, "--formats", "onnx"),
    )
    assert made.code in (0, 1), made.err
    renamed = path.rename(tmp_path / "renamed.onnx")
    again = eightbit(
        *("quantize", "--weights", renamed, "--recipe", tmp_path / "made" / bundle.RECIPE),
        *("--out", tmp_path / "again", "--threads", 1, "--formats", "onnx"),
    )
    assert again.code in (0, 1), again.err
    for name in (bundle.RECIPE, bundle.ONNX, bundle.FLOAT_ONNX):
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    recipe = json.loads((tmp_path / "made" / bundle.RECIPE).read_text())
    assert recipe["spec"]["architecture"] == "onnx:flowers"
    assert recipe["spec"]["labels"] == NAMES
    assert "the final Softmax was cut off" in recipe["provenance"]["weights_notes"][0]
    operators = {node.op_type for node in onnx.load(tmp_path / "made" / bundle.ONNX).graph.node}
    assert not operators & {"Transpose", "Mul", "Add"}


def test_without_photos_or_beside_an_architecture_it_is_refused(
    eightbit: Eightbit, photos: Path, tmp_path: Path
) -> None:
    path = saved(model(), tmp_path)
    alone = eightbit("quantize", "--weights", path, "--out", tmp_path / "out")
    assert alone.code == 2
    assert "expected SOURCE and --calibrate SRC" in alone.error
    assert "found no --calibrate SRC" in alone.error
    beside = eightbit(
        *("quantize", "resnet18", "--weights", path, "--calibrate", photos),
        *("--out", tmp_path / "out"),
    )
    assert beside.code == 2
    assert "found an ONNX graph; give it alone, as --weights without SOURCE" in beside.error
