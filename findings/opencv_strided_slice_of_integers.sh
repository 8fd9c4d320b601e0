#!/bin/sh
# OpenCV 4's dnn module takes every second pixel of integers wrongly, of real numbers rightly.
#
# The guess: an ONNX Slice with steps of 2 moves numbers and computes none, so what its numbers are, uint8
# behind a QuantizeLinear or float32, makes no difference; a runtime that cannot do it raises.
#
# The behaviour: on integers other numbers come out, without a word, on real numbers the right ones. A
# MaxPool with a kernel of 1 and a stride of 2, which takes the same pixels, is right on both. OpenCV
# 5.0.0 is right with the Slice of integers.
#
# Versions: opencv-python-headless 4.14.0.94, onnxruntime 1.31.1, onnx 1.23.2, Python 3.11.
#
# Why it matters: shortcuts of CIFAR's residual networks take every second pixel, and a quantizer that
# keeps them in integers, where nothing has to be computed, ends at the accuracy of guessing.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
    opencv-python-headless==4.14.0.94 onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cat > "$folder/show.py" <<'PYTHON'
import cv2
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

image = np.random.default_rng(0).uniform(0, 5, (1, 2, 6, 6)).astype(np.float32)
GRID = {"s": np.float32(0.05), "z": np.uint8(0)}
INDICES = {"starts": [0, 0], "ends": [6, 6], "axes": [2, 3], "steps": [2, 2]}


def subsample(operator, source, result):
    if operator == "Slice":
        return helper.make_node("Slice", [source, *INDICES], [result])
    return helper.make_node(operator, [source], [result], kernel_shape=[1, 1], strides=[2, 2])


def model(operator, on_integers):
    nodes = [helper.make_node("QuantizeLinear", ["x", *GRID], ["q"])]
    if on_integers:
        nodes.append(subsample(operator, "q", "half"))
        nodes.append(helper.make_node("DequantizeLinear", ["half", *GRID], ["y"]))
    else:
        nodes.append(helper.make_node("DequantizeLinear", ["q", *GRID], ["real"]))
        nodes.append(subsample(operator, "real", "y"))
    read = {name for node in nodes for name in node.input}
    constants = {**GRID, **{name: np.array(value) for name, value in INDICES.items()}}
    graph = helper.make_graph(
        nodes,
        "subsampling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 3, 3])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items() if n in read],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


for operator in ("Slice", "MaxPool"):
    for on_integers in (True, False):
        data = model(operator, on_integers)
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        expected = session.run(None, {"x": image})[0]
        network = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
        network.setInput(image)
        right = np.allclose(network.forward(), expected, atol=1e-4)
        kind = "integers" if on_integers else "real numbers"
        print(f"{operator} of {kind}: {'right' if right else 'wrong'}")
PYTHON
cat > "$folder/expected" <<'TEXT'
Slice of integers: wrong
Slice of real numbers: right
MaxPool of integers: right
MaxPool of real numbers: right
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   Slice of integers: wrong
#   Slice of real numbers: right
#   MaxPool of integers: right
#   MaxPool of real numbers: right
