"""Latency of a bundle's models against float, in torch, ONNX Runtime and OpenVINO."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.formats import FORMATS, TORCHSCRIPT, Precision
from eightbit.benchmarks.latency.benchmark import Benchmarked, benchmark
from eightbit.benchmarks.latency.busy import OtherPrograms
from eightbit.benchmarks.latency.launches import Candidate, Conditions, Effort, synthetic_batch
from eightbit.benchmarks.latency.products import products_per_image
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import BenchmarkSection, MachineLimit, Serving
from eightbit.benchmarks.latency.serving import measure_serving
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.models.errors import InputError
from eightbit.models.plain_text import counted
from eightbit.quantize import bundle
from eightbit.quantize.network.network import unweighted
from eightbit.quantize.photos import Photos, synthetic_photos
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages, Watcher
from eightbit.quantize.staging import scratch

# As part of a run, and of a benchmark alone.
BRIEF: Final = Effort(launches=3, rounds=4, seconds=1.5, limits=1, patience_s=30)
THOROUGH: Final = Effort(launches=5, rounds=8, seconds=7.5, limits=5, patience_s=240, serving_s=0.7)

_FLOAT_TORCHSCRIPT: Final = "float TorchScript"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Latencies per model and setting, and their conditions; None if there are none."""

    latency: tuple[LatencyResult, ...] = ()
    benchmark: BenchmarkSection | None = None


def time_bundle(
    folder: Path,
    recipe: Recipe,
    stages: Stages,
    *,
    threads: Sequence[int],
    batches: Sequence[int] = (1,),
    effort: Effort = BRIEF,
    photos: Photos | None = None,
) -> Timing:
    """Measure every model of the bundle against float in its own runtime and, if present, OpenVINO.

    Where the bundle has TorchScript, its baseline is made from the float ONNX model, with and
    without torch's optimisation for inference. `threads` are thread counts, `batches` images per
    call; `photos` are timed from their encoded bytes on, None for synthetic ones.

    Raises:
        InputError: A model cannot be loaded on this machine, or a photo cannot be used.
    """
    if max(threads) > usable_cores():
        stages.watcher.tell(
            f"--threads {max(threads)}: only {counted(usable_cores(), 'core')} can be used here, "
            "so these latencies are not those of a machine with as many"
        )
    others = OtherPrograms()
    size = recipe.spec.preprocessing.crop_size
    products = products_per_image(unweighted(recipe.spec, recipe.skeleton), size=size)
    photos = photos or synthetic_photos()
    found: list[Benchmarked] = []
    limits: dict[int, tuple[MachineLimit, ...]] = {}
    with scratch() as temporary:
        candidates = [*_shipped(folder)]
        if (folder / TORCHSCRIPT.file()).exists():
            with stages.stage(f"{Stage.LATENCY}, float baseline"):
                made = _float_torchscript(folder, recipe, temporary / "float.pt")
                candidates = [*made, *candidates]
        for count, batch in product(threads, batches):
            first = count not in limits  # at these threads: what no batch changes is measured once
            images = synthetic_batch(batch, (3, *size), seed=0)
            where = f"{Stage.LATENCY}, {counted(count, 'thread')}, batch {batch}"
            with stages.stage(where) as watcher:
                measured = benchmark(
                    candidates,
                    Conditions(batch=images, threads=count, photos=photos.files if first else ()),
                    effort,
                    products_per_image=products,
                    limits=limits.get(count),
                    photos=photos.described,
                    on_progress=_Progress(watcher).tell,
                )
            limits[count] = measured.limits
            found.append(measured)
    served = _served(folder, size, stages, max(threads), effort.serving_s)
    return _timing(found, products, served, busy=others.share())


def _served(
    folder: Path, size: tuple[int, int], stages: Stages, cores: int, seconds: float
) -> dict[str, tuple[Serving, ...] | str]:
    """Images per second of each INT8 model, or why an optional one could not be measured.

    Nothing where there are no seconds for it.
    """
    found: dict[str, tuple[Serving, ...] | str] = {}
    for candidate in _shipped(folder) if seconds else ():
        if candidate.precision is Precision.FP32:
            continue
        name = f"{candidate.label} in {candidate.runtime}, {Stage.THROUGHPUT}"
        with stages.stage(f"{Stage.THROUGHPUT}, {candidate.runtime}") as watcher:
            try:
                found[name] = measure_serving(
                    *(candidate.path, candidate.runtime),
                    input_shape=(3, *size),
                    cores=cores,
                    seconds=seconds,
                    on_turn=_Progress(watcher).turn,
                )
            except (InputError, WorkerCrashError) as exc:
                if not candidate.optional:
                    raise
                found[name] = " ".join(str(exc).split())
    return found


def _timing(
    found: Sequence[Benchmarked],
    products: int,
    served: Mapping[str, tuple[Serving, ...] | str],
    *,
    busy: float | None,
) -> Timing:
    """All settings as one value; the limit stands once for each number of threads."""
    not_measured = dict(chain.from_iterable(one.not_measured.items() for one in found))
    not_measured |= {name: one for name, one in served.items() if isinstance(one, str)}
    serving = chain.from_iterable(one for one in served.values() if not isinstance(one, str))
    section = BenchmarkSection(
        products_per_image=products,
        limits=tuple(dict.fromkeys(chain.from_iterable(one.limits for one in found))),
        whole_path=tuple(chain.from_iterable(one.whole_path for one in found)),
        serving=tuple(serving),
        launches=min(one.launches for one in found),
        rounds=min(one.rounds for one in found),
        busy_fraction=busy,
        not_measured=not_measured,
    )
    latency = tuple(chain.from_iterable(one.latency for one in found))
    return Timing(latency=latency, benchmark=section)


def _float_torchscript(folder: Path, recipe: Recipe, path: Path) -> Iterator[Candidate]:
    """The float network in torch, as it is and optimised for inference."""
    # Here, since nothing else that is measured needs torch.jit, which is to be removed from torch.
    from eightbit.quantize.artifacts.torchscript_export import write_float_torchscript

    write_float_torchscript(folder / bundle.FLOAT_ONNX, recipe, path)
    for label, for_inference in (
        (_FLOAT_TORCHSCRIPT, False),
        (f"{_FLOAT_TORCHSCRIPT}, fused", True),
    ):
        yield Candidate(
            label=label,
            path=path,
            runtime=TORCHSCRIPT.runtime,
            precision=Precision.FP32,
            for_inference=for_inference,
            optional=for_inference,
        )


def _shipped(folder: Path) -> Iterator[Candidate]:
    for format in FORMATS.values():
        for runtime, precision in product(format.runtimes, Precision):
            path = folder / format.file(precision)
            if path.exists() and runtime.is_installed:
                yield Candidate(
                    label=path.name,
                    path=path,
                    runtime=runtime,
                    precision=precision,
                    # Beside the one that the file is made for: nothing is delivered for it.
                    optional=runtime is not format.runtime,
                )


class _Progress:
    """Tells a watcher of turns; how many there will be can grow."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self._total = watcher, 0

    def tell(self, done: int, total: int) -> None:
        """One more turn is over."""
        if total != self._total:
            self._total = total
            self._watcher.expect(total)
        self._watcher.advance(1)

    def turn(self, total: int) -> None:
        """One more turn of so many is over."""
        self.tell(0, total)
