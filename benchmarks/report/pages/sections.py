"""A section of the report's page: what it is about, and what it shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from eightbit.benchmarks.report.charts.accuracy import (
    classes_charts,
    drop_chart,
    fallback_chart,
    reliability_chart,
)
from eightbit.benchmarks.report.charts.cost import latency_charts, size_chart, whole_path_chart
from eightbit.benchmarks.report.charts.network import (
    convergence_chart,
    distribution_charts,
    sqnr_chart,
)
from eightbit.benchmarks.report.charts.svg import Chart
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import Table
from eightbit.benchmarks.report.pages.gallery import Gallery, gallery
from eightbit.benchmarks.report.pages.parity_grid import ParityGrid, parity_grid
from eightbit.benchmarks.report.shipping import why_not_evaluated
from eightbit.benchmarks.report.tables.accuracy import accuracy_tables, fallback_table
from eightbit.benchmarks.report.tables.cost import (
    decoding_tables,
    deploy_commands,
    edge_tables,
    latency_tables,
    serving_tables,
    whole_path_tables,
)
from eightbit.benchmarks.report.tables.multi_label import multi_label_tables
from eightbit.benchmarks.report.tables.network import (
    choices_tables,
    diagnosis_table,
    others_table,
    parity_table,
)
from eightbit.benchmarks.report.tables.results import (
    coverage_table,
    fidelity_tables,
    images_table,
    size_table,
    verification_table,
)
from eightbit.benchmarks.report.tables.run import (
    environment_tables,
    origin_tables,
    skipped_tables,
)
from eightbit.models.spec import Task

_NARROW: Final = 3

Row = tuple[tuple[Chart, ...], ...]
"""Columns of charts beside each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section; what it does not have is not shown.

    Attributes:
        id: Its anchor on the page.
        lead: One sentence that says what it shows.
        charts: Rows of columns of charts, none of them empty. A wide one is alone.
        folded: A table that is collapsed at first.
        nothing: The sentence in place of an empty section.
        command: The command line that measures it.
    """

    id: str
    title: str
    lead: str
    sentences: tuple[str, ...] = ()
    charts: tuple[Row, ...] = ()
    grid: ParityGrid | None = None
    gallery: Gallery | None = None
    tables: tuple[Table, ...] = ()
    folded: Table | None = None
    code: tuple[str, ...] = ()
    nothing: str = ""
    command: str = ""

    @property
    def beside(self) -> tuple[Table, ...]:
        """Narrow tables, which have room beside a single picture."""
        if len(self.charts) != 1 or len(self.charts[0]) != 1 or self.charts[0][0][0].wide:
            return ()
        return tuple(table for table in self.tables if len(table.columns) <= _NARROW)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        shown = (self.sentences, self.charts, self.grid, self.gallery, self.tables, self.code)
        return not any(shown) and self.folded is None


def row(*columns: Iterable[Chart | None]) -> tuple[Row, ...]:
    """One row of those columns that hold a chart; none where no column does."""
    found = (tuple(chart for chart in column if chart is not None) for column in columns)
    filled = tuple(column for column in found if column)
    return (filled,) if filled else ()


def beside_each_other(charts: Iterable[Iterable[Chart]]) -> tuple[Row, ...]:
    """One row for the charts of each kind, every chart in a column of its own."""
    return tuple(tuple((chart,) for chart in alike) for alike in charts)


EVALUATE: Final = "eightbit evaluate DIR --data SRC"


def accuracy_sections(report: Report) -> Iterator[Section]:
    """Accuracy, classes and confidence, layers in float, flips, fidelity."""
    task = report.model.spec.task
    unmeasured = f"Not measured: {why_not_evaluated(report)}."
    if task is Task.MULTI_LABEL:
        yield _ranking(report, unmeasured)
    elif task is not Task.REGRESSION:
        yield _right_answers(report, unmeasured)
    if report.fallback is not None:
        yield Section(
            id="fallback",
            title="Layers in float",
            lead="What was left in float to keep the drop within its target, and what it cost.",
            charts=row([fallback_chart(report.fallback, task.metric)]),
            tables=(fallback_table(report.fallback),),
        )
    if task is not Task.REGRESSION:
        yield Section(
            id="flips",
            title="Images on which a decision changed"
            if task is Task.MULTI_LABEL
            else "Images whose class changed",
            lead="Look at them: are they images on which either answer would do?",
            gallery=gallery(report),
            nothing=_UNCHANGED[task] if report.drops else unmeasured,
            command="" if report.drops else EVALUATE,
        )
    yield Section(
        id="fidelity",
        title="Fidelity of the numbers" if task is Task.REGRESSION else "Fidelity of the logits",
        lead="How close the outputs are to the float model's; labels are not needed.",
        tables=tuple(fidelity_tables(report.fidelity)) if report.fidelity else (),
        nothing=unmeasured,
        command=EVALUATE,
    )


_UNCHANGED: Final = {
    Task.SINGLE_LABEL: "No image changed its class.",
    Task.BINARY: "No image changed its class.",
    Task.MULTI_LABEL: "No decision changed.",
}


def _right_answers(report: Report, unmeasured: str) -> Section:
    """Of a classifier that names one class."""
    accuracy, spec = report.accuracy, report.model.spec
    labels, metric = spec.labels, spec.task.metric
    return Section(
        id="accuracy",
        title="Accuracy",
        lead="How often each model is right, and what quantization changed"
        f"{', image by image' if accuracy else ''}.",
        charts=row(
            [drop_chart(accuracy, report.max_drop_pp, metric), reliability_chart(accuracy)],
            classes_charts(accuracy, labels, metric),
        )
        if accuracy
        else (),
        tables=tuple(accuracy_tables(accuracy, labels, report.plausibility, metric))
        if accuracy
        else (),
        nothing=unmeasured,
        command=EVALUATE,
    )


def _ranking(report: Report, unmeasured: str) -> Section:
    """Of a multi-label classifier."""
    section, spec = report.multi_label, report.model.spec
    return Section(
        id="accuracy",
        title="Accuracy",
        lead="How well each model ranks the images of a class, and which decisions changed.",
        charts=row([drop_chart(section, report.max_drop_pp, spec.task.metric)]) if section else (),
        tables=tuple(multi_label_tables(section, spec.labels)) if section else (),
        nothing=unmeasured,
        command=EVALUATE,
    )


BENCHMARK: Final = "eightbit benchmark DIR"


def cost_sections(report: Report) -> Iterator[Section]:
    """Latency, the whole path, size."""
    benchmark = report.benchmark
    yield Section(
        id="latency",
        title="Latency",
        lead="How long one call takes, and how many times faster INT8 is than the best float model "
        "of the same runtime.",
        charts=beside_each_other(latency_charts(report.latency)),
        tables=tuple(latency_tables(report.latency, benchmark)) if benchmark else (),
        nothing="Not measured.",
        command=BENCHMARK,
    )
    yield Section(
        id="whole-path",
        title="From photo to class",
        lead="What a user waits for: decoding, resizing and normalising the photo, then the model.",
        charts=row([whole_path_chart(benchmark.whole_path)]) if benchmark else (),
        tables=(
            *(whole_path_tables(benchmark) if benchmark else ()),
            *decoding_tables(report),
        ),
        nothing="Not measured.",
        command=BENCHMARK,
    )
    yield Section(
        id="serving",
        title="Serving many",
        lead="How many images a second the machine answers: one session on all cores, or several "
        "at the same time, one image a call or more.",
        tables=tuple(serving_tables(benchmark)) if benchmark else (),
        nothing="Not measured.",
        command=BENCHMARK,
    )
    yield Section(
        id="size",
        title="Size",
        lead="What has to be stored and sent.",
        charts=row([size_chart(report.size_bytes)]),
        tables=(size_table(report),) if report.size_bytes else (),
        nothing="Not measured: no bundle was written.",
    )


def edge_sections(report: Report) -> Iterator[Section]:
    """How to classify a photo on a machine without torch."""
    yield Section(
        id="deploy",
        title="Deploy",
        lead="To classify photos on a machine without torch, copy model.zip there: it holds the "
        "INT8 ONNX model, a program that runs it, and a self-test, which says whether other "
        "versions of the packages will do as well: python model.zip --self-test.",
        code=deploy_commands(report),
        tables=tuple(edge_tables(report)),
        nothing="The model was not written as ONNX.",
    )


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
        charts=beside_each_other(distribution_charts(report.diagnosis)),
        nothing="Not measured: histograms need images, which a run with calibration has.",
        command=_QUANTIZE,
    )
    yield _choices(report)
    yield _convergence(report)
    yield Section(
        id="parity",
        title="Parity",
        lead="Whether the artefacts compute the same integers however they are executed.",
        grid=parity_grid(report.parity),
        tables=tuple(_parity_tables(report)),
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
    chart = convergence_chart(calibration) if calibration else None
    said = "Nothing was calibrated: the integers came from a recipe."
    if calibration:
        said = calibration.would_more_pay
    return Section(
        id="convergence",
        title="Convergence of the calibration",
        lead="Whether more calibration images would have changed the ranges.",
        sentences=(said,) if chart else (),
        charts=row([chart]),
        nothing=said,
        command=f"{_QUANTIZE} --samples auto" if calibration else "",
    )


def _choices(report: Report) -> Section:
    choices = report.choices
    tables = tuple(choices_tables(choices))
    nothing = "Nothing was left open: methods and stages were given."
    if choices is None:
        nothing = "Nothing was chosen: the integers came from a recipe."
    return Section(
        id="choices",
        title="What was tried",
        lead="Ranges and roundings are those with which the quantized network answers most like "
        "float.",
        tables=tables,
        nothing=nothing,
        command="" if choices is None else _QUANTIZE,
    )


def run_sections(report: Report) -> Iterator[Section]:
    """Images, environment, how to get this report again."""
    calibration, evaluation = report.calibration, report.evaluation
    images = (images_table(calibration, evaluation),) if calibration or evaluation else ()
    yield Section(
        id="images",
        title="Images",
        lead="Which images set the ranges, and on which accuracy was measured.",
        tables=(*images, *skipped_tables(report)),
        nothing="No images were used.",
    )
    yield Section(
        id="environment",
        title="Environment",
        lead="Where this was measured: times and last bits depend on it.",
        tables=tuple(environment_tables(report)),
    )
    yield Section(
        id="reproduce",
        title="Reproduce",
        lead="What gives this report again, in this order.",
        code=report.commands,
        tables=tuple(origin_tables(report)),
    )


def _parity_tables(report: Report) -> Iterator[Table]:
    if report.parity:
        yield parity_table(report.parity, report.executions, report.edge)
    if (beside := others_table(report.executions)) is not None:
        yield beside
