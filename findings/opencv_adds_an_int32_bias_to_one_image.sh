#!/bin/sh
# OpenCV 4's dnn module adds a quantized Gemm's int32 bias to the first image of a batch alone.
#
# The guess: a classifier's Gemm with a bias stored as int32 behind a DequantizeLinear, as QDQ models
# have it, gives an image the same numbers whatever stands beside it in the batch; a runtime that
# cannot do it raises.
#
# The behaviour: one image at a time all is right. Four at a time the first is right and the other
# three lack the bias or get another number in its place, without a word. With the same bias as float32 all four are right. OpenCV 5.0.0
# is right with both.
#
# Versions: opencv-python-headless 4.14.0.94, onnxruntime 1.31.1, onnx 1.23.2, Python 3.11.
#
# Why it matters: OpenCV is what many boards have, and accuracy is usually tried one image at a time;
# a network of ten classes lost 1 % of its answers in batches of four, where nobody looks for it.
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

FEATURES, CLASSES, IMAGES = 16, 5, 4
rng = np.random.default_rng(0)
images = rng.uniform(0, 5, (IMAGES, FEATURES)).astype(np.float32)
weight = rng.integers(-127, 128, (CLASSES, FEATURES)).astype(np.int8)
bias = rng.integers(-20000, 20000, CLASSES).astype(np.int32)
bias_scale = np.full(CLASSES, np.float32(0.05) * np.float32(0.01), np.float32)


def classifier(bias_is_integer):
    constants = {
        "s": np.float32(0.05),
        "z": np.uint8(0),
        "weight": weight,
        "weight_s": np.full(CLASSES, 0.01, np.float32),
        "weight_z": np.zeros(CLASSES, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_s", "weight_z"], ["w"], axis=0),
    ]
    if bias_is_integer:
        constants |= {"bias": bias, "bias_s": bias_scale, "bias_z": np.zeros(CLASSES, np.int32)}
        nodes.append(
            helper.make_node("DequantizeLinear", ["bias", "bias_s", "bias_z"], ["b"], axis=0)
        )
    else:
        constants["b"] = (bias * bias_scale).astype(np.float32)
    nodes.append(helper.make_node("Gemm", ["d", "w", "b"], ["y"], transB=1))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


for kind in ("int32", "float32"):
    model = classifier(kind == "int32")
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": images})[0]
    for size in (1, IMAGES):
        network = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        found = []
        for start in range(0, IMAGES, size):
            network.setInput(images[start : start + size])
            found.append(network.forward().copy())
        off = np.abs(np.concatenate(found) - expected).max(1)
        said = " ".join("right" if one < 1e-4 else "wrong" for one in off)
        print(f"{kind} bias, {size} at a time: {said}")
PYTHON
cat > "$folder/expected" <<'TEXT'
int32 bias, 1 at a time: right right right right
int32 bias, 4 at a time: right wrong wrong wrong
float32 bias, 1 at a time: right right right right
float32 bias, 4 at a time: right right right right
TEXT
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"

# Seen on 2026-11-30:
#   int32 bias, 1 at a time: right right right right
#   int32 bias, 4 at a time: right wrong wrong wrong
#   float32 bias, 1 at a time: right right right right
#   float32 bias, 4 at a time: right right right right
