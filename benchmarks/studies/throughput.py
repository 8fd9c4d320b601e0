"""How near `eightbit evaluate` comes to what the runtimes alone would do.

Usage: python -m eightbit.benchmarks.studies.throughput BUNDLE --data SRC --out FILE.md

The bare rate of a model is that of preprocessed batches of 32 in its runtime and nothing else: in
one process with all threads, or in as many single-threaded ones as an evaluation has, whichever is
faster. Every image runs through all models one after the other, so that together they can do no
more than 1 / sum(1 / rate). Bare runs and evaluations take turns, and each evaluation is compared
with the bare rates before and after it.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.evaluation.pool import workers_and_threads
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.processes.process import proportional_bytes
from eightbit.benchmarks.report.document import read_report
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source

_MODELS: Final = ("model.int8.pt", "model.int8.onnx", "model.fp32.onnx")
_BATCH: Final = 32
_SECONDS: Final = 4.0
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One run of the program.

    Attributes:
        images: How many it evaluated.
        stage_rate: Images per second while it evaluated, as its report says.
        command_rate: Images per second of the whole command, from its start to its end.
        peak_bytes: Highest memory of all its processes together, pages that they share counted
            once.
    """

    images: int
    stage_rate: float
    command_rate: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """One evaluation between two measurements of the bare rates.

    Attributes:
        before: Bare images per second of every model, by file.
        after: The same once more.
        evaluated: What came in between.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    evaluated: Evaluated

    @property
    def bare_rate(self) -> float:
        """Images per second that the runtimes alone would do, on both sides of the evaluation."""
        return statistics.mean((combined(self.before), combined(self.after)))

    @property
    def stage_ratio(self) -> float:
        """Of the evaluation's stage to the bare rate."""
        return self.evaluated.stage_rate / self.bare_rate

    @property
    def command_ratio(self) -> float:
        """Of the whole command to the bare rate."""
        return self.evaluated.command_rate / self.bare_rate


def combined(rates: Mapping[str, float]) -> float:
    """Images per second through all models, one after the other."""
    return 1 / sum(1 / rate for rate in rates.values())


def bare_rates(models: Mapping[str, Path], batch: FloatArray, threads: int) -> dict[str, float]:
    """Images per second of every model alone, the better of the two ways to use the threads."""
    ways = ((1, threads), workers_and_threads(threads))
    return {
        name: max(_bare_rate(path, batch, processes, each) for processes, each in ways)
        for name, path in models.items()
    }


def _bare_rate(path: Path, batch: FloatArray, processes: int, threads: int) -> float:
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=processes) as together:
        runners = [
            stack.enter_context(IsolatedRunner(path, threads=threads)) for _ in range(processes)
        ]
        for runner in runners:
            runner.time(batch, repeats=3)
        trials = together.map(lambda runner: min(runner.time(batch, 2)), runners)
        repeats = max(2, round(_SECONDS / max(trials)))
        spans: list[float] = list(
            together.map(lambda runner: sum(runner.time(batch, repeats)), runners)
        )
    images: int = processes * repeats * len(batch)
    return images / max(spans)


def evaluate(bundle: Path, images: Path, count: int) -> Evaluated:
    """Run the program on a copy of a bundle.

    Raises:
        RuntimeError: It ended otherwise than with 0: what is in its report may be of another run.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(bundle, Path(folder) / "bundle"))
        program = Path(sys.executable).with_name("eightbit")
        start, peak = time.perf_counter(), 0
        with subprocess.Popen(
            [program, "evaluate", copy, "--data", images], stdout=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                peak = max(peak, proportional_bytes(process.pid))
                time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise RuntimeError(f"eightbit evaluate: exit code {process.returncode}")
        section = read_report(copy / "report.json").evaluation
    if section is None or section.images_per_s is None:
        raise RuntimeError("eightbit evaluate: expected a rate in the report, found none")
    return Evaluated(
        images=section.images,
        stage_rate=section.images_per_s,
        command_rate=count / seconds,
        peak_bytes=peak,
    )


def write_images(data: Path, count: int, folder: Path) -> None:
    """A folder of so many images of a source, again from the first on where it has fewer."""
    folder.mkdir()
    with open_source(data) as source:
        for index in range(count):
            item = source.items[index % len(source.items)]
            (folder / f"{index:06}{Path(item.name).suffix}").write_bytes(source.read(item))


_EXPLANATION: Final = """\
bare: images per second of preprocessed batches of {batch} in each runtime alone, all models one
after the other, mean of before and after the evaluation; stage: while `eightbit evaluate` ran them,
reading and decoding included; command: from its start to its end, loading, report and page
included; memory: highest of all its processes together."""


def _markdown(rounds: Sequence[Round], command: str) -> str:
    columns = ("images", "bare", "stage", "of bare", "command", "of bare", "memory")
    lines = [
        "# Evaluation beside the bare runtimes",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}.",
        "",
        _EXPLANATION.format(batch=_BATCH),
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for row in rounds:
        found = row.evaluated
        cells = (
            f"{found.images:,}",
            f"{row.bare_rate:.1f}",
            f"{found.stage_rate:.1f}",
            f"{row.stage_ratio:.2f}",
            f"{found.command_rate:.1f}",
            f"{row.command_ratio:.2f}",
            f"{found.peak_bytes / 1e6:,.0f} MB",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_summary(rounds), ""]
    return "\n".join(lines)


def _summary(rounds: Sequence[Round]) -> list[str]:
    lines = []
    for count in sorted({row.evaluated.images for row in rounds}):
        rows = [row for row in rounds if row.evaluated.images == count]
        stage = statistics.median(row.stage_ratio for row in rows)
        whole = statistics.median(row.command_ratio for row in rows)
        lines.append(
            f"Median of {len(rows)} rounds with {count:,} images: the stage reaches {stage:.2f} of "
            f"the bare rate, the command {whole:.2f}."
        )
    return lines


def main(
    bundle: Annotated[Path, typer.Argument(help="What `eightbit quantize` wrote.")],
    data: Annotated[Path, typer.Option(help="Folder or archive of images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    images: Annotated[list[int] | None, typer.Option(min=1, help="Sizes of the sets.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Evaluations of every set.")] = 3,
) -> None:
    """Measure one bundle, on all usable cores."""
    models = {name: bundle / name for name in _MODELS if (bundle / name).exists()}
    metadata = read_metadata(bundle / _MODELS[-1])
    if metadata is None:
        raise InputError(f"{bundle}: expected a bundle, found models without metadata")
    shape = (_BATCH, 3, *metadata.spec.preprocessing.crop_size)
    batch = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    counts = images or [1000, 4000]
    found: list[Round] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in counts:
            write_images(data, count, folder / str(count))
        before = bare_rates(models, batch, usable_cores())
        for count in counts * rounds:
            evaluated = evaluate(bundle, folder / str(count), count)
            after = bare_rates(models, batch, usable_cores())
            found.append(Round(before=before, after=after, evaluated=evaluated))
            typer.echo(f"{count:,} images: {found[-1].stage_ratio:.2f} of the bare rate")
            before = after
    command = "python -m eightbit.benchmarks.studies.throughput BUNDLE --data SRC --out FILE.md"
    for count in images or ():
        command += f" --images {count}"
    out.write_text(_markdown(found, command), encoding="utf-8")
    typer.echo("\n".join(_summary(found)))


if __name__ == "__main__":
    # The variables that the program sets for itself, so that bare runs have them too.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    typer.run(main)
