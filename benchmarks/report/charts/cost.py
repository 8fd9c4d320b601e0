"""Pictures of the time that a call takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from eightbit.benchmarks.artifact.formats import FORMATS, Precision
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import WholePath
from eightbit.benchmarks.report.charts.rows import (
    Row,
    described,
    draw_bars,
    draw_intervals,
    draw_line,
    draw_spans,
    log_ticks,
    row_tips,
    rows_figure,
)
from eightbit.benchmarks.report.charts.svg import COLOURS, Chart, chart
from eightbit.benchmarks.report.figures import decimal_bytes, milliseconds
from eightbit.models.plain_text import counted

_STEPS: Final = ("decode", "resize", "normalise", "infer")
_STEP_COLOURS: Final = ("float", "third", "fourth", "int8")


def latency_charts(results: Sequence[LatencyResult]) -> Iterator[tuple[Chart, ...]]:
    """For every batch size and number of threads the times, and how many times faster INT8 is."""
    conditions = dict.fromkeys((result.batch, result.threads) for result in results)
    for number, (batch, threads) in enumerate(conditions):
        under = f"batch {batch}, {counted(threads, 'thread')}"
        entries = [entry for entry in results if (entry.batch, entry.threads) == (batch, threads)]
        charts = [_times(entries, f"latency-{number}", under)]
        if any(entry.speedup is not None for entry in entries):
            charts.append(_speedups(entries, f"speedup-{number}", under))
        yield tuple(charts)


def whole_path_chart(paths: Sequence[WholePath]) -> Chart | None:
    """From the bytes of a photo to its class, step by step; None where it was not measured."""
    if not paths:
        return None
    rows = []
    for path in paths:
        steps = (path.decode_ms, path.resize_ms, path.normalise_ms, path.infer_ms)
        rows.append(
            Row(
                name=f"{path.artifact}, {path.runtime.name}, {counted(path.threads, 'thread')}",
                text=f"{milliseconds(path.total_ms)} ms",
                colour="int8",
                ends=tuple(sum(steps[: end + 1]) for end in range(len(steps))),
            )
        )
    tips = {
        f"bar-{y}-{part}": [f"{step}: {milliseconds(end - start)} ms of {row.text}"]
        for y, row in enumerate(rows)
        for part, (step, start, end) in enumerate(
            zip(_STEPS, (0.0, *row.ends), row.ends, strict=False)
        )
    }
    with rows_figure(rows, legend=True) as drawn:
        axes = drawn.subplots()
        draw_bars(axes, rows, _STEP_COLOURS)
        axes.set_xlabel("ms per image, median")
        for step, colour in zip(_STEPS, _STEP_COLOURS, strict=True):
            axes.bar([0], [0], color=COLOURS[colour], label=step)
        drawn.legend(loc="outside lower left", ncols=len(_STEPS), handlelength=1)
        return chart(
            drawn,
            id="whole-path",
            title="From the bytes of a photo to its class",
            caption=f"{paths[0].photo}; decoding has one thread.",
            description="; ".join(
                f"{path.artifact}: decode {milliseconds(path.decode_ms)}, resize "
                f"{milliseconds(path.resize_ms)}, normalise {milliseconds(path.normalise_ms)}, "
                f"infer {milliseconds(path.infer_ms)} ms"
                for path in paths
            )
            + ".",
            tips=tips,
        )


def _name(entry: LatencyResult) -> str:
    return f"{entry.artifact}, {entry.runtime.name}"


def _times(entries: Sequence[LatencyResult], id: str, under: str) -> Chart:
    rows = [
        Row(
            name=_name(entry),
            text=f"{milliseconds(entry.p50_ms)} ms",
            colour="int8" if entry.precision is Precision.INT8 else "float",
            ends=(entry.p50_ms,),
            interval=(entry.p50_ms, max(entry.p50_ms, entry.p90_ms)),
            mark=None if entry.limit_fraction is None else entry.p50_ms * entry.limit_fraction,
        )
        for entry in entries
    ]
    has_limit = any(row.mark is not None for row in rows)
    with rows_figure(rows) as drawn:
        axes = drawn.subplots()
        draw_spans(axes, rows)
        axes.set_xlabel("ms per call, equal distances are equal ratios")
        return chart(
            drawn,
            id=id,
            title=f"Latency ({under})",
            caption="Dot: median; thin line: to the 90th percentile; blue: INT8, grey: float."
            + " Orange: the limit, this machine's fastest matrix product." * has_limit,
            description=described(rows),
            tips={
                f"dot-{y}": [
                    "{}: p50 {}, p90 {}, p99 {} ms".format(
                        row.name, *map(milliseconds, (entry.p50_ms, entry.p90_ms, entry.p99_ms))
                    )
                ]
                for y, (row, entry) in enumerate(zip(rows, entries, strict=True))
            },
        )


def _speedups(entries: Sequence[LatencyResult], id: str, under: str) -> Chart:
    rows = []
    for entry in entries:
        if entry.speedup is not None:
            text = f"{entry.speedup:.2f}x"
            if entry.speedup_ci95 is not None:
                text += " [{:.2f}, {:.2f}]".format(*entry.speedup_ci95)
            colour = "int8" if entry.precision is Precision.INT8 else "float"
            rows.append(
                Row(
                    name=_name(entry),
                    text=text,
                    colour=colour,
                    ends=(entry.speedup,),
                    interval=entry.speedup_ci95,
                )
            )
    with rows_figure(rows) as drawn:
        axes = drawn.subplots()
        draw_intervals(axes, rows)
        draw_line(axes, 1, "best float of the runtime")
        ends = [end for row in rows for end in (*row.ends, *(row.interval or ()))]
        low, high = 0.85 * min(1.0, *ends), 1.1 * max(1.0, *ends)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        log_ticks(axes.xaxis, low, high)
        axes.set_xlabel("times as fast")
        return chart(
            drawn,
            id=id,
            title=f"Speedup with its 95 % interval ({under})",
            caption="Against the fastest float model of the same runtime, in the same run.",
            description=described(rows),
            tips=row_tips(rows),
        )


_MODELS: Final = tuple(format.suffix for format in FORMATS.values())


def size_chart(size_bytes: Mapping[str, int]) -> Chart | None:
    """A bar per model file; None where there is no model."""
    rows = [
        Row(
            name=name,
            text=decimal_bytes(size),
            colour="float" if f".{Precision.FP32}." in name else "int8",
            ends=(size / 1e6,),
        )
        for name, size in size_bytes.items()
        if name.endswith(_MODELS)
    ]
    if not rows:
        return None
    with rows_figure(rows) as drawn:
        axes = drawn.subplots()
        draw_bars(axes, rows)
        axes.set_xlabel("MB")
        return chart(
            drawn,
            id="size",
            title="Size of the model files",
            caption="Blue: INT8, grey: float.",
            description=described(rows),
            tips=row_tips(rows, "bar-{}-0"),
        )
