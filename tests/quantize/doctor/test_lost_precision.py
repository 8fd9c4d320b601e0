"""What integers and scales of a file show of what was lost, without an image."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType
from tests.quantize.foreign_models import (
    GraphOfOneLayer,
    one_convolution,
    quantized_by_onnxruntime,
    residual_network,
)

from eightbit.benchmarks import ArtifactMetadata, Precision
from eightbit.calibration import collect
from eightbit.models import Architecture
from eightbit.quantize import (
    Mode,
    QuantConfig,
    Severity,
    bundle,
    export_onnx,
    fuse,
    make_recipe,
    observe,
)
from eightbit.quantize.doctor.findings import Finding
from eightbit.quantize.doctor.graph_view import GraphView
from eightbit.quantize.doctor.integer_layers import integer_layers
from eightbit.quantize.doctor.lost_precision import precision_findings
from eightbit.quantize.recipe.quantized import Quantized

CHANNELS = 8


def told(model: onnx.ModelProto) -> list[Finding]:
    return list(precision_findings(GraphView(model.graph)))


def one_told(model: onnx.ModelProto) -> Finding:
    (finding,) = told(model)
    return finding


def weights(seed: int = 0) -> np.ndarray:
    """Gaussian, with each channel's largest at 127."""
    real = np.random.default_rng(seed).standard_normal((CHANNELS, 4, 3, 3))
    return np.rint(real * 127 / np.abs(real).max(axis=(1, 2, 3), keepdims=True))


def convolution(
    weight: np.ndarray | None = None,
    scale: np.ndarray | float = 0.01,
    bias: np.ndarray | None = None,
    *,
    output: float = 0.05,
) -> onnx.ModelProto:
    """A convolution in pairs, its input's scale 0.05; a scale per channel unless one is given."""
    graph = GraphOfOneLayer()
    x = graph.quantize("x")
    per_channel = np.ndim(scale) == 1
    graph.constant("w", np.asarray(weights() if weight is None else weight).astype(np.int8))
    graph.constant("w_scale", np.asarray(scale, np.float32))
    inputs = ["w", "w_scale"]
    operands = [x, graph.node("DequantizeLinear", inputs, "w_dq", axis=0 if per_channel else 1)]
    if bias is not None:
        graph.constant("b", bias.astype(np.int32))
        graph.constant("b_scale", (0.05 * np.asarray(scale)).astype(np.float32))
        operands.append(graph.node("DequantizeLinear", ["b", "b_scale"], "b_dq", axis=0))
    graph.node("Conv", operands, "conv", kernel_shape=[3, 3], pads=[1] * 4)
    rounded = graph.quantize("conv")
    graph.constants["conv_scale"] = np.float32(output)
    return graph.model(rounded)


def scales(**others: float) -> np.ndarray:
    """0.01 for each channel but those that are named, such as c3=1.0."""
    values = np.full(CHANNELS, 0.01)
    for name, value in others.items():
        values[int(name[1:])] = value
    return values


def dead(*channels: int) -> np.ndarray:
    weight = weights()
    weight[list(channels)] = 0
    return weight


def network_with_dead_channels(gain: float) -> onnx.ModelProto:
    """Two channels of conv2 have no weights, and a bias of 0.2; its input's range is wide."""
    model = residual_network()
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor).copy()
        if tensor.name == "w1":
            value *= 100
        elif tensor.name == "w2":
            value *= gain
            value[[2, 5]] = 0
        elif tensor.name == "b2":
            value[:] = 0.2
        tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    return model


@pytest.mark.parametrize("form", QuantFormat)
@pytest.mark.parametrize(("gain", "severity"), [(0.002, Severity.WARNING), (1, Severity.INFO)])
def test_biases_that_the_quantizer_lost_are_named(form, gain, severity, tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path,
        network_with_dead_channels(gain),
        quant_format=form,
        per_channel=True,
        activation_type=QuantType.QUInt8,
    )
    model = onnx.load(path)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert held["b2_quantized"][[2, 5]].tolist() == [0, 0]  # 0.2 was lost
    assert held["w2_scale"][[2, 5]].tolist() == [1, 1]
    (finding,) = (x for x in told(model) if "bias" in x.what.lower())
    assert finding.severity is severity
    assert finding.what == "Biases of 2 channels without weights may have been lost"
    assert finding.why.endswith(" channels 2, 5")
    assert "rounds to 0: conv2" in finding.why


def test_what_may_have_been_lost_is_half_of_a_step():
    finding = one_told(convolution(dead(3), scales(c3=1.0), np.zeros(CHANNELS), output=0.01))
    assert "a bias of up to 0.025 (2.5 steps of its output) rounds to 0" in finding.why


def test_float_biases_that_the_runtime_loses_are_named(tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path,
        network_with_dead_channels(0.002),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        extra_options={"QuantizeBias": False},
    )
    model = onnx.load(path)
    finding = one_told(model)
    assert finding.severity is Severity.WARNING
    assert finding.what == "ONNX Runtime rounds float biases of 2 channels coarsely"
    assert finding.why.endswith("conv2 channels 2, 5")
    (rounded,) = (x.output[0] for x in model.graph.node if x.input[0] == "c2_QuantizeLinear_Output")
    model.graph.output.append(helper.make_tensor_value_info(rounded, TensorProto.FLOAT, None))
    x = {"x": np.ones((1, 3, 8, 8), np.float32)}
    answers = [
        ort.InferenceSession(model.SerializeToString(), disabled_optimizers=disabled)
        .run([rounded], x)[0][0, [2, 5], 4, 4]
        .tolist()
        for disabled in ([], ["WeightBiasQuantization"])
    ]
    assert answers[0] == [0, 0]
    assert answers[1] == pytest.approx([0.2, 0.2], abs=0.02)


def test_float_biases_that_fit_their_steps_are_no_finding(tmp_path):
    path = quantized_by_onnxruntime(
        tmp_path,
        network_with_dead_channels(0.002),
        activation_type=QuantType.QUInt8,
        extra_options={"QuantizeBias": False},
    )
    assert [x.what for x in told(onnx.load(path)) if "bias" in x.what] == []


@pytest.mark.parametrize(
    ("weight", "scale", "bias"),
    [
        (dead(3), scales(), np.zeros(CHANNELS)),
        (dead(3), scales(c3=1.0), np.full(CHANNELS, 7)),
        (dead(3), scales(c3=1.0), None),
        (weights(), scales(c3=1.0), np.zeros(CHANNELS)),
    ],
    ids=["its scale is the others'", "a bias is left", "there is no bias", "it has weights"],
)
def test_other_biases_of_zero_are_no_finding(weight, scale, bias):
    assert told(convolution(weight, scale, bias)) == []


def test_one_scale_for_all_channels_is_named():
    finding = one_told(convolution(scale=0.01))
    assert finding.severity is Severity.INFO
    assert finding.what == "1 layer with one weight scale for all output channels"
    assert told(convolution(scale=scales())) == []


def test_channels_that_one_scale_leaves_few_integers_are_named():
    weight = weights()
    weight[2] = np.rint(weight[2] * 15 / 127)
    weight[6] = np.rint(weight[6] * 3 / 127)
    finding = one_told(convolution(weight, 0.01))
    assert finding.severity is Severity.WARNING
    assert finding.what == "1 layer with one weight scale for all output channels"
    assert finding.why == (
        "2 channels lost 3 bits or more; most in conv, 5.4 bits, where a channel's largest integer "
        "is 3 and the layer's 127: conv channels 2, 6"
    )
    weight[2], weight[6] = weights()[2], np.rint(weights()[6] * 16 / 127)
    assert one_told(convolution(weight, 0.01)).severity is Severity.INFO


def test_a_channel_that_cannot_move_the_output_has_lost_nothing():
    weight = weights()
    weight[2] = 0
    weight[2, 0, 0, 0] = 1
    assert one_told(convolution(weight, 0.001, output=0.5)).severity is Severity.INFO


def test_a_scale_of_its_own_that_is_too_wide_is_named():
    weight = weights()
    weight[4] = np.rint(weight[4] * 15 / 127)
    finding = one_told(convolution(weight, scales()))
    assert (finding.severity, finding.what) == (
        Severity.WARNING,
        "1 output channel with weights of few integers",
    )
    assert finding.why.endswith("conv channel 4")


@pytest.mark.parametrize(
    "weight",
    [np.rint(weights() * 7 / 127), np.where(np.arange(CHANNELS) == 1, 1, 127)[:, None, None, None]],
    ids=["four bits", "a filter of ones"],
)
def test_few_integers_that_are_meant_are_no_finding(weight):
    weight = np.broadcast_to(weight, (CHANNELS, 4, 3, 3))
    assert told(convolution(weight, scales())) == []


@pytest.mark.parametrize(
    ("share", "channels"), [(100, 0), (99.9, 0), (95, CHANNELS), (90, CHANNELS)]
)
def test_weights_that_were_clipped_are_told_from_those_that_were_not(share, channels):
    real = np.random.default_rng(3).standard_normal((CHANNELS, 4, 9, 9))
    end = np.percentile(np.abs(real), share, axis=(1, 2, 3), keepdims=True)
    weight = np.clip(np.rint(real * 127 / end), -127, 127)
    found = [finding.what for finding in told(convolution(weight, scales()))]
    assert (
        found
        == [f"Weights of {channels} output channels pile up at the end of their range"][
            : bool(channels)
        ]
    )


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.integers(-20, 21, (CHANNELS, 4, 9, 9)),
        lambda rng: 127 * rng.integers(-1, 2, (CHANNELS, 4, 9, 9)),
        lambda rng: np.full((CHANNELS, 4, 9, 9), 127),
        lambda rng: rng.integers(20, 128, (CHANNELS, 4, 9, 9)) * [[[[1]], [[1]], [[1]], [[0]]]],
    ],
    ids=["uniform", "ternary", "a box", "one sign and no fourth input"],
)
def test_other_weights_at_the_end_of_their_range_are_no_finding(draw):
    assert told(convolution(draw(np.random.default_rng(5)), scales())) == []


@pytest.mark.parametrize(("share", "least", "most"), [(100, 0, 0), (95, 4000, 4800)])
def test_weights_of_a_trained_network_were_clipped_only_where_they_were(
    share, least, most, shared_file
):
    tensors = torch.load(shared_file("weights/resnet18_cifar10_64px.pth"), weights_only=True)
    found = channels = 0
    for tensor in tensors.values():
        if tensor.ndim == 4:
            real = tensor.numpy().astype(np.float64)
            end = np.percentile(np.abs(real), share, axis=(1, 2, 3), keepdims=True)
            steps = np.clip(np.rint(real * 127 / np.maximum(end, 1e-12)), -127, 127)
            told_of = told(convolution(steps, np.full(len(steps), 0.01)))
            clipped = [x.what.split()[2] for x in told_of if "pile up" in x.what]
            found += sum(map(int, clipped))
            channels += len(steps)
    assert channels == 4800
    assert least <= found <= most


@pytest.mark.parametrize("bias", [2**31 - 1, -(2**31), 2**31 - 1000, 1000 - 2**31])
def test_sums_that_leave_int32_are_named(bias):
    biases = np.zeros(CHANNELS)
    biases[1] = bias
    finding = one_told(convolution(weights(), scales(), biases))
    assert finding.severity is Severity.WARNING
    assert finding.what == "Sums of 1 output channel can leave int32"
    assert finding.why.endswith("conv channel 1")
    assert told(convolution(weights(), scales(), biases / 2)) == []


def test_sums_that_leave_int32_wrap_around_in_the_runtime():
    weight, biases = np.full((CHANNELS, 4, 3, 3), 100), np.zeros(CHANNELS)
    biases[1] = 2**31 - 1000
    model = convolution(weight, scales(), biases, output=1e4)
    assert [x.what for x in told(model)] == ["Sums of 1 output channel can leave int32"]
    session = ort.InferenceSession(model.SerializeToString())
    (answer,) = session.run(None, {"x": np.full((1, 4, 8, 8), 12, np.float32)})
    # It is 1.07e6, 107 of the 255 integers.
    assert answer[0, 1, 4, 4] == 0


@pytest.mark.parametrize("value", [0.0, -0.1, np.inf, np.nan])
def test_a_scale_that_is_no_positive_number_is_named(value):
    found = told(convolution(scale=scales(c2=value)))
    assert [x.what for x in found] == ["1 scale with a value that is no positive number"]
    assert found[0].severity is Severity.WARNING
    assert "(w_scale)" in found[0].why


def test_a_subnormal_scale_is_named():
    finding = one_told(convolution(scale=scales(), output=1e-40))
    assert finding.what == "1 scale below the normal numbers of float32"


def with_a_pair(real: np.ndarray, scale: np.ndarray | np.float32) -> onnx.ModelProto:
    """A convolution whose weights are float, between QuantizeLinear and DequantizeLinear."""
    graph = GraphOfOneLayer()
    x = graph.quantize("x")
    scale = np.asarray(scale, np.float32)
    grid = [graph.constant("w_scale", scale), graph.constant("w_zero", np.zeros(scale.shape, "i1"))]
    graph.node("QuantizeLinear", [graph.constant("w", np.float32(real)), *grid], "q", axis=0)
    graph.node("DequantizeLinear", ["q", *grid], "dq", axis=0)
    graph.node("Conv", [x, "dq"], "conv", pads=[1] * 4)
    return graph.model(graph.quantize("conv"))


@pytest.mark.parametrize("per_channel", [True, False])
def test_float_weights_between_their_own_pair_are_seen(per_channel):
    real = weights() * 0.01
    real[2] *= 3 / 127
    scale = np.abs(real).max(axis=(1, 2, 3)) / 127 if per_channel else np.float32(0.01)
    model = with_a_pair(real, scale)
    (layer,) = integer_layers(GraphView(model.graph))
    assert np.abs(layer.weight).max(axis=1).tolist() == [
        3 if channel == 2 and not per_channel else 127 for channel in range(CHANNELS)
    ]
    assert [x.severity for x in told(model)] == [Severity.WARNING] * (not per_channel)


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
@pytest.mark.filterwarnings("error")
def test_float_weights_that_no_integer_stands_for_are_no_layer(value):
    real = weights()
    real[3, 0, 0, 0] = value
    assert list(integer_layers(GraphView(with_a_pair(real, np.float32(1)).graph))) == []


def test_our_own_artefacts_lost_nothing(bundle_folder):
    view = GraphView(onnx.load(bundle_folder / bundle.ONNX).graph)
    assert sum(len(layer.weight) for layer in integer_layers(view)) == 698
    assert list(precision_findings(view)) == []


def test_our_own_dead_channels_keep_their_biases(random_network, noise_images, tmp_path):
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=32)
    convolutions = [x for x in pretrained.model.modules() if hasattr(x, "kernel_size")]
    for module in convolutions[1:6]:
        module.weight.data[[0, 3]] = 0
        module.weight.data[1] *= 1e-9
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(4, 32))
    recipe = make_recipe(fused, collected, pretrained, QuantConfig())
    metadata = ArtifactMetadata(
        precision=Precision.INT8, spec=recipe.spec, recipe_sha256=recipe.sha256
    )
    export_onnx(Quantized(network=fused, recipe=recipe), metadata, tmp_path / "dead.onnx")
    view = GraphView(onnx.load(tmp_path / "dead.onnx").graph)
    assert sum(bool((~layer.weight.any(axis=1)).any()) for layer in integer_layers(view)) >= 5
    assert list(precision_findings(view)) == []


def changed(name: str, value: np.ndarray) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == name:
                tensor.CopyFrom(numpy_helper.from_array(value, name))

    return change


def axis(number: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for entry in node.attribute:
                if entry.name == "axis":
                    entry.i = number

    return change


def without_outputs(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        del node.output[:]


@pytest.mark.parametrize(
    "spoil",
    [
        changed("w", np.ones(8, np.int8)),
        changed("w", np.ones((8, 0, 3, 3), np.int8)),
        changed("w", np.ones((), np.int8)),
        changed("w_scale", np.ones(5, np.float32)),
        changed("w_scale", np.ones((2, 4), np.float32)),
        changed("w_scale", np.ones(0, np.float32)),
        changed("w_scale", np.ones(8, np.int64)),
        changed("w_scale", np.full(8, 0x7FA00000, np.uint32).view(np.float32)),  # signalling NaN
        changed("w_zero_point", np.zeros(5, np.int8)),
        changed("x_scale", np.zeros(0, np.float32)),
        changed("x_zero_point", np.zeros(3, np.uint8)),
        without_outputs,
    ],
)
@pytest.mark.filterwarnings("error")
def test_whatever_does_not_fit_is_no_layer(spoil):
    model = one_convolution()
    spoil(model)
    assert [x for x in told(model) if "scale" not in x.what] == []


@pytest.mark.parametrize("number", [1, -9, 2**40])
def test_scales_along_another_axis_are_none_of_output_channels(number):
    model = one_convolution()
    assert len(list(integer_layers(GraphView(model.graph)))) == 1
    axis(number)(model)
    assert list(integer_layers(GraphView(model.graph))) == []
