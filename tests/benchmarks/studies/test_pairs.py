"""The trial of all pairs finds the pairs that meet, and only those.

Runs in this processor's own instructions and in oneDNN's without VNNI; `docs/measured/pairs.md` has
the rest.
"""

from itertools import chain
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pydantic
import pytest
import typer
from typer.testing import CliRunner

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.benchmarks.runtimes.cpu_features import read_cpu_features
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.studies.pairs import study
from eightbit.benchmarks.studies.pairs.in_onnx import write_onnx
from eightbit.benchmarks.studies.pairs.in_torchscript import write_torchscript
from eightbit.benchmarks.studies.pairs.layers import Layer, Order, orders_of, outside_of, pairs_of
from eightbit.benchmarks.studies.pairs.study import LAYERS, by_image, try_layers
from eightbit.benchmarks.studies.pairs.table import Outcome, findings, markdown

ONEDNN = Execution(runtime=TORCHSCRIPT.runtime, engine="onednn")
ONEDNN_WITHOUT_VNNI = Execution(runtime=TORCHSCRIPT.runtime, engine="onednn", max_isa="AVX512_CORE")
ONNX = Execution(runtime=ONNX.runtime)
OLD_ONNX = Execution(runtime=ONNX.runtime, emulated_cpu="Haswell")

needs_vnni_to_take_away = pytest.mark.skipif(
    "avx512_vnni" not in read_cpu_features().instructions,
    reason="this CPU has no AVX-512 with VNNI that oneDNN could be told not to use",
)

SMALL = (
    Layer(channels=3, side=5),
    Layer(channels=3, side=5, stride=2, outputs=100),
    Layer(channels=4, side=5, groups=8, outputs=4),
    Layer(channels=25, side=5, kernel=None, outputs=10),
)

BOTH_SIGNS = Layer(channels=3, side=7, zero_point=114, batch=2)


def added_in_pairs(layer: Layer, order: Order) -> np.ndarray:
    """What a CPU gives that adds each two neighbours of an order in a saturating int16."""
    size = 1 if layer.kernel is None else layer.kernel
    weights = layer.weights().astype(np.int64).reshape(-1, layer.channels, layer.positions)
    channels, side = (layer.channels, layer.side) if layer.kernel else (layer.channels, 1)
    image = np.full((channels, side, side), 255)
    padded = np.pad(
        image, ((0, 0), *[(size // 2, size // 2)] * 2), constant_values=layer.zero_point
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    windows = windows[:, :: layer.stride, :: layer.stride].reshape(channels, -1, size * size)
    products = np.einsum("ocp,cxp->oxpc", weights, windows)
    if order is Order.FLATTENED:
        products = products.reshape(*products.shape[:2], 1, -1)
    odd = products.shape[-1] % 2
    products = np.pad(products, ((0, 0), (0, 0), (0, 0), (0, odd)))
    sums = np.clip(products[..., 0::2] + products[..., 1::2], -(2**15), 2**15 - 1).sum(axis=(2, 3))
    sums = sums - layer.zero_point * weights.sum(axis=(1, 2))[:, np.newaxis]
    return np.tile(sums.astype(np.float32).reshape(1, -1), (layer.batch, 1))


@pytest.mark.parametrize(
    ("places", "channels", "expected"),
    [
        # (channel, position) of both weights, of 9 positions.
        (((0, 0), (1, 0)), 3, (Order.CHANNELS, Order.FLATTENED)),
        (((0, 1), (1, 1)), 3, (Order.CHANNELS,)),  # 3rd and 4th of the row
        (((2, 0), (0, 1)), 3, (Order.FLATTENED,)),  # 2nd and 3rd
        (((1, 0), (2, 0)), 3, ()),  # 1st and 2nd
        (((0, 0), (0, 1)), 3, ()),
        (((2, 5), (3, 5)), 4, (Order.CHANNELS, Order.FLATTENED)),
        (((1, 5), (2, 5)), 4, ()),
        (((3, 5), (0, 6)), 4, ()),
    ],
    ids=str,
)
def test_two_weights_meet_in_the_orders_that_their_places_say(places, channels, expected):
    pair = tuple(channel * 9 + position for channel, position in places)
    assert orders_of(pair, channels=channels, positions=9) == {*expected}


@pytest.mark.parametrize("channels", [2, 4, 6, 10])
def test_with_an_even_number_of_channels_both_orders_are_the_same_pairs(channels):
    layer = Layer(channels=channels)
    pairs = pairs_of(layer, Order.CHANNELS)
    assert len(pairs) == channels // 2 * 9
    assert pairs == pairs_of(layer, Order.FLATTENED)


def test_with_three_channels_the_orders_differ():
    layer = Layer(channels=3)
    channels, flattened = (pairs_of(layer, order) for order in Order)
    assert (len(layer.pairs), len(channels), len(flattened)) == (351, 9, 13)
    assert len({*channels, *flattened}) == 17
    assert len(outside_of(layer, layer.pairs, *Order)) == 351 - 17


@pytest.mark.parametrize("order", Order, ids=lambda order: order.name.lower())
@pytest.mark.parametrize(
    "layer",
    [
        Layer(channels=3, side=5),
        Layer(channels=3, side=5, outputs=100, zero_point=114, batch=2),
        Layer(channels=3, kernel=5, stride=2, side=7, outputs=16),
        Layer(channels=4, side=3, groups=3, outputs=4),
        Layer(channels=25, side=5, kernel=None, outputs=10),
    ],
    ids=lambda layer: layer.name,
)
def test_the_pairs_that_a_cpu_adds_in_16_bits_are_found_and_no_others(layer, order):
    assert layer.saturating(added_in_pairs(layer, order)) == pairs_of(layer, order)


def test_a_pair_that_is_wrong_at_one_place_of_one_group_is_found():
    layer = Layer(channels=4, side=3, groups=3, outputs=4)
    logits = added_in_pairs(layer, Order.CHANNELS)
    found = set(layer.saturating(logits))
    values = logits.reshape(layer.parts, layer.groups, layer.outputs, -1)
    values[0, 2, 1, 8] -= 1000  # the second pair, which is none of them
    assert set(layer.saturating(logits)) == found | {layer.pairs[1]}
    assert layer.pairs[1] not in found


@pytest.mark.parametrize(
    "fields", [{"channels": 3, "kernel": 4}, {"channels": 60, "kernel": None}], ids=str
)
def test_a_layer_that_cannot_be_built_is_refused(fields):
    with pytest.raises(pydantic.ValidationError, match="expected"):
        Layer(**fields)


def test_logits_of_another_layer_are_refused():
    with pytest.raises(ValueError, match="3 channels"):
        Layer(channels=3).saturating(np.zeros((1, 7), np.float32))


def test_every_pair_is_tried_and_nothing_else():
    layer = Layer(channels=3, outputs=100)
    rows = layer.weights().reshape(-1, 27)
    assert {tuple(np.flatnonzero(row).tolist()) for row in rows} == set(layer.pairs)
    assert set(rows.sum(axis=1).tolist()) == {2 * 127}


@pytest.mark.parametrize("layer", SMALL, ids=lambda layer: layer.name)
def test_onnx_runtime_computes_the_layers_in_integers(layer, tmp_path):
    path, optimised = tmp_path / "pairs.onnx", tmp_path / "optimised.onnx"
    write_onnx([layer], path)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(optimised)
    options.log_severity_level = 3  # it warns that the written file is for this machine only
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    found = [node.op_type for node in onnx.load(optimised).graph.node]
    assert found.count("QGemm" if layer.kernel is None else "QLinearConv") == layer.parts
    assert not {"Conv", "Gemm", "FusedConv", "FusedGemm"} & set(found)


@pytest.mark.parametrize(
    "layers",
    [SMALL, (BOTH_SIGNS,)],
    ids=["together", "both signs"],
)
def test_a_runtime_that_adds_exactly_saturates_nothing(layers, tmp_path):
    as_written = Execution(runtime=ONNX.runtime, optimize=False)
    outcomes = list(try_layers(layers, [as_written], tmp_path))
    assert [one.saturating for one in outcomes] == [()] * len(layers)
    assert [one.failure for one in outcomes] == [None] * len(layers)
    image = layers[0].image()
    logits = open_runner(tmp_path / "pairs.onnx", 1, as_written)(image)
    assert logits.shape == (len(image), sum(layer.values for layer in layers))


@needs_vnni_to_take_away
def test_torch_computes_layers_of_both_signs_exactly(tmp_path):
    layers = (BOTH_SIGNS, BOTH_SIGNS.model_copy(update={"groups": 2, "outputs": 200}))
    write_torchscript(layers, tmp_path / "pairs.pt")
    logits = open_runner(tmp_path / "pairs.pt", 1, ONEDNN)(BOTH_SIGNS.image())
    for layer, values in zip(layers, np.split(logits, [BOTH_SIGNS.values], axis=1), strict=True):
        assert layer.saturating(values) == []


@pytest.mark.parametrize(
    ("name", "write", "execution"),
    [
        ("pairs.onnx", write_onnx, ONNX),
        pytest.param("pairs.pt", write_torchscript, ONEDNN, marks=needs_vnni_to_take_away),
    ],
    ids=["onnx", "torchscript"],
)
def test_the_integers_of_the_input_are_the_largest_that_there_are(name, write, execution, tmp_path):
    write([BOTH_SIGNS], tmp_path / name)
    runner = open_runner(tmp_path / name, 1, execution)
    image = BOTH_SIGNS.image()
    assert np.array_equal(runner(image + 20), runner(image))
    assert not np.array_equal(runner(image - 20), runner(image))


@needs_vnni_to_take_away
def test_onednn_without_vnni_adds_neighbouring_channels_of_one_position(tmp_path):
    outcomes = list(try_layers(SMALL, [ONEDNN, ONEDNN_WITHOUT_VNNI], tmp_path))
    assert [one.failure for one in outcomes] == [None] * 2 * len(SMALL)
    with_vnni, without = outcomes[: len(SMALL)], outcomes[len(SMALL) :]
    assert [one.saturating for one in with_vnni] == [()] * len(SMALL)
    for outcome in without:
        assert list(outcome.saturating) == pairs_of(outcome.layer, Order.CHANNELS)


def test_a_runtime_that_cannot_load_the_file_is_an_outcome_that_says_why(tmp_path):
    nonsense = Execution(runtime=TORCHSCRIPT.runtime, engine="nonsense")
    (outcome,) = try_layers(SMALL[:1], [nonsense], tmp_path)
    assert "nonsense" in str(outcome.failure)
    assert "nonsense" in outcome.line()
    text = markdown([outcome], {}, "command")
    assert "Failed for a layer or more: `torchscript_nonsense`." in text


def outcome(layer: Layer, execution: Execution, *orders: Order, extra=()) -> Outcome:
    found = {pair for order in orders for pair in pairs_of(layer, order)} | set(extra)
    return Outcome(layer=layer, execution=execution, saturating=tuple(sorted(found)))


def test_what_follows_is_read_from_the_outcomes():
    odd, even = Layer(channels=3), Layer(channels=4)
    sentences = findings(
        [
            outcome(odd, ONEDNN_WITHOUT_VNNI, Order.CHANNELS),
            outcome(odd, OLD_ONNX, Order.FLATTENED),
            outcome(even, ONEDNN_WITHOUT_VNNI, Order.CHANNELS),
            outcome(even, OLD_ONNX),
        ]
    )
    assert "(layers: 1, executions: 2): only channels 2i and 2i + 1" in sentences[0]
    assert "a bound on both is enough (with 3 channels 17 of 351 for 3x3)" in sentences[1]
    assert [sentence.partition("exactly ")[2] for sentence in sentences[2:]] == [
        "channels 2i, 2i + 1 at one position: `torchscript_onednn_no_vnni`.",
        "neighbours in the flattened (kH, kW, C) order: `onnx_haswell`.",
    ]


@pytest.mark.parametrize("channels", [3, 4])
def test_a_pair_of_no_order_is_named_and_nothing_is_concluded(channels):
    layer = Layer(channels=channels)
    stray = (0, 1)  # channel 0 at two positions
    sentences = findings([outcome(layer, OLD_ONNX, *Order, extra=[stray])])
    (finding,) = (sentence for sentence in sentences if "OTHER PAIRS MEET" in sentence)
    assert "in `onnx_haswell`: 1: c0 p0 + c0 p1." in finding
    assert "enough" not in finding


def test_where_nothing_saturates_nothing_follows():
    sentences = findings([outcome(Layer(channels=4), OLD_ONNX)])
    assert "nothing saturated, so nothing follows" in sentences[0]


def test_executions_that_agree_share_a_row_and_the_own_processor_has_none():
    odd = Layer(channels=3)
    text = markdown(
        [
            outcome(odd, ONNX),
            outcome(odd, ONEDNN_WITHOUT_VNNI, Order.CHANNELS),
            outcome(odd, OLD_ONNX, Order.CHANNELS),
            outcome(Layer(channels=4), OLD_ONNX, extra=[(0, 1)]),
        ],
        {"openvino": "not installed"},
        "the command",
    )
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    stray = "1 | 0 of 18 | 0 of 18 | 1: c0 p0 + c0 p1"
    assert rows == [
        f"| {odd.name} | 351 | all | 9 | 9 of 9 | 5 of 13 | none |",
        f"| {Layer(channels=4).name} | 630 | `onnx_haswell` | {stray} |",
    ]
    assert "this machine's own processor, `onnx`: nothing saturates." in text
    assert "Not tried: `openvino`: not installed." in text


def test_layers_with_the_same_image_share_a_file():
    groups = by_image(LAYERS)
    assert sorted(map(LAYERS.index, chain(*groups))) == list(range(len(LAYERS)))
    for layers in groups:
        assert all(np.array_equal(layer.image(), layers[0].image()) for layer in layers)
    plain = Layer(channels=3)
    alike, zero_point = Layer(channels=4), Layer(channels=3, zero_point=114)
    assert by_image([plain, zero_point, alike]) == [[plain, alike], [zero_point]]


def test_the_program_writes_its_command_the_machine_and_the_table(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(study, "LAYERS", SMALL[:2])
    found = Availability(possible=(ONNX,), missing={"onnx_haswell": "no emulator"})
    monkeypatch.setattr(study, "executions", lambda: found)
    app = typer.Typer()
    app.command()(study.main)
    out = tmp_path / "pairs.md"
    result = CliRunner().invoke(app, ["--out", str(out)])
    assert result.exit_code == 0, result.output
    assert result.output.count("onnx | 3 channels") == 2
    text = out.read_text()
    assert "`python -m eightbit.benchmarks.studies.pairs --out FILE.md`" in text
    assert "torch 2" in text
    assert "Not tried: `onnx_haswell`: no emulator." in text


def test_every_runtime_is_tried_natively_and_emulated_or_the_reason_is_told():
    found = study.executions()
    names = {execution.name for execution in found.possible} | set(found.missing)
    for base in ("torchscript_onednn", "torchscript_fbgemm", "onnx", "openvino"):
        assert {base, f"{base}_haswell"} <= names
    assert all(found.missing.values())
