"""The tables of a benchmark: what they say, and what they leave out of reports that know less."""

import re

import pytest
from rich.console import Console

from eightbit.benchmarks.artifact.formats import ONNX, Precision
from eightbit.benchmarks.latency.sections import BenchmarkSection, MachineLimit, WholePath
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.report.pages.terminal import render_table, render_terminal
from eightbit.benchmarks.report.tables.cost import latency_tables, serving_tables, whole_path_tables


@pytest.fixture
def section():
    return BenchmarkSection(
        products_per_image=1_814_000_000,
        limits=tuple(
            MachineLimit(precision=precision, threads=2, products_per_s=rate, library="torch")
            for precision, rate in ((Precision.FP32, 1.02e11), (Precision.INT8, 4.05e11))
        ),
        whole_path=(
            WholePath(
                runtime=ONNX.runtime,
                artifact="model.int8.onnx",
                threads=2,
                photo="synthetic JPEG, 500 x 375 pixels",
                n=20,
                decode_ms=3.21,
                resize_ms=1.54,
                normalise_ms=0.43,
                infer_ms=10.1,
                total_ms=15.3,
            ),
        ),
        launches=5,
        rounds=8,
        busy_fraction=0.011,
    )


@pytest.fixture
def latency(full_report):
    """As a benchmark leaves it: two runtimes with their baselines."""
    return full_report.latency[:4]


def rows(table):
    return {row[0]: row[1:] for row in table.rows}


def test_times_stand_beside_the_speedup_with_its_interval(latency, section):
    times, _ = latency_tables(latency, section)
    assert times.title == "Latency in ms (batch 1, 2 threads)"
    assert rows(times)["model.int8.onnx"] == (
        *("onnxruntime", "10.0", "11.0", "15.0"),
        "3.05x [2.94, 3.16]",
    )
    assert rows(times)["model.fp32.onnx"][-1] == "baseline"
    assert "95 % interval from 5 launches" in times.note
    assert "at least 100 calls each" in times.note
    assert "Warning" not in times.note


def test_a_busy_machine_is_named(latency, section):
    busy = section.model_copy(update={"busy_fraction": 0.256})
    times, _ = latency_tables(latency, busy)
    assert "other programs took 25.6 % of the processor" in times.note


def test_what_could_not_be_measured_is_named_under_its_conditions(latency, section):
    failed = {
        "model.int8.onnx in openvino (batch 1, 2 threads)": "no such plugin.",
        "model.int8.onnx in openvino (batch 8, 2 threads)": "elsewhere",
        "limit (2 threads)": "torch: was ended by SIGILL",
    }
    times, demands = latency_tables(
        latency, section.model_copy(update={"not_measured": failed, "limits": ()})
    )
    assert times.note.endswith(
        "calls each. Not measured: model.int8.onnx in openvino (batch 1, 2 threads): "
        "no such plugin."
    )
    assert demands.note.endswith(
        "that process needed. Not measured: limit (2 threads): torch: was ended by SIGILL."
    )


def test_what_each_model_takes_stands_in_a_second_table(latency, section):
    _, demands = latency_tables(latency, section)
    assert demands.columns == ("artifact", "runtime", "img/s", "of limit", "load", "memory")
    assert rows(demands)["model.int8.onnx"] == (
        *("onnxruntime", "100", "61 %", "1.10 s"),
        "200.0 MB",
    )
    assert "1,814 M multiplications" in demands.note
    assert "405 G/s in int8 on 2 threads (torch)" in demands.note


def test_under_several_conditions_the_second_table_tells_them_apart(latency, section):
    other = tuple(entry.model_copy(update={"threads": 1}) for entry in latency)
    *times, demands = latency_tables((*latency, *other), section)
    assert [table.title for table in times] == [
        "Latency in ms (batch 1, 2 threads)",
        "Latency in ms (batch 1, 1 thread)",
    ]
    assert demands.columns[2:4] == ("batch", "threads")
    assert [row[2:4] for row in demands.rows] == [("1", "2")] * 4 + [("1", "1")] * 4


def test_the_whole_path_is_split(section):
    (table,) = whole_path_tables(section)
    assert table.rows == (
        ("model.int8.onnx", "onnxruntime", "2", "3.21", "1.54", "0.43", "10.1", "15.3"),
    )
    assert table.note.startswith("Synthetic JPEG, 500 x 375 pixels; medians")


def test_the_setting_with_the_most_images_a_second_is_named(full_report):
    section = full_report.benchmark
    (table,) = serving_tables(section)
    assert [row[2:5] for row in table.rows] == [
        *(("1 x 2", "1", "100"), ("1 x 2", "8", "150"), ("1 x 2", "32", "150")),
        *(("2 x 1", "1", "200"), ("2 x 1", "8", "300"), ("2 x 1", "32", "300")),
    ]
    assert table.note.startswith(
        "Most: model.int8.onnx in onnxruntime, 2 sessions of 1 thread, batch 8: 3.00x of one "
        "session with batch 1. "
    )
    last = section.model_copy(update={"serving": section.serving[-1:]})
    assert ", batch 32. sessions:" in next(serving_tables(last)).note
    assert not list(serving_tables(section.model_copy(update={"serving": ()})))


def test_what_was_not_measured_is_left_out(latency, section):
    once = {"launches": 1, "speedup_ci95": None, "limit_fraction": None}
    brief = [entry.model_copy(update=once) for entry in latency]
    times, demands = latency_tables(brief, section.model_copy(update={"limits": ()}))
    assert rows(times)["model.int8.onnx"][-1] == "3.05x"
    assert "interval" not in times.note
    assert rows(demands)["model.int8.onnx"][2] == "-"
    assert "of limit:" not in demands.note
    assert list(whole_path_tables(section.model_copy(update={"whole_path": ()}))) == []
    assert list(latency_tables((), section)) == []


@pytest.mark.parametrize("busy", [0.0, 0.5])
def test_the_terminal_breaks_no_number_at_80_columns(full_report, latency, section, busy):
    long = latency[2].model_copy(update={"artifact": "float TorchScript, fused"})
    section = section.model_copy(update={"busy_fraction": busy})
    tables = [*latency_tables((*latency[:2], long, latency[3]), section)]
    tables += whole_path_tables(section)
    tables += serving_tables(full_report.benchmark)
    for table, last in zip(tables, ("baseline", "200.0 MB", "15.3", "240.0 MB"), strict=True):
        console = Console(width=80, record=True, file=None, quiet=False)
        with console.capture() as captured:
            console.print(render_table(table))
        lines = captured.get().splitlines()
        assert max(map(len, lines)) <= 80
        named = [line for line in lines if line.startswith(("float TorchScript, f", "model.int8"))]
        assert named
        assert all(len(re.findall(r"\S+", line)) >= 6 for line in named)
        assert any(line.rstrip().endswith(last) for line in lines)


def test_both_renderings_have_them(full_report, latency, section):
    report = full_report.model_copy(update={"latency": latency, "benchmark": section})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(render_terminal(report))
    for text in (captured.get(), render_markdown(report)):
        assert "From photo to class in ms" in text
        assert "Throughput, loading and memory" in text
        assert "3.05x" in text
