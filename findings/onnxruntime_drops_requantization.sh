#!/bin/sh
# ONNX Runtime's basic optimisations drop a rounding from one grid of integers to another.
#
# The guess: a graph's optimisation keeps what it computes, but for last bits of float arithmetic;
# QuantizeLinear, DequantizeLinear, QuantizeLinear, DequantizeLinear with the scales 0.02 and 0.05 ends
# in multiples of 0.05.
#
# The behaviour: from the level "basic" on the two pairs become one, with the first scale and the second
# output's name: the result is in multiples of 0.02, and off by up to 0.02 from the graph as it is
# written. An addition of 0 between the pairs changes nothing, since it is removed before.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2, Python 3.11.
#
# Why it matters: whoever changes scales on the way (branches that meet in a concatenation, a layer that
# only moves numbers) gets other integers than the file says, and others than with another runtime or
# with optimisations turned off. A way out: one scale for both sides, or an operator between that counts.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

x = np.random.default_rng(0).uniform(0, 4, (1, 4096)).astype(np.float32)


def answer(with_addition, level):
    constants = {"coarse": 0.05, "fine": 0.02, "nothing": 0.0}
    initializers = [
        numpy_helper.from_array(np.float32(value), name)
        for name, value in constants.items()
        if with_addition or name != "nothing"
    ]
    initializers.append(numpy_helper.from_array(np.uint8(0), "zero_point"))
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "fine", "zero_point"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "fine", "zero_point"], ["b"]),
    ]
    if with_addition:
        nodes.append(helper.make_node("Add", ["b", "nothing"], ["sum"]))
    between = "sum" if with_addition else "b"
    nodes += [
        helper.make_node("QuantizeLinear", [between, "coarse", "zero_point"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", "coarse", "zero_point"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "requantization",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(x.shape))],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


levels = ort.GraphOptimizationLevel
for with_addition in (False, True):
    for name, level in (("off", levels.ORT_DISABLE_ALL), ("basic", levels.ORT_ENABLE_BASIC)):
        y = answer(with_addition, level)
        steps = sorted({f"{step:.2f}" for step in np.diff(np.unique(y))})
        written = answer(with_addition, levels.ORT_DISABLE_ALL)
        middle = "x + 0 between" if with_addition else "nothing between"
        print(f"{middle}, {name}: steps of {', '.join(steps)}, off by {np.abs(y - written).max():.3f}")
PYTHON
cat > "$folder/expected" <<'TEXT'
nothing between, off: steps of 0.05, off by 0.000
nothing between, basic: steps of 0.02, off by 0.020
x + 0 between, off: steps of 0.05, off by 0.000
x + 0 between, basic: steps of 0.02, off by 0.020
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   nothing between, off: steps of 0.05, off by 0.000
#   nothing between, basic: steps of 0.02, off by 0.020
#   x + 0 between, off: steps of 0.05, off by 0.000
#   x + 0 between, basic: steps of 0.02, off by 0.020
