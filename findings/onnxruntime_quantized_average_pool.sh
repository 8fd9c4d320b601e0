#!/bin/sh
# ONNX Runtime's quantized average pool divides windows that reach over the edge by another number than
# its float average pool does.
#
# The guess: AveragePool between DequantizeLinear and QuantizeLinear gives the same integers, or one
# beside, whether the three are computed one by one or as the one quantized operator that they become.
#
# The behaviour: with ceil_mode=1 and count_include_pad=1 the last windows reach beyond the padded input.
# The float operator divides by the places that exist, as torch does; the quantized one, which takes its
# place from the level "extended" on, divides by more. At the border up to 88 of 255 steps are missing.
# With count_include_pad=0 or without ceil_mode both agree, but for a step of rounding.
#
# Versions: onnxruntime 1.31.1, onnx 1.23.2, Python 3.11.
#
# Why it matters: torch's AvgPool2d counts padding by default, and with ceil_mode (shortcuts of ResNet-D,
# Inception) its export has just these attributes: right in float, right unoptimised, wrong in INT8.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SCALE = np.float32(4 / 255)
x = np.random.default_rng(0).uniform(0, 4, (2, 4, 8, 8)).astype(np.float32)


def steps(level, **attributes):
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        helper.make_node("AveragePool", ["b"], ["c"], kernel_shape=[3, 3], strides=[2, 2], **attributes),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["d", "s", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pool",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(SCALE, "s"), numpy_helper.from_array(np.uint8(0), "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.rint(session.run(None, {"x": x})[0] / SCALE)


levels = ort.GraphOptimizationLevel
for ceil_mode in (0, 1):
    for counted in (0, 1):
        attributes = {"ceil_mode": ceil_mode, "count_include_pad": counted}
        written = steps(levels.ORT_DISABLE_ALL, **attributes)
        fused = steps(levels.ORT_ENABLE_EXTENDED, **attributes)
        apart = np.abs(written - fused)
        inside = apart[:, :, :3, :3].max()
        print(f"{attributes}: inside {inside:.0f}, at the border {apart.max():.0f} steps apart")
PYTHON
cat > "$folder/expected" <<'TEXT'
{'ceil_mode': 0, 'count_include_pad': 0}: inside 0, at the border 0 steps apart
{'ceil_mode': 0, 'count_include_pad': 1}: inside 0, at the border 0 steps apart
{'ceil_mode': 1, 'count_include_pad': 0}: inside 0, at the border 1 steps apart
{'ceil_mode': 1, 'count_include_pad': 1}: inside 0, at the border 88 steps apart
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   {'ceil_mode': 0, 'count_include_pad': 0}: inside 0, at the border 0 steps apart
#   {'ceil_mode': 0, 'count_include_pad': 1}: inside 0, at the border 0 steps apart
#   {'ceil_mode': 1, 'count_include_pad': 0}: inside 0, at the border 1 steps apart
#   {'ceil_mode': 1, 'count_include_pad': 1}: inside 0, at the border 88 steps apart
