"""A picture of how large the models are."""

from collections.abc import Mapping
from typing import Final

from eightbit.benchmarks.report.charts.rows import Row, draw_bars, rows_figure
from eightbit.benchmarks.report.charts.svg import chart
from eightbit.benchmarks.report.figures import decimal_bytes
from eightbit.benchmarks.report.pages.page import Chart

_MODELS: Final = (".onnx", ".pt")


def size_chart(size_bytes: Mapping[str, int]) -> Chart | None:
    """A bar per model file; None where there is no model."""
    rows = [
        Row(
            name=name,
            text=decimal_bytes(size),
            colour="float" if ".fp32." in name else "int8",
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
            description="; ".join(f"{row.name}: {row.text}" for row in rows) + ".",
            tips={f"bar-{y}-0": [f"{row.name}: {row.text}"] for y, row in enumerate(rows)},
        )
