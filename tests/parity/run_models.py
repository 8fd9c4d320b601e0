"""Runs every ONNX model of a folder on ``images.npy``, as whatever processor this process has.

Usage: python run_models.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

folder = Path(sys.argv[1])
images = np.load(folder / "images.npy")
options = ort.SessionOptions()
options.intra_op_num_threads = 1
for path in sorted(folder.glob("*.onnx")):
    (logits,) = ort.InferenceSession(path, options).run(None, {"input": images})
    np.save(path.with_suffix(".npy"), logits)
