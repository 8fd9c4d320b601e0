"""The network as TorchScript, quantized: the same recipe, the same bytes."""

import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import save_file

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.models.errors import InputError
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts import torchscript_worker
from eightbit.quantize.config import Mode
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import write_recipe


@own_state()
def export_torchscript(quantized: Quantized, metadata: ArtifactMetadata, path: Path) -> int:
    """Write the quantized network, with the metadata's input, to ``path``, in a fresh process.

    Returns that process's peak resident memory in bytes.

    Raises:
        InputError: Eager mode needs the network's own code, which the process has only for a known
            architecture.
        RuntimeError: The building process failed; its last lines are in the message.
    """
    network, recipe = quantized.network, quantized.recipe
    if recipe.skeleton is not None and recipe.config.mode is Mode.EAGER:
        raise InputError(
            f"{recipe.spec.architecture}: expected the network as it is built by this name, found "
            "one with other layers, which eager mode cannot build again; use --mode fx"
        )
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        save_file(
            {name: tensor.contiguous() for name, tensor in network.module.state_dict().items()},
            files / torchscript_worker.WEIGHTS_FILE,
        )
        write_recipe(recipe, files)
        (files / torchscript_worker.METADATA_FILE).write_text(metadata.to_json())
        done = subprocess.run(
            [sys.executable, "-P", "-m", torchscript_worker.__name__, folder, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"building the TorchScript artefact failed:\n{done.stderr[-4000:]}")
    return int(done.stdout.split()[-1])  # a library may have printed before
