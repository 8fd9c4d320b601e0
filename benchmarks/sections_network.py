"""The sections of the report's page about what happens inside the network."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from eightbit.benchmarks.accuracy.parity import parity_table
from eightbit.benchmarks.chart_convergence import convergence_chart
from eightbit.benchmarks.report.charts.network import distribution_charts, sqnr_chart
from eightbit.benchmarks.report.diagnosis import diagnosis_table
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.pages.parity_grid import parity_grid
from eightbit.benchmarks.report.pages.sections import Section, row
from eightbit.benchmarks.report.tables.results import coverage_table, verification_table

_QUANTIZE: Final = "eightbit quantize MODEL --calibrate SRC --out DIR"
_VERIFY: Final = "eightbit verify DIR --images SRC"


def network_sections(report: Report) -> Iterator[Section]:
    """Noise by layer, distributions, convergence, parity, coverage, verification."""
    yield _layers(report)
    yield Section(
        id="distributions",
        title="Values and weights of the worst tensors",
        lead="What the chosen ranges (blue) cover and what they leave out; counts are on a "
        "logarithmic scale.",
        charts=tuple(
            columns
            for charts in distribution_charts(report.diagnosis)
            for columns in row(*([chart] for chart in charts))
        ),
        nothing="Not measured: histograms need images, which a run with calibration has.",
        command=_QUANTIZE,
    )
    yield _convergence(report)
    yield Section(
        id="parity",
        title="Parity",
        lead="Whether the artefacts compute the same integers however they are executed.",
        grid=parity_grid(report.parity),
        tables=(parity_table(report.parity, report.executions, report.edge),)
        if report.parity
        else (),
        nothing="Not measured: no images were given.",
        command=_VERIFY,
    )
    yield Section(
        id="coverage",
        title="Coverage",
        lead="Which operators compute in integers, counted in the ONNX graph as ONNX Runtime "
        "optimises it.",
        tables=(coverage_table(report.coverage),) if report.coverage else (),
        nothing="Not measured: no ONNX artefact was written.",
        command="eightbit quantize MODEL --calibrate SRC --formats onnx --out DIR",
    )
    yield Section(
        id="verification",
        title="Verification",
        lead="Whether the artefacts are what the recipe says.",
        tables=(verification_table(report.verification),) if report.verification else (),
        nothing="Not verified: no images were given.",
        command=_VERIFY,
    )


def _layers(report: Report) -> Section:
    tensors = report.diagnosis
    table = diagnosis_table(tensors, rows=len(tensors)) if tensors else None
    return Section(
        id="layers",
        title="Noise, tensor by tensor",
        lead="Where quantization hurts: a tensor that is low alone needs another range or float; "
        "one that is only low accumulated inherited it.",
        charts=row([sqnr_chart(tensors)]) if tensors else (),
        folded=replace(table, title=f"All {len(tensors)} tensors, worst first") if table else None,
        nothing="Not measured: no images were given.",
        command=_QUANTIZE,
    )


def _convergence(report: Report) -> Section:
    calibration = report.calibration
    chart = convergence_chart(calibration)
    sentences: tuple[str, ...] = ()
    if calibration is None:
        nothing = "Nothing was calibrated: the integers came from a recipe."
    elif calibration.images < 64:
        nothing = "Too few images to compare two checkpoints of 32."
    else:
        nothing = "Not recorded by the version that calibrated."
    if chart is not None and calibration is not None and calibration.settled is not None:
        settled = "settled" if calibration.settled else "had not settled"
        sentences = (f"The ranges {settled} after {calibration.images:,} images.",)
    return Section(
        id="convergence",
        title="Convergence of the calibration",
        lead="Whether more calibration images would have changed the ranges.",
        sentences=sentences,
        charts=row([chart]),
        nothing=nothing,
        command="" if calibration is None else f"{_QUANTIZE} --samples auto",
    )
