"""A network as a torch.export program: traced, cleaned of what is the user's, written.

A program holds the class paths, source lines and file names of what was traced, guards that are
code, and examples with the whole storage behind them. None of it is needed to run it.
"""

import io
import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export, save

from eightbit.benchmarks.artifact.formats import PROGRAM_EXTRA_FILE
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.models.torch_state import own_state

# Two images, since torch takes a single one for a batch that is always one.
_BATCH: Final = 2


@own_state()
def export_program(network: nn.Module, metadata: ArtifactMetadata, path: Path) -> None:
    """Write a network of the metadata's input to ``path``, deterministically; its batch is free."""
    taken, size = metadata.input, metadata.spec.preprocessing.crop
    images = torch.zeros(_BATCH, *taken.image_shape(size), dtype=getattr(torch, taken.dtype))
    with warnings.catch_warnings(action="ignore"):  # of torch's tracing
        batch = Dim("batch", min=1)
        program = export(network.eval(), (images,), dynamic_shapes=({0: batch},), strict=False)
    _forget_origin(program, images)
    content = io.BytesIO()
    save(program, content, extra_files={PROGRAM_EXTRA_FILE: metadata.to_json()})
    path.write_bytes(content.getvalue())


def _forget_origin(program: ExportedProgram, images: Tensor) -> None:
    for node in program.graph.nodes:
        for key in set(node.meta) - {"val"}:
            del node.meta[key]
    program._guards_code = []
    # One zero, seen as a batch of them: what is stored is the storage behind an example.
    example = torch.zeros(1, dtype=images.dtype).expand(images.shape)
    program._example_inputs = ((example,), {})
