"""Whether two runs of `eightbit benchmark` on the same bundle agree.

Usage: python -m eightbit.benchmarks.studies.repeatability BUNDLE --out FILE.md [--threads N]...

Runs the program twice on copies of the bundle, one after the other, and holds every speedup of one
run against the interval that the other one printed. Exit code 1 if two intervals have no number in
common: then they promise more than they hold.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.report.figures import percents, times
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.models.spec import size_text

_RUNS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The same model under the same conditions in two runs.

    Attributes:
        first: In the first run.
        second: In the second one.
    """

    first: LatencyResult
    second: LatencyResult

    @property
    def overlap(self) -> bool:
        """Whether the two intervals have a number in common."""
        (low, high), (other_low, other_high) = (_ends(one) for one in (self.first, self.second))
        return low <= other_high and other_low <= high

    @property
    def within(self) -> bool:
        """Whether each run's ratio lies in the other's interval."""
        return _holds(self.first, self.second) and _holds(self.second, self.first)


def pairs(first: Report, second: Report) -> Iterator[Pair]:
    """Every model that has a speedup in both runs.

    Raises:
        ValueError: Something has one in one run alone.
    """
    found, others = (
        {_key(one): one for one in run.latency if one.speedup} for run in (first, second)
    )
    if found.keys() != others.keys():
        raise ValueError(
            f"expected the same models in both runs, found {found.keys() ^ others.keys()}"
        )
    for key, result in found.items():
        yield Pair(first=result, second=others[key])


def markdown(first: Report, second: Report, command: str) -> str:
    """Both runs side by side."""
    rows = list(pairs(first, second))
    columns = (
        *("artifact", "runtime", "threads", "batch", "first run", "second run"),
        *("intervals overlap", "each within the other's"),
    )
    agreeing, inside = sum(row.overlap for row in rows), sum(row.within for row in rows)
    busy = " and ".join(_busy(run) for run in (first, second))
    model = first.model.spec
    said = (
        f"{model.architecture} at {size_text(model.preprocessing.crop)} px. Speedups over the "
        "fastest float model of the same runtime, with the 95 % intervals that were printed. "
        f"{agreeing} of {len(rows)} pairs of intervals overlap; in {inside} each run's ratio lies "
        f"within the other's interval. Other programs took {busy} of the processor."
    )
    lines = [
        "# Two runs of `eightbit benchmark` on the same bundle",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}.",
        "",
        said,
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for row in rows:
        one, other = row.first, row.second
        cells = (
            *(one.artifact, one.runtime.name, str(one.threads), str(one.batch)),
            *(times(run.speedup, run.speedup_ci95) for run in (one, other)),
            *("yes" if fact else "NO" for fact in (row.overlap, row.within)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _key(result: LatencyResult) -> tuple[str, str, int, int]:
    return result.artifact, result.runtime.name, result.threads, result.batch


def _ends(result: LatencyResult) -> tuple[float, float]:
    if result.speedup_ci95 is None:
        raise ValueError(f"{result.artifact}: expected an interval, found none")
    return result.speedup_ci95


def _holds(interval_of: LatencyResult, result: LatencyResult) -> bool:
    low, high = _ends(interval_of)
    return result.speedup is not None and low <= result.speedup <= high


def _busy(run: Report) -> str:
    share = run.benchmark.busy_fraction if run.benchmark else None
    return "an unknown part" if share is None else percents(share)


def _benchmark(bundle: Path, copy: Path, options: Sequence[str]) -> Report:
    """One run on a fresh copy.

    Raises:
        RuntimeError: It failed.
    """
    shutil.copytree(bundle, copy)
    program = Path(sys.executable).with_name("eightbit")
    done = subprocess.run(
        [program, "benchmark", copy, *options], check=False, stdout=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise RuntimeError(f"eightbit benchmark: exit code {done.returncode}")
    return read_report(copy / "report.json")


def main(
    bundle: Annotated[Path, typer.Argument(help="What `eightbit quantize` wrote.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    threads: Annotated[list[int] | None, typer.Option(help="As of `eightbit benchmark`.")] = None,
) -> None:
    """Run the benchmark twice and compare."""
    options = list(chain.from_iterable(("--threads", str(count)) for count in threads or ()))
    with tempfile.TemporaryDirectory() as folder:
        first, second = (
            _benchmark(bundle, Path(folder) / str(run), options) for run in range(_RUNS)
        )
    shown = ["python -m eightbit.benchmarks.studies.repeatability BUNDLE --out FILE.md", *options]
    out.write_text(markdown(first, second, " ".join(shown)), encoding="utf-8")
    if not all(pair.overlap for pair in pairs(first, second)):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
