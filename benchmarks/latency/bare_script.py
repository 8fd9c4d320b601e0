"""The shortest program that classifies a photo with an ONNX model: what others are held against.

It has no checks and is given the preprocessing: `python bare_script.py MODEL PHOTO
'{"resize": 256, "crop": 224, ...}'`.
"""

import json
import sys
from fractions import Fraction

import numpy as np
import onnxruntime as ort
from PIL import Image


def main(model: str, photo: str, preprocessing: str) -> None:
    """Print the class with the highest logit.

    The preprocessing is a JSON object: resize, crop (of a square, or height and width), mean,
    std, dtype and layout, and the interpolation if it is not bilinear, and squash if the image
    becomes `resize` whatever its ratio, and decode if it is scaled.
    """
    known = json.loads(preprocessing)
    file = Image.open(photo)
    # Width and height, as Pillow has them.
    size, crop = (
        [n, n] if isinstance(n, int) else n[::-1] for n in (known["resize"], known["crop"])
    )
    if not known.get("squash"):
        part = max(Fraction(*pair) for pair in zip(size, file.size, strict=True))
        size = [int(side * part) for side in file.size]
    box = None
    if known.get("decode") == "scaled":
        drafted = file.draft(None, (2 * size[0], 2 * size[1]))
        box = drafted[1] if drafted else None
    kernel = Image.Resampling[known.get("interpolation", "bilinear").upper()]
    image = file.convert("RGB").resize(size, kernel, box)
    left, top = (image.width - crop[0]) // 2, (image.height - crop[1]) // 2
    batch = np.asarray(image.crop((left, top, left + crop[0], top + crop[1])))[None]
    if known["dtype"] == "float32":
        scaled = batch.astype(np.float32) / np.float32(255)
        batch = (scaled - np.float32(known["mean"])) / np.float32(known["std"])
    if known["layout"] == "NCHW":
        batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: batch})[0]
    print(int(np.argmax(logits)))


if __name__ == "__main__":
    main(*sys.argv[1:])
