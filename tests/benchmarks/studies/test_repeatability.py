"""Two synthetic runs: what agrees and what does not is told apart."""

from contextlib import nullcontext

import pytest
import typer

from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.benchmarks.studies import repeatability
from eightbit.benchmarks.studies.repeatability import markdown, pairs


def run_of(report, *speedups, busy=0.01):
    """A run in which the two INT8 models have these speedups and intervals."""
    known = iter(speedups)
    latency = tuple(
        entry
        if entry.precision == "fp32"
        else entry.model_copy(
            update=dict(zip(("speedup", "speedup_ci95"), next(known), strict=True))
        )
        for entry in report.latency[:4]  # of batch 1
    )
    section = BenchmarkSection(products_per_image=1000, launches=5, rounds=8, busy_fraction=busy)
    return report.model_copy(update={"latency": latency, "benchmark": section})


def test_agreement_is_told_in_two_degrees(full_report):
    first = run_of(full_report, (3.0, (2.9, 3.1)), (2.0, (1.9, 2.1)))
    second = run_of(full_report, (3.05, (2.95, 3.15)), (2.15, (2.05, 2.25)))
    both, apart = pairs(first, second)
    assert (both.overlap, both.within) == (True, True)
    assert (apart.overlap, apart.within) == (True, False)


def test_disjoint_intervals_do_not_agree_whichever_comes_first(full_report):
    low = run_of(full_report, (3.0, (2.9, 3.1)), (2.0, (1.9, 2.1)))
    high = run_of(full_report, (4.0, (3.9, 4.1)), (2.0, (1.9, 2.1)))
    for first, second in ((low, high), (high, low)):
        apart, both = pairs(first, second)
        assert (apart.overlap, apart.within) == (False, False)
        assert (both.overlap, both.within) == (True, True)


def test_one_sided_agreement_is_not_within(full_report):
    wide = run_of(full_report, (3.0, (1.0, 9.0)), (2.0, (1.9, 2.1)))
    narrow = run_of(full_report, (4.0, (3.9, 4.1)), (2.0, (1.9, 2.1)))
    assert [pair.within for pair in pairs(wide, narrow)] == [False, True]
    assert [pair.within for pair in pairs(narrow, wide)] == [False, True]


def test_the_table_says_it(full_report):
    first = run_of(full_report, (3.0, (2.9, 3.1)), (2.0, (1.9, 2.1)))
    second = run_of(full_report, (3.5, (3.4, 3.6)), (2.0, (1.9, 2.1)), busy=0.25)
    text = markdown(first, second, "the command")
    assert "1 of 2 pairs of intervals overlap; in 1 each" in text
    assert "Other programs took 1.0 % and 25.0 % of the processor." in text
    assert (
        "| model.int8.onnx | onnxruntime | 2 | 1 | 3.00x [2.90, 3.10] | 3.50x [3.40, 3.60] "
        "| NO | NO |" in text
    )


@pytest.mark.parametrize(
    ("again", "code"), [((3.05, (2.95, 3.15)), 0), ((3.5, (3.4, 3.6)), 1)], ids=["agree", "apart"]
)
def test_intervals_that_do_not_overlap_fail_and_are_written_all_the_same(
    full_report, monkeypatch, tmp_path, again, code
):
    runs = iter(run_of(full_report, one, (2.0, (1.9, 2.1))) for one in ((3.0, (2.9, 3.1)), again))
    monkeypatch.setattr(repeatability, "_benchmark", lambda *_: next(runs))
    out = tmp_path / "runs.md"
    with pytest.raises(typer.Exit) if code else nullcontext():
        repeatability.main(tmp_path, out, [2])
    assert "pairs of intervals overlap" in out.read_text(encoding="utf-8")


def test_runs_of_different_models_are_refused(full_report):
    first = run_of(full_report, (3.0, (2.9, 3.1)), (2.0, (1.9, 2.1)))
    second = first.model_copy(update={"latency": first.latency[:2]})
    with pytest.raises(ValueError, match=r"same models in both runs, found .*model\.int8\.pt"):
        list(pairs(first, second))
