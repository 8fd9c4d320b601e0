"""The network as TorchScript: quantized, the same recipe, the same bytes; and float, to compare."""

import signal
import sys
from pathlib import Path

from safetensors.torch import save_file

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, read_metadata
from eightbit.benchmarks.processes.leashed import run_leashed
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.models.errors import InputError
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts import torchscript_worker
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.pixel_input import with_input
from eightbit.quantize.artifacts.torchscript_worker import archive_bytes, scripted
from eightbit.quantize.config import Mode
from eightbit.quantize.network.operators import by_name
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe, write_recipe
from eightbit.quantize.staging import scratch


@own_state()
def export_torchscript(quantized: Quantized, metadata: ArtifactMetadata, path: Path) -> int:
    """Write the quantized network, with the metadata's input, to ``path``, in a fresh process.

    Returns that process's peak resident memory in bytes.

    Raises:
        InputError: Eager mode needs the network's own code, which the process has only for a known
            architecture.
        WorkerCrashError: A signal ended the building process.
        RuntimeError: It failed; its last lines are in the message.
    """
    network, recipe = quantized.network, quantized.recipe
    if recipe.skeleton is not None and recipe.config.mode is Mode.EAGER:
        raise InputError(
            f"{recipe.spec.architecture}: expected the network as it is built by this name, found "
            "one with other layers, which eager mode cannot build again; use --mode fx"
        )
    with scratch() as files:
        save_file(
            {name: tensor.contiguous() for name, tensor in network.module.state_dict().items()},
            files / torchscript_worker.WEIGHTS_FILE,
        )
        write_recipe(recipe, files)
        (files / torchscript_worker.METADATA_FILE).write_text(metadata.to_json())
        done = run_leashed(
            [sys.executable, "-P", "-m", torchscript_worker.__name__, str(files), str(path)]
        )
    if done.returncode < 0:
        cause = signal.Signals(-done.returncode).name
        raise WorkerCrashError(f"the process that builds the TorchScript was ended by {cause}")
    if done.returncode > 0:
        said = done.stderr[-4000:].decode(errors="replace")
        raise RuntimeError(f"building the TorchScript artefact failed:\n{said}")
    return int(done.stdout.split()[-1])  # a library may have printed before


def write_float_torchscript(float_onnx: Path, recipe: Recipe, path: Path) -> None:
    """Write the frozen float network, with input and weights of the ONNX model, to ``path``.

    Raises:
        InputError: The ONNX model is not one of this network.
    """
    network = read_float_network(float_onnx, recipe)
    taken = feed_of(read_metadata(float_onnx)).input
    metadata = ArtifactMetadata(precision=Precision.FP32, spec=recipe.spec, input=taken)
    script = scripted(with_input(by_name(network.module), metadata))
    path.write_bytes(archive_bytes(script, metadata.to_json()))
