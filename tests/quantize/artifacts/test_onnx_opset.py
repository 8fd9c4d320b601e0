"""Every opset that can be asked for: the same numbers, or one line that says why not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from eightbit.calibration import collect
from eightbit.models import Architecture
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.quantize.artifacts.onnx_opset import in_opset
from eightbit.quantize.artifacts.write import write_float_onnx, write_onnx
from eightbit.quantize.config import NEWEST_OPSET, OLDEST_OPSET, OPSET, Mode, QuantConfig
from eightbit.quantize.front_ends.front_ends import observe
from eightbit.quantize.network.network import fuse
from eightbit.quantize.recipe.choose import make_recipe
from eightbit.quantize.recipe.quantized import Quantized

Networks = Callable[..., Pretrained]
Images = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@pytest.fixture(scope="module")
def quantized(random_network: Networks, noise_images: Callable[..., Images]) -> Quantized:
    pretrained = random_network(Architecture.CIFAR_RESNET20)
    network = fuse(pretrained)
    observed = observe(network, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(8, 32))
    return Quantized(
        network=network, recipe=make_recipe(network, collected, pretrained, QuantConfig())
    )


def _logits(path: Path, images: Images, *, optimised: bool) -> Images:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"input": images})
    return found


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST_OPSET + 1))
def test_every_opset_computes_the_same(quantized: Quantized, tmp_path: Path, opset: int) -> None:
    side = quantized.recipe.spec.preprocessing.crop
    images = np.random.default_rng(0).standard_normal((2, 3, side, side), dtype=np.float32)
    config = quantized.recipe.config.model_copy(update={"opset": opset})
    recipe = quantized.recipe.model_copy(update={"config": config})
    for write in (write_onnx, write_float_onnx):
        usual, other = tmp_path / "usual.onnx", tmp_path / "other.onnx"
        write(quantized, usual)
        write(Quantized(network=quantized.network, recipe=recipe), other)
        model = onnx.load(other)
        assert [(one.domain, one.version) for one in model.opset_import] == [("", opset)]
        assert model.ir_version == helper.OP_SET_ID_VERSION_MAP["ai.onnx", opset]
        assert model.metadata_props
        for optimised in (True, False):
            expected = _logits(usual, images, optimised=optimised)
            np.testing.assert_array_equal(_logits(other, images, optimised=optimised), expected)


def _model(operator: str) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "g", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])


def test_an_operator_that_came_later_is_named_with_its_opset() -> None:
    assert in_opset(_model("HardSwish"), 14).opset_import[0].version == 14
    with pytest.raises(InputError, match="HardSwish, which needs 14; give --opset 14 or more"):
        in_opset(_model("HardSwish"), 13)


def test_the_usual_opset_is_not_in_the_json() -> None:
    assert "opset" not in QuantConfig().model_dump()
    assert QuantConfig(opset=21).model_dump()["opset"] == 21
    with pytest.raises(ValueError, match="greater than or equal to 13"):
        QuantConfig(opset=12)
