"""Tables of latency, throughput, memory, and of the bundle to deploy."""

import re
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Final

from eightbit.benchmarks.accuracy.parity import REFERENCE, pair_name
from eightbit.benchmarks.artifact.formats import ONNX, written
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import (
    BenchmarkSection,
    ColdStart,
    WholePath,
    not_measured_name,
)
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import (
    NOTHING,
    Table,
    decimal_bytes,
    facts,
    milliseconds,
    percents,
    times,
)
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.models.plain_text import counted
from eightbit.models.spec import Decode

# An idle system takes less.
_BUSY: Final = 0.03


def latency_tables(results: Sequence[LatencyResult], section: BenchmarkSection) -> Iterator[Table]:
    """One table of times per batch size and thread count, then one of throughput and memory."""
    for batch, threads in dict.fromkeys((entry.batch, entry.threads) for entry in results):
        under = [entry for entry in results if (entry.batch, entry.threads) == (batch, threads)]
        yield Table(
            title=f"Latency in ms (batch {batch}, {counted(threads, 'thread')})",
            columns=("artifact", "runtime", "p50", "p90", "p99", "speedup [95 %]"),
            rows=tuple(map(_times_row, under)),
            text_columns=2,
            note=_times_note(under, section),
        )
    if results:
        yield _demands(results, section)


def whole_path_tables(section: BenchmarkSection) -> Iterator[Table]:
    """The steps from the bytes of a photo to its class; none where they were not measured."""
    if not section.whole_path:
        return
    paths = section.whole_path
    photos = ", ".join(dict.fromkeys(path.photo for path in paths))
    yield Table(
        title="From photo to class in ms",
        columns=(
            *("artifact", "runtime", "threads"),
            *("decode", "resize", "normalise", "infer", "total"),
        ),
        rows=tuple(_path_row(path) for path in paths),
        text_columns=2,
        note=f"{photos[:1].upper()}{photos[1:]}; medians of each step. Decoding, resizing and "
        "normalising have one thread.",
    )


# By how many times photos have to be ready sooner for a table to advise scaled decoding.
_WORTH: Final = 1.5


def decoding_tables(report: Report) -> Iterator[Table]:
    """Large photos decoded whole and scaled; none where there were no such photos."""
    found = report.decoding
    if found is None:
        return
    used = report.model.spec.preprocessing.decode
    times_ms = {Decode.EXACT: found.exact_ms, Decode.SCALED: found.scaled_ms}
    note = (
        f"{counted(found.images, 'photo')} of {found.megapixels:.1f} megapixels, from the bytes to "
        "the pixels that the model is given, medians of one thread. These pixels differ by "
        f"{found.mean_levels:.2f} levels of 255 on average, in one photo by {found.max_levels:.2f}."
    )
    if used is Decode.EXACT and found.speedup >= _WORTH:
        note += (
            f" Where photos are so large, eightbit quantize --decode scaled makes them ready "
            f"{found.speedup:.1f} times as fast."
        )
    yield Table(
        title="Decoding of large photos",
        columns=("decode", "ms", "this model"),
        rows=tuple(
            (decode.value, milliseconds(value), "yes" if decode is used else "no")
            for decode, value in times_ms.items()
        ),
        note=note,
    )


def serving_tables(section: BenchmarkSection) -> Iterator[Table]:
    """Images per second by sessions and batch; none where they were not measured."""
    if not section.serving:
        return
    best = max(section.serving, key=lambda one: one.images_per_s)
    singly = [
        one.images_per_s
        for one in section.serving
        if (one.runtime, one.artifact) == (best.runtime, best.artifact)
        and (one.sessions, one.batch) == (1, 1)
    ]
    gained = ""
    if singly:
        gained = f": {times(best.images_per_s / singly[0])} of one session with batch 1"
    yield Table(
        title="Images per second, to serve many",
        columns=("artifact", "runtime", "sessions", "batch", "img/s", "memory"),
        rows=tuple(
            (
                *(one.artifact, one.runtime.name),
                *(f"{one.sessions} x {one.threads}", str(one.batch)),
                *(f"{one.images_per_s:,.0f}", decimal_bytes(one.peak_rss_bytes)),
            )
            for one in section.serving
        ),
        text_columns=2,
        note=f"Most: {best.artifact} in {best.runtime}, {counted(best.sessions, 'session')} of "
        f"{counted(best.threads, 'thread')}, batch {best.batch}{gained}. sessions: "
        "processes that compute at the same time, and threads of each; memory: of all of them, "
        f"with any batch. Medians of {counted(best.turns, 'turn')}.",
    )


def _times_row(entry: LatencyResult) -> tuple[str, ...]:
    return (
        entry.artifact,
        entry.runtime.name,
        *(milliseconds(value) for value in (entry.p50_ms, entry.p90_ms, entry.p99_ms)),
        "baseline" if entry.is_baseline else times(entry.speedup, entry.speedup_ci95),
    )


def _times_note(under: Sequence[LatencyResult], section: BenchmarkSection) -> str:
    calls = min(entry.n for entry in under)
    note = "speedup: over the fastest float model of the same runtime"
    launches = min(entry.launches for entry in under)
    if launches > 1:
        note += f", with its 95 % interval from {launches} launches"
    note += f"; at least {counted(calls, 'call')} each."
    note += _not_measured(section, not_measured_name("", under[0].threads, under[0].batch))
    if section.busy_fraction is not None and section.busy_fraction > _BUSY:
        note += (
            f" Warning: other programs took {percents(section.busy_fraction)} of the "
            "processor meanwhile, so intervals are wide; measure again when it is idle."
        )
    return note


def _demands(results: Sequence[LatencyResult], section: BenchmarkSection) -> Table:
    several = len({(entry.batch, entry.threads) for entry in results}) > 1
    rows = []
    for entry in results:
        conditions = (str(entry.batch), str(entry.threads)) if several else ()
        rows.append(
            (
                entry.artifact,
                entry.runtime.name,
                *conditions,
                f"{entry.images_per_s:,.0f}",
                NOTHING if entry.limit_fraction is None else f"{100 * entry.limit_fraction:.0f} %",
                f"{entry.load_s:.2f} s",
                decimal_bytes(entry.peak_rss_bytes),
            )
        )
    conditions = ("batch", "threads") if several else ()
    return Table(
        title="Throughput, loading and memory",
        columns=("artifact", "runtime", *conditions, "img/s", "of limit", "load", "memory"),
        rows=tuple(rows),
        text_columns=2,
        note="load: from the start of a process until the model can be called, while another one "
        f"loads; memory: the most that process needed. {_limits(section)}".rstrip()
        + "".join(
            _not_measured(section, not_measured_name("", threads))
            for threads in dict.fromkeys(entry.threads for entry in results)
        ),
    )


def _not_measured(section: BenchmarkSection, conditions: str) -> str:
    """Failures under these conditions with their reasons, as sentences to append."""
    return "".join(
        f" Not measured: {name}: {reason.rstrip('.')}."
        for name, reason in section.not_measured.items()
        if name.endswith(conditions)
    )


def _limits(section: BenchmarkSection) -> str:
    """The machine's limit, as a sentence."""
    if not section.limits:
        return ""
    rates = ", ".join(
        f"{limit.products_per_s / 1e9:,.0f} G/s in {limit.precision.value} on "
        f"{counted(limit.threads, 'thread')} ({limit.library})"
        for limit in section.limits
    )
    return (
        f"of limit: this network's {section.products_per_image / 1e6:,.0f} M multiplications per "
        f"image against a large matrix product: {rates}."
    )


def _path_row(path: WholePath) -> tuple[str, ...]:
    steps = (path.decode_ms, path.resize_ms, path.normalise_ms, path.infer_ms, path.total_ms)
    return (
        *(path.artifact, path.runtime.name, str(path.threads)),
        *(milliseconds(step) for step in steps),
    )


_PACKAGES: Final = ("onnxruntime", "numpy", "pillow")
_NUMBER: Final = re.compile(r"[0-9A-Za-z.]+")  # the commands are copied into a shell


def can_be_bundled(report: Report) -> bool:
    """Whether the run wrote what a bundle is made of."""
    return ONNX in written(report.size_bytes)


def deploy_commands(report: Report) -> tuple[str, ...]:
    """Commands for here and for the other machine; none where there is no ONNX model."""
    if not can_be_bundled(report):
        return ()
    return (
        "# here, where DIR is the folder of this report",
        "eightbit bundle DIR --out model.zip",
        "# on the other machine",
        f"pip install {' '.join(_pins(report))}",
        "python model.zip photo.jpg",
    )


def _pins(report: Report) -> Iterator[str]:
    """The packages, in the versions in which the model was tried, where they are known."""
    where = (report.edge.environment if report.edge else None) or report.environment
    for name in _PACKAGES:
        number = where.versions.get(name, "")
        yield f"{name}=={number}" if _NUMBER.fullmatch(number) else name


def edge_tables(report: Report) -> Iterator[Table]:
    """The archive and how fast it starts, then its self-test on other machines."""
    edge = report.edge
    if edge is None:
        return
    rows = tuple(_archive(edge))
    if rows:
        yield facts("The bundle to deploy", rows, note=_note(edge))
    if edge.elsewhere:
        yield _elsewhere(report, edge)


def _archive(edge: EdgeSection) -> Iterator[tuple[str, str]]:
    if edge.bundle_bytes is not None:
        yield "size", decimal_bytes(edge.bundle_bytes)
    start = edge.cold_start
    if start is not None:
        yield "start to first label", f"{start.seconds:.2f} s"
        yield "against a bare script", f"{times(start.ratio, start.ratio_ci95)} of its time"
        yield "memory", decimal_bytes(start.peak_rss_bytes)
        more = start.peak_rss_bytes / start.bare_peak_rss_bytes
        yield "memory against a bare script", times(more)
    if edge.bundle_sha256 is not None:
        yield "SHA-256", edge.bundle_sha256


def _note(edge: EdgeSection) -> str:
    note = "" if edge.cold_start is None else _how(edge.cold_start)
    if edge.environment is not None:
        note += f" Measured on {edge.environment.summary()}."
    return note.lstrip()


def _how(start: ColdStart) -> str:
    return (
        "start: of a process, Python included, until the class of a photo is printed and the "
        f"process has ended; the bare script ({start.bare_seconds:.2f} s, "
        f"{decimal_bytes(start.bare_peak_rss_bytes)}) does the same in ONNX Runtime without a "
        f"check; {start.launches} launches of each in turns, 95 % interval of the ratio."
    )


def _elsewhere(report: Report, edge: EdgeSection) -> Table:
    """Each machine with its distance to the reference integers, or to ONNX Runtime here."""
    rows = []
    for entry in edge.elsewhere:
        others = (REFERENCE, Execution(runtime=ONNX.runtime).name)
        pairs = (pair_name(*pair) for other in others for pair in permutations((entry.name, other)))
        result = next((report.parity[pair] for pair in pairs if pair in report.parity), None)
        versions = ", ".join(f"{name} {number}" for name, number in entry.versions.items())
        rows.append(
            (
                entry.name,
                ", ".join(filter(None, (entry.machine, entry.processor))),
                versions or NOTHING,
                "the same" if entry.same_pixels else "others",
                NOTHING if result is None else str(result.max_lsb),
            )
        )
    return Table(
        title="The bundle's self-test on other machines",
        columns=("execution", "machine", "versions", "pixels", "last bits"),
        rows=tuple(rows),
        text_columns=4,
        note="pixels: after decoding and resizing there; last bits: the largest difference of a "
        "logit.",
    )
