"""A TorchScript artefact in torch's own build for ARM, on emulated processors."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.model_input import PREPROCESSED
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.arm64.processors import ARM_PROCESSORS
from eightbit.benchmarks.studies.arm64.torch_build import torch_environment
from eightbit.models.errors import InputError
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import cropped_pixels, normalised_images

_WORKER: Final = Path(__file__).with_name("torch_worker.py")
_QNNPACK: Final = "qnnpack"

# Importing torch takes half a minute there: one processor without dot products, one with them.
_PROCESSORS: Final = ARM_PROCESSORS[:2]


def torchscript_logits(model: Path, files: Sequence[Path], arm: Path) -> Mapping[str, FloatArray]:
    """What a TorchScript artefact answers here in QNNPACK, and on ARM in its engine and QNNPACK.

    Args:
        model: The artefact.
        files: Images.
        arm: What `root` and `torch_build` made.

    Returns:
        float32, shape (N, classes), by the name of the execution.

    Raises:
        InputError: It is no such artefact, takes pixels, or does not come to its end.
    """
    metadata = read_metadata(model)
    if metadata is None or metadata.engine is None or metadata.input != PREPROCESSED:
        raise InputError(f"{model}: expected an artefact of eightbit that takes float32 images")
    how = metadata.spec.preprocessing
    pixels = np.stack([cropped_pixels(decode_image(file.read_bytes()), how) for file in files])
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        images, out = Path(temporary, "images.npy"), Path(temporary, "logits.npy")
        np.save(images, normalised_images(pixels, how))

        def run(python: Sequence[str], engine: str, environment: dict[str, str] | None) -> None:
            command = [*python, str(_WORKER), str(model.resolve()), engine, str(images), str(out)]
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment
            )
            if done.returncode != 0:
                raise InputError(f"{' '.join(python)}: {model}: {done.stderr.strip()[-500:]}")

        run([sys.executable], _QNNPACK, None)
        found[f"{_QNNPACK} on this machine"] = np.load(out)
        for processor in _PROCESSORS:
            for engine in dict.fromkeys((metadata.engine, _QNNPACK)):
                name = f"{engine} on {processor.name}"
                print(f"{model.name}: {name}", flush=True)
                run(processor.command(arm), engine, torch_environment(arm))
                found[name] = np.load(out)
    return found
