"""The network as TorchScript, quantized: the same recipe, the same bytes."""

import subprocess
import sys
import tempfile
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from eightbit.benchmarks.artifact.artifact import (
    ArtifactMetadata,
)
from eightbit.quantize.artifacts import torchscript_worker
from eightbit.quantize.network.fusion import check_is_network_of
from eightbit.quantize.recipe.fit import check_fit
from eightbit.quantize.recipe.recipe import Recipe, write_recipe


def export_torchscript(
    fused: nn.Module, metadata: ArtifactMetadata, recipe: Recipe, path: Path
) -> int:
    """Write the quantized network to ``path``, built in a fresh process.

    It takes what the metadata says.

    Returns:
        Highest resident memory of that process, in bytes.

    Raises:
        InputError: The recipe was made for another network, or the network is not the one that
            the recipe's spec describes: the process builds it anew from there.
        RuntimeError: The building process failed; its last lines are in the message.
    """
    check_is_network_of(fused, recipe.spec)
    check_fit(fused, recipe)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        save_file(
            {name: tensor.contiguous() for name, tensor in fused.state_dict().items()},
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
