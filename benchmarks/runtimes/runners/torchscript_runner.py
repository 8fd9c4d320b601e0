"""A TorchScript archive in torch on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.refusals import last_line, torchscript_refusal
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray
from eightbit.benchmarks.runtimes.runners.torch_call import call_module
from eightbit.benchmarks.runtimes.runners.torchscript_archive import check_archive
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.models.torch_warnings import expected_deprecations


class TorchScriptRunner:
    """Runs a TorchScript classifier; see `runner.Runner`.

    The number of threads is torch's own, one for the whole process.

    Args:
        path: The .pt archive: a module from float32 (N, 3, H, W), or what its metadata says, to
            logits (N, classes).
        threads: Threads inside one operator.
        engine: Quantized engine to use in place of the one that the file names; None for that.
        for_inference: Whether to optimise a float network once more for this machine: oneDNN's
            fused operators.

    Raises:
        InputError: torch cannot load the file, or lacks the quantized engine that it needs.
    """

    def __init__(
        self, path: Path, threads: int, *, engine: str | None = None, for_inference: bool = False
    ) -> None:
        self._where = printable(str(path))
        torch.set_num_threads(threads)
        metadata = read_metadata(path)
        self._classes = metadata.spec.num_classes if metadata else None
        self.feed = feed_of(metadata)
        self._module, self._engine = load_module(path, engine)
        if for_inference:
            self._module = _optimised(self._module, self._where)

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        batch = self.feed(batch, where=self._where)
        within = _quantized_engine(self._engine, self._where)
        return call_module(
            self._module,
            batch,
            within=within,
            raised=(RuntimeError, torch.jit.Error),
            where=self._where,
            classes=self._classes,
        )


@contextmanager
def _quantized_engine(engine: str | None, where: str) -> Iterator[None]:
    """Makes torch's quantized operators use one engine; the setting is global, so undo it."""
    backend = torch.backends.quantized
    if engine is None or engine == backend.engine:
        yield
        return
    if engine not in backend.supported_engines:
        raise InputError(
            f"{where}: needs torch's quantized engine {printable(engine)}, which torch "
            f"{torch.__version__} lacks on this CPU; there are: "
            f"{', '.join(backend.supported_engines)}; use the ONNX artefact, or quantize again "
            "on this machine"
        )
    before = backend.engine
    backend.engine = engine
    try:
        yield
    finally:
        backend.engine = before


def load_module(path: Path, engine: str | None = None) -> tuple[torch.jit.ScriptModule, str | None]:
    """Load a TorchScript archive in eval mode, with the engine to run it under, None for any.

    That is the engine it names, or another. Weights are packed for it as they are loaded.
    Nothing of the file runs before its code has been read, see `check_archive`.

    Raises:
        InputError: The file would do more than compute and is not trusted; torch cannot load it,
            or lacks the engine; or there is nothing to call.
    """
    where = printable(str(path))
    metadata = read_metadata(path)
    if engine is None and metadata is not None:
        engine = metadata.engine
    try:
        with _quantized_engine(engine, where), expected_deprecations():
            check_archive(path)
            module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")
            module.eval()
    # torch's own message may hold bytes of the file that are no text.
    except (RuntimeError, UnicodeDecodeError) as exc:
        wrote = metadata.versions.get("torch") if metadata else None
        raise torchscript_refusal(exc, where, version=torch.__version__, wrote=wrote) from exc
    if not hasattr(module, "forward"):
        raise InputError(f"{where}: expected a module that can be called, found no forward in it")
    return module, engine


def _optimised(module: torch.jit.ScriptModule, where: str) -> torch.jit.ScriptModule:
    with expected_deprecations():
        try:
            return torch.jit.optimize_for_inference(module)
        except (RuntimeError, torch.jit.Error) as exc:
            raise InputError(
                f"{where}: torch {torch.__version__} cannot optimise it for this machine: "
                f"{last_line(exc)}"
            ) from exc
