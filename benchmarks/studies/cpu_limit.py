"""How near the INT8 model comes to what the CPU can do: two runtimes, three quantizers' files.

Usage: python -m eightbit.benchmarks.studies.cpu_limit --photos SRC --out FILE.md [ARCHITECTURE]

The file that `eightbit quantize` writes, that of ONNX Runtime's `quantize_static` and that of NNCF
(extra ``peers``), all from the same float model, in ONNX Runtime and in OpenVINO (extra
``openvino``). Candidates take turns, each in a process of its own that is started three times.
Weights are random: speed does not depend on what a network has learned.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Final

import torch
import typer

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, Precision, Runtime
from eightbit.benchmarks.latency.launches import Candidate
from eightbit.benchmarks.latency.products import products_per_image
from eightbit.benchmarks.latency.results import LatencyResult, measure_latency
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.studies.command import quantize
from eightbit.benchmarks.studies.line import preprocessed_photos, write_random_weights
from eightbit.benchmarks.studies.peers.candidates.job import Candidate as Peer
from eightbit.benchmarks.studies.peers.candidates.job import Job
from eightbit.benchmarks.studies.peers.candidates.process import Failed, run
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

_SAMPLES: Final = 16
_LAUNCHES: Final = 3
_ROUNDS: Final = 10
_SECONDS: Final = 15.0

_RUNTIMES: Final = (ONNX.runtime, OPENVINO)
_OURS: Final = "eightbit"
_PEERS: Final = {"quantize_static": Peer.ORT_MINMAX, "NNCF": Peer.NNCF}

# A product of two square matrices of this size is bound by arithmetic, and fits into caches.
_SIDE: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One thread count.

    Attributes:
        latency: By label of the file and runtime.
        floor_ms: What the network's products alone would take at the rate of a matrix product.
    """

    latency: dict[tuple[str, Runtime], LatencyResult]
    floor_ms: float


def files(architecture: Architecture, photos: Path, folder: Path) -> dict[str, Path]:
    """Every quantizer's INT8 file, by name.

    Raises:
        RuntimeError: A peer failed.
    """
    pixels = preprocessed_photos(architecture, photos)[:_SAMPLES]
    weights = write_random_weights(architecture, pixels, folder)
    out = folder / _OURS
    arguments = [architecture.value, "--weights", str(weights), "--formats", "onnx"]
    arguments += ["--calibrate", str(photos), "--samples", str(_SAMPLES)]
    report = quantize(arguments, out)
    made = {_OURS: out / "model.int8.onnx"}
    for name, peer in _PEERS.items():
        job = _job(peer, report, weights, out / "model.fp32.onnx", photos, folder / name)
        done = run(job)
        if isinstance(done, Failed):
            raise RuntimeError(f"{name}: {done.reason}")  # noqa: TRY004
        made[name] = job.folder / "quantized.onnx"
    return made


def _job(peer: Peer, report: Report, weights: Path, model: Path, photos: Path, folder: Path) -> Job:
    return Job(
        candidate=peer,
        spec=report.model.spec,
        weights=weights,
        file=model,
        calibrate=photos,
        evaluate=photos,
        samples=_SAMPLES,
        limit=1,
        threads=usable_cores(),
        folder=folder,
    )


def measure(made: dict[str, Path], side: int, threads: int, products: int) -> Measured:
    """Every file in every runtime, in turns."""
    pairs = list(product(made, _RUNTIMES))
    candidates = [
        Candidate(label=name, path=made[name], runtime=runtime, precision=Precision.INT8)
        for name, runtime in pairs
    ]
    before = _products_per_second(threads)
    results = measure_latency(
        candidates,
        input_shape=(3, side, side),
        threads=threads,
        launches=_LAUNCHES,
        rounds=_ROUNDS,
        seconds_per_candidate=_SECONDS,
    )
    rate = statistics.median([*before, *_products_per_second(threads)])
    return Measured(latency=dict(zip(pairs, results, strict=True)), floor_ms=products / rate * 1e3)


def _products_per_second(threads: int, repeats: int = 20) -> list[float]:
    """Rate of uint8 x int8 products in oneDNN's matrix product, several times."""
    torch.set_num_threads(threads)
    a = torch.randint(0, 255, (_SIDE, _SIDE), dtype=torch.uint8)
    b = torch.randint(-127, 127, (_SIDE, _SIDE), dtype=torch.int8)
    torch._int_mm(a, b)
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch._int_mm(a, b)
        rates.append(_SIDE**3 / (time.perf_counter() - start))
    return rates


_EXPLANATION = """\
Median milliseconds of one image, batch 1; in brackets the ratio to eightbit's file in the same
runtime. *floor*: the network's {products:.2f} G multiplications at the rate of a {side} x {side}
uint8 x int8 matrix product in oneDNN on the same threads, measured before and after."""


def _markdown(
    architecture: Architecture, rows: dict[int, Measured], products: int, command: str
) -> str:
    names = [_OURS, *_PEERS]
    columns = ["threads", *(f"{name}, {runtime}" for runtime in _RUNTIMES for name in names)]
    columns += ["floor", "eightbit: ONNX Runtime over OpenVINO"]
    lines = [
        f"# {architecture} INT8 in two runtimes",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}.",
        "",
        _EXPLANATION.format(products=products / 1e9, side=_SIDE),
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
    ]
    for threads, row in rows.items():
        cells = [str(threads)]
        for runtime, name in product(_RUNTIMES, names):
            own = row.latency[_OURS, runtime].p50_ms
            found = row.latency[name, runtime].p50_ms
            ratio = "" if name == _OURS else f" ({found / own:.2f})"
            cells.append(f"{found:.1f} ms{ratio}")
        first, second = (row.latency[_OURS, runtime].p50_ms for runtime in _RUNTIMES)
        cells += [f"{row.floor_ms:.1f} ms", f"{first / second:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(
    photos: Annotated[Path, typer.Option(help="Folder or archive of photos.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    architecture: Annotated[Architecture, typer.Argument()] = Architecture.RESNET50,
) -> None:
    """Measure one architecture at one thread and at all usable cores."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        made = files(architecture, photos, Path(folder))
        side = preprocessed_photos(architecture, photos).shape[-1]
        with torch.device("meta"):
            products = products_per_image(build_model(architecture).eval(), size=side)
        for threads in _thread_counts():
            rows[threads] = measure(made, side, threads, products)
    command = (
        f"python -m eightbit.benchmarks.studies.cpu_limit --photos SRC --out FILE.md {architecture}"
    )
    out.write_text(_markdown(architecture, rows, products, command))


def _thread_counts() -> Sequence[int]:
    return sorted({1, usable_cores()})


if __name__ == "__main__":
    typer.run(main)
