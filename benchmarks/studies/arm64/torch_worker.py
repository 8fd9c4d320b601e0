"""Runs a TorchScript file on some images; runs on the emulated machine too.

Usage: python torch_worker.py MODEL.pt ENGINE IN.npy OUT.npy

It is run by its path, since eightbit is not installed there.
"""

import sys
import warnings

import numpy as np
import torch


def main(model: str, engine: str, images: str, out: str) -> None:
    """Write the logits: float32, shape (N, classes).

    Args:
        model: The file.
        engine: torch's quantized engine.
        images: Preprocessed, as the model takes them.
        out: The file to write.
    """
    warnings.simplefilter("ignore")  # torch's quantized types are deprecated
    torch.set_num_threads(1)
    torch.backends.quantized.engine = engine
    network = torch.jit.load(model)
    with torch.inference_mode():
        logits = [network(torch.from_numpy(one[None])).numpy() for one in np.load(images)]
    np.save(out, np.concatenate(logits))


if __name__ == "__main__":
    main(*sys.argv[1:])
