"""Builds the TorchScript artefact; run as a program of its own by `torchscript_export`.

The bytes that torch writes depend on the file's name, on how many classes the process scripted
before (``___torch_mangle_N``) and, in debug records, on where the user's Python lies. So this
program does the same steps every time, in memory under torch's default archive name, and copies
the archive without its debug records.
"""

import io
import sys
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import nn

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT_EXTRA_FILE
from eightbit.benchmarks.artifact.metadata import parse_metadata
from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.pixel_input import with_input
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.network.network import Network, unweighted
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import read_recipe

WEIGHTS_FILE = "fused.safetensors"
METADATA_FILE = "metadata.json"

_DEBUG_SUFFIX = ".debug_pkl"

# torch adds these when it closes an archive.
_WRITTEN_BY_TORCH = frozenset({"version", "byteorder", ".data/version", ".data/serialization_id"})


def scripted(network: nn.Module) -> torch.jit.ScriptModule:
    """The network as frozen TorchScript: parameters inlined as constants, no training code."""
    _forget_freed_builtins(network)
    with expected_deprecations():
        return cast("torch.jit.ScriptModule", torch.jit.freeze(torch.jit.script(network.eval())))


def _forget_freed_builtins(network: nn.Module) -> None:
    """Keep torch from taking an attribute of a module for one of its own functions.

    It knows those by ``id()``, and the table keeps the ids of functions that are gone: an operator
    that gets one more overload is replaced (``quantized_decomposed`` does so when torch.ao is
    imported). What happens to lie there later, such as a convolution's padding, cannot be compiled.
    """
    builtins = torch.jit._builtins._get_builtin_table()
    for module in network.modules():
        for value in vars(module).values():
            if not callable(value):
                builtins.pop(id(value), None)


def archive_bytes(script: torch.jit.ScriptModule, metadata: str) -> bytes:
    """A TorchScript archive with the metadata as extra file, without debug records."""
    buffer = io.BytesIO()
    with expected_deprecations():
        torch.jit.save(script, buffer, _extra_files={TORCHSCRIPT_EXTRA_FILE: metadata})
    buffer.seek(0)
    source = torch._C.PyTorchFileReader(buffer)
    copy = io.BytesIO()
    target = torch._C.PyTorchFileWriter(copy)
    # By it a reader knows which arguments an operator has, such as the kind of a GELU.
    target.set_min_version(_version(source))
    for name in source.get_all_records():
        if name.endswith(_DEBUG_SUFFIX) or name in _WRITTEN_BY_TORCH:
            continue
        record = source.get_record(name)
        target.write_record(name, record, len(record))
    target.write_end_of_file()
    return copy.getvalue()


def _version(archive: torch._C.PyTorchFileReader) -> int:
    (place,) = {".data/version", "version"}.intersection(archive.get_all_records())
    return int(archive.get_record(place))


def main(folder: Path, out: Path) -> None:
    """Build the artefact from ``folder``'s files, write it to ``out``, print the memory peak."""
    recipe = read_recipe(folder / bundle.RECIPE)
    module = unweighted(recipe.spec, recipe.skeleton)
    module.load_state_dict(load_file(folder / WEIGHTS_FILE))
    network = Network(module=module, spec=recipe.spec)
    content = (folder / METADATA_FILE).read_text()
    metadata = parse_metadata(content.encode(), METADATA_FILE)
    if metadata.engine is None:
        raise ValueError(f"{METADATA_FILE}: expected torch's quantized engine, found none")
    torch.backends.quantized.engine = metadata.engine
    quantized = quantized_module(Quantized(network=network, recipe=recipe))
    script = scripted(with_input(quantized, metadata))
    out.write_bytes(archive_bytes(script, content))
    print(peak_rss_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
