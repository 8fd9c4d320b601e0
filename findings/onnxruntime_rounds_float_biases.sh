#!/bin/sh
# ONNX Runtime rounds a quantized model's float biases as it loads it, those of channels without
# weights to nothing.
#
# The guess: quantize_static with QuantizeBias=False writes biases as float32, and a session adds them
# as they stand in the file; a channel whose weights are all zero answers its bias.
#
# The behaviour: from the level "basic" on, a session makes each float bias beside int8 weights an int32
# in steps of input scale times weight scale. quantize_static gives a channel of zeros the weight scale
# 1.0, so with images of 0 to 255 its step is 1.0: biases of 0.2 and -0.4 answer 0, one of 0.7 answers 1.
# The channel with weights keeps its bias. onnxruntime 1.20.1 answers all biases at every level, for the
# same file.
#
# Versions: onnxruntime 1.20.1 and 1.31.1, onnx 1.23.2, Python 3.11.
#
# Why it matters: pruned networks, and those whose batch normalisations came out as zero, have such
# channels, whose biases still count in the layers that follow. Reading the file shows the right number,
# so does a session without optimisations, and an update of the runtime changes the model's answers
# without a word. A way out: a scale for those channels in which the bias is a multiple of the step.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 1.20.1 1.31.1; do
    "${PYTHON:-python3.11}" -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet onnxruntime==$version onnx==1.23.2 numpy==2.4.6
done
cat > "$folder/write.py" <<'PYTHON'
import logging
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

logging.disable(logging.WARNING)
images = np.zeros((4, 3, 8, 8), np.float32)
images[:, :, ::2] = 255
weight = np.zeros((4, 3, 1, 1), np.float32)
weight[0] = 0.01
bias = np.array([20.2, 0.2, -0.4, 0.7], np.float32)
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "weight", "bias"], ["y"])],
    "layer",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4, 8, 8])],
    [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
)


class Images(CalibrationDataReader):
    def __init__(self):
        self.batches = iter([{"x": images}])

    def get_next(self):
        return next(self.batches, None)


quantize_static(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
    sys.argv[1],
    Images(),
    per_channel=True,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    extra_options={"QuantizeBias": False},
)
PYTHON
cat > "$folder/show.py" <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

file = onnx.load(sys.argv[1])
stored = {entry.name: numpy_helper.to_array(entry) for entry in file.graph.initializer}
if ort.__version__ == "1.20.1":
    print(f"in the file, bias: {stored['bias'].dtype} {stored['bias']}")
    print(f"in the file, scales: x {stored['x_scale']}, weights {stored['weight_scale'].round(6)}")
    print(f"the step of answers: {stored['y_scale']:.3f}")
black = np.zeros((1, 3, 8, 8), np.float32)
for name in ("DISABLE_ALL", "ENABLE_BASIC", "ENABLE_ALL"):
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{name}")
    session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    answers = session.run(None, {"x": black})[0][0, :, 0, 0]
    shown = " ".join(f"{answer:.2f}" for answer in answers + 0.0)
    print(f"{ort.__version__}, {name}, a black image: {shown}")
PYTHON
cat > "$folder/expected" <<'TEXT'
in the file, bias: float32 [20.2  0.2 -0.4  0.7]
in the file, scales: x 1.0, weights [7.9e-05 1.0e+00 1.0e+00 1.0e+00]
the step of answers: 0.111
1.20.1, DISABLE_ALL, a black image: 20.16 0.22 -0.44 0.66
1.20.1, ENABLE_BASIC, a black image: 20.16 0.22 -0.44 0.66
1.20.1, ENABLE_ALL, a black image: 20.16 0.22 -0.44 0.66
1.31.1, DISABLE_ALL, a black image: 20.16 0.22 -0.44 0.66
1.31.1, ENABLE_BASIC, a black image: 20.16 0.00 0.00 1.00
1.31.1, ENABLE_ALL, a black image: 20.16 0.00 0.00 1.00
TEXT
"$folder/1.31.1/bin/python" "$folder/write.py" "$folder/model.onnx"
for version in 1.20.1 1.31.1; do
    "$folder/$version/bin/python" "$folder/show.py" "$folder/model.onnx"
done | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-12-01:
#   in the file, bias: float32 [20.2  0.2 -0.4  0.7]
#   in the file, scales: x 1.0, weights [7.9e-05 1.0e+00 1.0e+00 1.0e+00]
#   the step of answers: 0.111
#   1.20.1, DISABLE_ALL, a black image: 20.16 0.22 -0.44 0.66
#   1.20.1, ENABLE_BASIC, a black image: 20.16 0.22 -0.44 0.66
#   1.20.1, ENABLE_ALL, a black image: 20.16 0.22 -0.44 0.66
#   1.31.1, DISABLE_ALL, a black image: 20.16 0.22 -0.44 0.66
#   1.31.1, ENABLE_BASIC, a black image: 20.16 0.00 0.00 1.00
#   1.31.1, ENABLE_ALL, a black image: 20.16 0.00 0.00 1.00
