"""Which two weights of an output channel meet in a saturating 16-bit sum: a table in Markdown.

Usage: python -m eightbit.benchmarks.studies.pairs --out FILE.md

x86 CPUs without VNNI add each two products of uint8 and int8 in a signed 16-bit integer that
saturates (vpmaddubsw). Which two is up to the runtime: here all of them are tried, in each runtime
that there is. Old processors are emulated (Debian: `apt-get install qemu-user`), OpenVINO takes
`pip install 'eightbit[openvino]'`; what is missing is named in the table's file.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.runtimes.available import Availability, torchscript_executions
from eightbit.benchmarks.runtimes.cpu_names import OLD_CPU
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.benchmarks.runtimes.execution import Execution, emulator_problem
from eightbit.benchmarks.studies.pairs.layers import Layer
from eightbit.benchmarks.studies.pairs.table import Outcome, markdown
from eightbit.models.errors import InputError

_ONEDNN: Final = "onednn"
_FBGEMM: Final = "fbgemm"
_NO_ENGINE: Final = "this build of torch has no such engine"

# A first layer's input has both signs; this is where zero is with ImageNet's mean and deviation.
_FIRST_LAYER: Final = 114

# The first layers of the networks come first, then what else there is and what is only near it.
LAYERS: Final = (
    Layer(channels=3, outputs=16, side=32, zero_point=_FIRST_LAYER),
    Layer(channels=3, kernel=7, stride=2, side=64, zero_point=_FIRST_LAYER),
    Layer(channels=3),
    Layer(channels=3, outputs=24),
    Layer(channels=3, outputs=351),
    Layer(channels=3, outputs=16, side=29, batch=4),
    Layer(channels=3, kernel=1),
    Layer(channels=3, kernel=5, outputs=32),
    Layer(channels=3, kernel=7, stride=2),
    Layer(channels=3, kernel=7, stride=2, outputs=48, side=29, batch=4),
    Layer(channels=5),
    Layer(channels=7),
    Layer(channels=2),
    Layer(channels=6),
    Layer(channels=6, kernel=1),
    Layer(channels=10),
    Layer(channels=4),
    Layer(channels=8),
    Layer(channels=12),
    Layer(channels=16),
    Layer(channels=8, kernel=1),
    Layer(channels=16, kernel=1, stride=2),
    Layer(channels=64, kernel=1),
    Layer(channels=4, groups=8, outputs=4),
    Layer(channels=4, groups=32, outputs=4),
    Layer(channels=8, groups=4, outputs=8),
    Layer(channels=16, groups=2, outputs=16),
    Layer(channels=64, kernel=None),
    Layer(channels=64, kernel=None, outputs=10, batch=8),
)


def executions() -> Availability:
    """Every runtime as this processor is, emulated and limited, as far as that is possible here."""
    import torch

    engines = torch.backends.quantized.supported_engines
    problems = {
        Execution(runtime=TORCHSCRIPT.runtime, engine=name): None if name in engines else _NO_ENGINE
        for name in (_ONEDNN, _FBGEMM)
    }
    for runtime in ONNX.runtimes:
        problem = None if runtime.is_installed else runtime.not_installed
        problems[Execution(runtime=runtime)] = problem
    for native, problem in list(problems.items()):
        old = native.model_copy(update={"emulated_cpu": OLD_CPU})
        problems[old] = problem or emulator_problem()
    limited = torchscript_executions(engine=_ONEDNN, all_engines=False)
    for execution in limited.possible:
        if execution.max_isa is not None and _ONEDNN in engines:
            problems[execution.model_copy(update={"engine": _ONEDNN})] = None
    missing = {one.name: problem for one, problem in problems.items() if problem is not None}
    return Availability(
        possible=tuple(one for one, problem in problems.items() if problem is None),
        missing={**missing, **limited.missing},
    )


def try_layers(
    layers: Sequence[Layer], ways: Sequence[Execution], folder: Path
) -> Iterator[Outcome]:
    """Try all pairs of some layers in each execution, as many at a time as there are cores.

    Args:
        layers: Which; they read the same image.
        ways: The executions.
        folder: For the model files.
    """
    from eightbit.benchmarks.studies.pairs.in_onnx import write_onnx
    from eightbit.benchmarks.studies.pairs.in_torchscript import write_torchscript

    write_onnx(layers, folder / "pairs.onnx")
    write_torchscript(layers, folder / "pairs.pt")

    def run(execution: Execution) -> list[Outcome]:
        suffix = "pt" if execution.runtime is TORCHSCRIPT.runtime else "onnx"
        path = folder / f"pairs.{suffix}"
        try:
            with IsolatedRunner(path, threads=1, execution=execution) as runner:
                logits = runner(layers[0].image())
        except (InputError, WorkerCrashError) as exc:
            why = str(exc)
            return [Outcome(layer=layer, execution=execution, failure=why) for layer in layers]
        ends = list(accumulate(layer.values for layer in layers))
        return [
            Outcome(layer=layer, execution=execution, saturating=tuple(layer.saturating(part)))
            for layer, part in zip(layers, np.split(logits, ends[:-1], axis=1), strict=True)
        ]

    with ThreadPoolExecutor(usable_cores()) as pool:
        for outcomes in pool.map(run, ways):
            yield from outcomes


def by_image(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Layers that read the same image together: one model file each."""
    together: dict[tuple[int, int, int], list[Layer]] = {}
    for layer in layers:
        together.setdefault((layer.side, layer.zero_point, layer.batch), []).append(layer)
    return list(together.values())


def main(
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Try all pairs of weights of every layer in every runtime."""
    available = executions()
    outcomes: list[Outcome] = []
    for layers in by_image(LAYERS):
        with tempfile.TemporaryDirectory() as folder:
            for outcome in try_layers(layers, available.possible, Path(folder)):
                outcomes.append(outcome)
                print(outcome.line(), flush=True)
    outcomes.sort(key=lambda one: LAYERS.index(one.layer))
    command = "python -m eightbit.benchmarks.studies.pairs --out FILE.md"
    out.write_text(markdown(outcomes, available.missing, command))
