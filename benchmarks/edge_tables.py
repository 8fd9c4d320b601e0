"""The bundle to deploy, as tables: what it takes, and what it answered elsewhere."""

import re
from collections.abc import Iterator
from itertools import permutations
from typing import Final

from eightbit.benchmarks.accuracy.parity import REFERENCE, pair_name
from eightbit.benchmarks.artifact.artifact import Runtime
from eightbit.benchmarks.artifact.formats import DELIVERED
from eightbit.benchmarks.report.deployment import ColdStart, EdgeSection
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import NOTHING, Table, decimal_bytes, times
from eightbit.benchmarks.runtimes.execution import Execution

_PACKAGES: Final = ("onnxruntime", "numpy", "pillow")
_NUMBER: Final = re.compile(r"[0-9A-Za-z.]+")  # the commands are copied into a shell


def can_be_bundled(report: Report) -> bool:
    """Whether the run wrote what a bundle is made of."""
    onnx = next(format for format in DELIVERED if format.key == "onnx")
    return any(name.endswith(onnx.suffix) for name in report.size_bytes)


def deploy_commands(report: Report) -> tuple[str, ...]:
    """What to type here, and then on the other machine; none where there is no ONNX model."""
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
    known = where.versions if where else {}
    for name in _PACKAGES:
        number = known.get(name, "")
        yield f"{name}=={number}" if _NUMBER.fullmatch(number) else name


def edge_tables(report: Report) -> Iterator[Table]:
    """The archive and how fast it starts, then its self-test on other machines."""
    edge = report.edge
    if edge is None:
        return
    rows = tuple(_archive(edge))
    if rows:
        yield Table(
            title="The bundle to deploy",
            columns=("what", "value"),
            rows=rows,
            text_columns=2,
            note=_note(edge),
            sorts=False,
        )
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
        others = (REFERENCE, Execution(runtime=Runtime.ONNXRUNTIME).name)
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
