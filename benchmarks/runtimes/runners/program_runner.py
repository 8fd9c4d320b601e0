"""A torch.export program in torch on the CPU: no compiler, no further library."""

import io
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import fx

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.program_json import (
    MAX_JSON_BYTES,
    RefusedProgramError,
    check_members,
    check_payload,
    check_program,
)
from eightbit.benchmarks.artifact.program_operators import COMPUTING
from eightbit.benchmarks.artifact.refusals import last_line
from eightbit.benchmarks.artifact.trust import TRUST, is_trusted
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray
from eightbit.benchmarks.runtimes.runners.program_kernels import with_int8_kernels
from eightbit.benchmarks.runtimes.runners.torch_call import call_module
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable


class ProgramRunner:
    """Runs a torch.export classifier; see `runner.Runner`.

    Args:
        path: The .pt2 archive: a program from float32 (N, 3, H, W), or what its metadata says, to
            logits (N, classes).
        threads: Threads inside one operator, torch's own for the whole process.
        optimize: Whether convolutions are computed by INT8 kernels, as `with_int8_kernels` has
            them, or everything as it is written.

    Raises:
        InputError: torch cannot load the file, or it would do more than compute.
    """

    def __init__(self, path: Path, threads: int, *, optimize: bool = True) -> None:
        self._where = printable(str(path))
        torch.set_num_threads(threads)
        metadata = read_metadata(path)
        self._classes = metadata.spec.num_classes if metadata else None
        self.feed = feed_of(metadata)
        self._module = load_program(path)
        if optimize:
            with_int8_kernels(self._module)

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        batch = self.feed(batch, where=self._where)
        return call_module(
            self._module,
            batch,
            within=nullcontext(),
            raised=(RuntimeError, AssertionError),
            where=self._where,
            classes=self._classes,
        )


def load_program(path: Path) -> fx.GraphModule:
    """Load a program as a module; nothing of it runs before it has been read.

    Raises:
        InputError: It would do more than compute and is not trusted, or torch cannot load it.
    """
    where = printable(str(path))
    read_metadata(path)
    if not is_trusted():
        with _refusing(where):
            _check(path)
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch's own reading
            return torch.export.load(str(path)).module()
    except Exception as exc:  # torch raises whatever its parts do
        raise InputError(
            f"{where}: expected a program that torch {torch.__version__} can load, found "
            f"{one_line(last_line(exc), 200)}; quantize again"
        ) from exc


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    try:
        yield
    except RefusedProgramError as exc:
        raise InputError(
            f"{where}: expected a program that only computes, found {one_line(str(exc), 160)}; "
            f"give {TRUST} if you trust whoever made the file"
        ) from exc


def _check(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        check_members(archive.namelist())
        for name in ("weights/model_weights_config.json", "constants/model_constants_config.json"):
            check_payload(_member(archive, f"data/{name}"))
        check_program(_member(archive, "models/model.json"), COMPUTING)
        examples = _member(archive, "data/sample_inputs/model.pt")
    try:
        torch.load(io.BytesIO(examples), weights_only=True)
    except Exception as exc:  # torch would go on without this restriction
        raise RefusedProgramError("examples that are no plain tensors") from exc


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    root = archive.namelist()[0].partition("/")[0]
    try:
        info = archive.getinfo(f"{root}/{name}")
    except KeyError as exc:
        raise RefusedProgramError(f"no member {name}") from exc
    if info.file_size > MAX_JSON_BYTES:
        raise RefusedProgramError(f"a member {name} of {info.file_size:,} bytes")
    return archive.read(info)
