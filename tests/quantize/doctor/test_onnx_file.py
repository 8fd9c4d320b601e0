"""What the doctor says about ONNX models of other tools: what is slow, what is wrong, and why."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic
from tests.quantize.foreign_models import (
    GraphOfOneLayer,
    one_convolution,
    quantized_by_onnxruntime,
    residual_network,
)

from eightbit.benchmarks import ArtifactMetadata, Precision
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.calibration import collect
from eightbit.models import Architecture
from eightbit.quantize import (
    Examination,
    Mode,
    QuantConfig,
    Severity,
    bundle,
    examine_file,
    export_onnx,
    fuse,
    make_recipe,
    observe,
)
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import leave_float

WITH_VNNI = CpuFeatures(
    name="new",
    architecture="x86_64",
    instructions=("avx2", "avx512_vnni"),
    logical_cores=2,
    usable_logical=2,
    usable_physical=2,
)
WITHOUT_VNNI = WITH_VNNI.model_copy(update={"name": "old", "instructions": ("avx2",)})
ARM = WITH_VNNI.model_copy(update={"architecture": "aarch64", "instructions": ("neon", "dot")})

SATURATES = "can saturate"


def examine(model: onnx.ModelProto, folder: Path, cpu: CpuFeatures = WITH_VNNI) -> Examination:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return examine_file(path, cpu)


def fact(examination: Examination, name: str) -> str:
    return dict(examination.facts)[name]


def found(examination: Examination, words: str) -> list[tuple[Severity, str]]:
    return [(x.severity, x.what) for x in examination.findings if words in x.what]


def warned(examination: Examination) -> list[str]:
    return [x.what for x in examination.findings if x.severity is Severity.WARNING]


@pytest.mark.parametrize("form", QuantFormat)
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_good_model_of_another_tool_computes_in_integers(form, per_channel, tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path, quant_format=form, per_channel=per_channel, activation_type=QuantType.QUInt8
    )
    examination = examine_file(path, WITH_VNNI)
    assert examination.verdict.startswith("It runs well here")
    assert fact(examination, "form").startswith(form.name)
    assert fact(examination, "in integers") == "conv 2/2, add 1/1, linear 1/1, pool 1/1"
    assert fact(examination, "input") == "x: float (n, 3, 8, 8)"
    assert {finding.severity for finding in examination.findings} == {Severity.INFO}


def test_int8_activations_in_qdq_form_keep_a_residual_network_in_float(tmp_path):
    examination = examine_file(quantized_by_onnxruntime(tmp_path), WITH_VNNI)
    assert fact(examination, "in integers") == "conv 0/2, add 0/1, linear 1/1, pool 1/1"
    assert found(examination, "float") == [
        (Severity.WARNING, "2 Conv, 1 Add in float: int8 activations")
    ]
    assert "3 operators in float" in examination.verdict


@pytest.mark.parametrize(("cpu", "slow"), [(WITH_VNNI, 1), (WITHOUT_VNNI, 1), (ARM, 0)])
def test_int8_activations_in_qoperator_form_are_slow_on_x86(cpu, slow, tmp_path):
    path = quantized_by_onnxruntime(tmp_path, quant_format=QuantFormat.QOperator)
    examination = examine_file(path, cpu)
    assert len(found(examination, "3 layers with int8 activations, slow on x86")) == slow
    assert found(examination, SATURATES) == [
        (Severity.INFO, "Portable: none of 42 output channels can saturate")
    ]


def matrix_product(dtype: type) -> onnx.ModelProto:
    """A matrix product with a float result, of quantized activations of a type."""
    graph = GraphOfOneLayer()
    graph.node("Flatten", ["x"], "flat")
    graph.constant("w", (np.arange(2560) % 127).astype(np.int8).reshape(256, 10))
    graph.constant("w_scale", np.float32(0.01))
    graph.constant("w_zero_point", np.int8(0))
    x = graph.quantize("flat", dtype=dtype)
    weight = graph.node("DequantizeLinear", ["w", "w_scale", "w_zero_point"], "w_dq")
    graph.node("MatMul", [x, weight], "product")
    return graph.model("product")


def test_int8_activations_of_a_product_with_a_float_result_are_slow_too(tmp_path):
    model = matrix_product(np.int8)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert "MatMulIntegerToFloat" in {node.op_type for node in optimized.graph.node}
    slow = "1 layer with int8 activations, slow on x86"
    assert warned(examine(optimized, tmp_path)) == [slow]
    assert slow not in warned(examine(optimized, tmp_path, ARM))
    assert slow not in warned(examine(model, tmp_path)), "ONNX Runtime makes uint8 of these"


def test_unsigned_weights_do_not_saturate(tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path, activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8
    )
    examination = examine_file(path, WITHOUT_VNNI)
    assert fact(examination, "weights") == "3 uint8"
    assert found(examination, SATURATES)[0][1].startswith("Portable")


@pytest.mark.parametrize(
    ("cpu", "severity", "place"),
    [
        (WITHOUT_VNNI, Severity.WARNING, "here"),
        (WITH_VNNI, Severity.INFO, "on x86 CPUs without VNNI"),
        (ARM, Severity.INFO, "on x86 CPUs without VNNI"),
    ],
)
def test_channels_at_risk_are_counted_and_judged_by_the_processor(cpu, severity, place, tmp_path):
    examination = examine(one_convolution(), tmp_path, cpu)
    assert found(examination, SATURATES) == [
        (severity, f"4 of 8 output channels can saturate {place}")
    ]
    (finding,) = (x for x in examination.findings if SATURATES in x.what)
    assert "conv 4/8" in finding.why
    assert (finding.what in examination.verdict) is (severity is Severity.WARNING)


def test_depthwise_weights_do_not_saturate(tmp_path):
    graph = GraphOfOneLayer()
    graph.constant("w", np.full((4, 1, 3, 3), 127, np.int8))
    graph.constant("w_scale", np.float32(0.01))
    graph.constant("w_zero_point", np.int8(0))
    weight = graph.node("DequantizeLinear", ["w", "w_scale", "w_zero_point"], "w_dq")
    graph.node("Conv", [graph.quantize("x"), weight], "conv", group=4)
    examination = examine(graph.model(graph.quantize("conv")), tmp_path, WITHOUT_VNNI)
    assert fact(examination, "in integers") == "conv 1/1"
    assert found(examination, SATURATES)[0][1].startswith("Portable: none of 4")


def test_reduced_weights_are_portable(tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True
    )
    assert found(examine_file(path, WITHOUT_VNNI), SATURATES) == [
        (Severity.INFO, "Portable: none of 42 output channels can saturate")
    ]


def test_sixteen_bits_have_no_integer_kernel(tmp_path):
    path = quantized_by_onnxruntime(tmp_path, activation_type=QuantType.QUInt16)
    examination = examine_file(path, WITH_VNNI)
    ((severity, what),) = found(examination, "float")
    assert severity is Severity.WARNING
    assert what.endswith("in float: its integers are not 8 bits wide")
    assert "2 Conv" in what


def test_dynamic_quantization_is_named(tmp_path):
    onnx.save(residual_network(), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx")
    examination = examine_file(tmp_path / "dynamic.onnx", WITH_VNNI)
    assert fact(examination, "form").startswith("dynamic")
    assert found(examination, "dynamically")[0][0] is Severity.WARNING
    assert found(examination, SATURATES)[0][1].startswith("11 of 42 output channels")


def test_a_float_model_is_one(tmp_path):
    examination = examine(residual_network(), tmp_path)
    assert examination.verdict == "It runs here, in float: nothing was quantized."
    assert [finding.what for finding in examination.findings] == ["Nothing is quantized"]


def test_our_own_artefact_has_nothing_to_criticise(bundle_folder):
    examination = examine_file(bundle_folder / bundle.ONNX, WITH_VNNI)
    assert examination.verdict.startswith("It runs well here")
    assert fact(examination, "made by") == "eightbit"
    assert fact(examination, "in integers") == "conv 19/19, add 9/9, linear 1/1, pool 1/1"
    assert [(finding.severity, finding.what) for finding in examination.findings] == [
        (Severity.INFO, "Also in float: 1 Pad"),
        (Severity.INFO, "Portable: none of 698 output channels can saturate"),
    ]


def test_layers_that_a_recipe_keeps_in_float_are_no_warning(random_network, noise_images, tmp_path):
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=32)
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(4, 32))
    recipe = make_recipe(fused, collected, pretrained, QuantConfig())
    recipe = leave_float(recipe, fused, ("layer2.0.conv1", "fc"))
    metadata = ArtifactMetadata(
        precision=Precision.INT8, spec=recipe.spec, recipe_sha256=recipe.sha256
    )
    export_onnx(Quantized(network=fused, recipe=recipe), metadata, tmp_path / "mixed.onnx")
    examination = examine_file(tmp_path / "mixed.onnx", WITH_VNNI)
    assert fact(examination, "in integers") == "conv 18/19, add 9/9, linear 0/1, pool 1/1"
    assert warned(examination) == []
    assert found(examination, "its input has a scale per channel") == [
        (Severity.INFO, "1 Conv, 1 Gemm in float: its input has a scale per channel")
    ]


def relu(zero_point):
    def after(graph):
        graph.node("Relu", ["conv"], "relu")
        return graph.quantize("relu", zero_point)

    return after


def batch_norm(graph):
    parameters = [graph.constant(name, np.full(8, 1.3, np.float32)) for name in "abcd"]
    graph.node("BatchNormalization", ["conv", *parameters], "bn")
    return graph.quantize("bn")


def add_of_a_constant(graph):
    constant = graph.constant("k", np.full((1, 8, 1, 1), 0.3, np.float32))
    graph.node("Add", [graph.quantize("conv"), constant], "add")
    return graph.quantize("add")


def sigmoid(graph):
    return graph.node("Sigmoid", ["conv"], "sigmoid")


def also_in_float(graph):
    return graph.node("Mul", [graph.node("Tanh", ["conv"], "t"), graph.quantize("conv")], "m")


def mean(graph):
    graph.node("ReduceMean", [graph.quantize("conv")], "mean", axes=[2, 3])
    return graph.quantize("mean")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (relu(3), "1 Conv in float: the Relu behind it is not part of the rounding"),
        (batch_norm, "1 Conv in float: a BatchNormalization follows"),
        (add_of_a_constant, "1 Add in float: one of its two inputs is float, from a constant"),
        (sigmoid, "1 Conv in float: no QuantizeLinear behind it (Sigmoid follows)"),
        (also_in_float, "1 Conv in float: Tanh reads its result in float"),
        (mean, "1 ReduceMean in float: it has no integer kernel"),
    ],
)
def test_an_operator_in_float_has_a_reason(after, expected, tmp_path):
    examination = examine(one_convolution(after), tmp_path)
    assert warned(examination) == [expected]
    assert "1 operator in float" in examination.verdict


def test_operators_without_names_have_a_reason_too(tmp_path):
    model = one_convolution(sigmoid)
    for node in model.graph.node:
        node.name = ""
    assert warned(examine(model, tmp_path)) == [
        "1 Conv in float: no QuantizeLinear behind it (Sigmoid follows)"
    ]


def test_a_relu_that_the_rounding_contains_is_no_reason(tmp_path):
    assert fact(examine(one_convolution(relu(0)), tmp_path), "in integers") == "conv 1/1"


def test_a_pad_between_is_a_reason(tmp_path):
    graph = GraphOfOneLayer()
    pads = graph.constant("pads", np.array([0, 2, 0, 0, 0, 2, 0, 0], np.int64))
    graph.convolution(graph.node("Pad", [graph.quantize("x"), pads], "padded"), channels=8)
    examination = examine(graph.model(graph.quantize("conv")), tmp_path)
    assert warned(examination) == [
        "1 Conv in float: Pad stands between it and its DequantizeLinear"
    ]


def test_a_weight_that_is_computed_is_a_reason(tmp_path):
    graph = GraphOfOneLayer()
    graph.inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [8, 4, 3, 3]))
    graph.convolution(graph.quantize("x"), weight="w")
    examination = examine(graph.model(graph.quantize("conv")), tmp_path)
    assert warned(examination) == ["1 Conv in float: its weight is not a constant"]


def float_weight(after: Callable[[GraphOfOneLayer], str] | None = None) -> onnx.ModelProto:
    """A convolution between quantized activations, its weights of very different channels float."""
    graph = GraphOfOneLayer()
    weight = np.random.default_rng(0).standard_normal((8, 4, 3, 3))
    weight *= np.geomspace(0.01, 1, 8)[:, None, None, None]
    graph.convolution(graph.quantize("x", 128), weight=graph.constant("w", np.float32(weight)))
    return graph.model(after(graph) if after else graph.quantize("conv", 128))


@pytest.mark.parametrize("after", [None, relu(0)])
def test_float_weights_that_the_runtime_rounds_are_named(after, tmp_path):
    examination = examine(float_weight(after), tmp_path)
    assert fact(examination, "in integers") == "conv 1/1"
    ((severity, what),) = found(examination, "float weights")
    assert (severity, what) == (
        Severity.WARNING,
        "ONNX Runtime rounds float weights of 1 layer to int8",
    )
    assert what in warned(examination)


def test_float_weights_that_the_runtime_leaves_in_float_are_not_said_to_be_rounded(tmp_path):
    examination = examine(float_weight(sigmoid), tmp_path)
    assert warned(examination) == ["1 Conv in float: its weight is float"]
    assert found(examine(one_convolution(), tmp_path), "float weights") == []


def test_the_runtime_leaves_float_weights_alone_if_it_is_told_to():
    model, x = float_weight().SerializeToString(), np.ones((1, 4, 8, 8), np.float32)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    as_written = ort.InferenceSession(model, options).run(None, {"x": x})[0]
    optimized = ort.InferenceSession(model).run(None, {"x": x})[0]
    kept = ort.InferenceSession(model, disabled_optimizers=["WeightBiasQuantization"])
    np.testing.assert_allclose(kept.run(None, {"x": x})[0], as_written, atol=1e-6)
    assert np.abs(optimized - as_written).max() >= 0.049, "one step of the output"


def test_a_fixed_batch_is_named(tmp_path):
    examination = examine(one_convolution(batch=1), tmp_path)
    assert found(examination, "batch") == [(Severity.INFO, "The batch is fixed at 1")]
    assert fact(examination, "input") == "x: float (1, 4, 8, 8)"
    assert found(examine(one_convolution(), tmp_path), "batch") == []


def test_a_scale_per_channel_needs_opset_13(tmp_path):
    model = one_convolution(opset=12)
    (node,) = (node for node in model.graph.node if node.name == "w_dq")
    del node.attribute[:]
    examination = examine(model, tmp_path)
    assert found(examination, "Opset") == [
        (Severity.WARNING, "Opset 12 is too old for a scale per channel")
    ]


def test_an_opset_that_the_runtime_does_not_know_is_an_error(tmp_path):
    examination = examine(one_convolution(opset=999), tmp_path)
    assert examination.verdict == "It does not run here: 1 error."
    ((severity, what),) = found(examination, "Opset")
    assert severity is Severity.ERROR
    assert what.startswith("Opset 999 is too new for ONNX Runtime")


def test_a_missing_opset_import_is_an_error(tmp_path):
    model = one_convolution()
    del model.opset_import[:]
    examination = examine(model, tmp_path)
    assert found(examination, "opset") == [(Severity.ERROR, "No opset import for ai.onnx")]
    assert fact(examination, "opset") == "none"


def test_a_missing_import_of_another_domain_is_named(tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path, quant_format=QuantFormat.QOperator, activation_type=QuantType.QUInt8
    )
    model = onnx.load(path)
    kept = [entry for entry in model.opset_import if entry.domain != "com.microsoft"]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    assert "No opset import for com.microsoft" in [
        what for _, what in found(examine(model, tmp_path), "opset")
    ]


def test_a_newer_set_of_operators_is_told_as_everywhere(tmp_path: Path) -> None:
    node = helper.make_node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([node], "newer", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 99)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    (finding,) = (x for x in examine(model, tmp_path).findings if x.severity is Severity.ERROR)
    assert finding.why.startswith("Expected opset ")
    assert finding.why.endswith("knows, found 99")
    assert " of ai.onnx.ml or lower, which is what ONNX Runtime " in finding.why
    assert finding.remedy == "pip install -U onnxruntime, or export the model again"
