"""Several reports side by side, and the picture of accuracy against latency."""

import pytest
from tests.synthetic_reports.answers import accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import ENVIRONMENT, evaluation, synthetic_report

from eightbit.benchmarks.comparison.comparison import Conditions, common_conditions, compare_reports
from eightbit.benchmarks.comparison.pareto import pareto_picture
from eightbit.benchmarks.comparison.tables import (
    accuracy_table,
    against_first_table,
    comparison_tables,
    environments_table,
    overview_table,
    parity_summary,
    settings_table,
    speed_table,
)
from eightbit.benchmarks.report.document import ModelSection
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture, ModelSpec


def compared(**reports):
    return compare_reports({"first": synthetic_report(), **reports})


def rows_of(table):
    return {row[:2]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def test_one_report_has_nothing_beside_it():
    with pytest.raises(InputError, match="at least two"):
        compare_reports({"only": synthetic_report()})


def test_each_artefact_has_a_row_with_its_own_numbers():
    worse = synthetic_report(
        accuracy=accuracy(answers(range(60))), latency=latencies(2.0, (1.9, 2.1), int8_ms=4.0)
    )

    rows = rows_of(overview_table(compared(worse=worse)))

    assert list(rows) == [("first", "ONNX"), ("worse", "ONNX")]
    row = rows["worse", "ONNX"]
    assert row["top-1"] == "78.50 %"
    assert row["float"] == "80.00 %"
    assert row["drop [95 %]"].startswith("1.50 pp [")
    assert row["agree"] == "98.50 %"
    assert row["p50"] == "4.00"
    assert row["speedup [95 %]"] == "2.00x [1.90, 2.10]"
    assert row["size"] == "1.0 MB"
    assert row["SQNR"] == "30.0 dB"
    assert rows["first", "ONNX"]["speedup [95 %]"] == "3.00x [2.80, 3.20]"


def test_the_tables_of_a_terminal_say_the_same_in_pieces():
    comparison = compared(second=synthetic_report())
    overview = overview_table(comparison)
    pieces = {**rows_of(accuracy_table(comparison))["first", "ONNX"]}
    pieces |= rows_of(speed_table(comparison))["first", "ONNX"]
    assert pieces.items() <= rows_of(overview)["first", "ONNX"].items()


def test_what_was_not_measured_leaves_a_dash():
    bare = synthetic_report(accuracy=None, evaluation=None, latency=(), fidelity=None)

    row = rows_of(overview_table(compared(bare=bare)))["bare", "ONNX"]

    assert {row[name] for name in ("top-1", "drop [95 %]", "p50", "agree", "SQNR")} == {"-"}
    assert row["size"] == "1.0 MB"


def test_a_report_without_any_artefact_has_no_row():
    nothing = synthetic_report(
        accuracy=None, evaluation=None, latency=(), fidelity=None, size_bytes={}
    )
    assert {bundle for bundle, _ in rows_of(overview_table(compared(nothing=nothing)))} == {"first"}


def test_only_settings_that_differ_are_shown():
    other = synthetic_report(config={"method": "minmax", "target": "portable", "rounding": "gptq"})

    table = settings_table(compared(other=other))

    assert table.columns == ("bundle", "method")
    assert table.rows == (("first", "auto"), ("other", "minmax"))
    assert "method" in overview_table(compared(other=other)).columns
    assert "target" not in overview_table(compared(other=other)).columns


def test_a_setting_that_only_one_has_differs():
    other = synthetic_report(
        config={"method": "auto", "target": "portable", "rounding": "gptq", "seed": 3}
    )
    assert settings_table(compared(other=other)).rows == (("first", "-"), ("other", "3"))


def test_nothing_that_differs_is_no_table():
    assert settings_table(compared(same=synthetic_report())) is None


def test_networks_and_images_are_settings_too():
    spec = ModelSpec(architecture=Architecture.RESNET34, num_classes=10)
    other = synthetic_report(
        model=ModelSection(spec=spec, weights="photos.pth", weights_sha256="ee" * 32),
        evaluation=evaluation("other.tar"),
    )
    table = settings_table(compared(other=other))
    assert table.columns == ("bundle", "network", "evaluation")
    assert table.rows[1] == ("other", "resnet34", "other.tar (4,000)")


def test_later_reports_are_compared_with_the_first_image_by_image():
    worse = synthetic_report(
        accuracy=accuracy(answers(range(60))), latency=latencies(2.0, (1.9, 2.1))
    )
    same = synthetic_report()

    table = against_first_table(compared(worse=worse, same=same))

    rows = rows_of(table)
    assert table.title == "Against first"
    row = rows["worse", "ONNX"]
    assert (row["accuracy"], row["speed"]) == ("worse", "worse")
    assert row["lost [95 %]"].startswith("1.40 pp [")
    assert row["relative speed [95 %]"].startswith("0.67x [0.")
    row = rows["same", "ONNX"]
    assert (row["accuracy"], row["speed"]) == ("even", "even")
    assert row["relative speed [95 %]"].startswith("1.00x [0.9")
    assert "one by one" in table.note


def test_accuracies_on_other_images_are_not_compared():
    other = synthetic_report(evaluation=evaluation("other.tar"))
    table = against_first_table(compared(other=other))
    row = rows_of(table)["other", "ONNX"]
    assert (row["accuracy"], row["lost [95 %]"]) == ("-", "-")
    assert "one by one" not in table.note


# Latency is compared under one condition.


def test_the_fewest_threads_that_all_have_are_compared():
    one, two = latencies(3.0, threads=1), latencies(2.0, threads=2)
    reports = {
        "a": synthetic_report(latency=(*one, *two)),
        "b": synthetic_report(latency=two),
        "c": synthetic_report(latency=()),
    }
    assert common_conditions(reports) == Conditions(batch=1, threads=2)
    assert [own.speedup for own in compare_reports(reports).artifacts] == [2.0, 2.0, None]


def test_the_smallest_batch_comes_before_the_fewest_threads():
    entries = (*latencies(3.0, threads=1, batch=8), *latencies(2.0, threads=2, batch=1))
    reports = {name: synthetic_report(latency=entries) for name in "ab"}
    assert common_conditions(reports) == Conditions(batch=1, threads=2)


def test_without_a_common_condition_no_times_are_shown_and_a_warning_is():
    reports = {
        "a": synthetic_report(latency=latencies(3.0, threads=1)),
        "b": synthetic_report(latency=latencies(3.0, threads=2)),
    }
    comparison = compare_reports(reports)
    assert comparison.conditions is None
    assert {own.latency for own in comparison.artifacts} == {None}
    assert any("--threads" in warning for warning in comparison.warnings)


# Parity and environments.


def test_parity_is_that_of_the_worst_execution():
    table = parity_summary(compared(second=synthetic_report(parity={})))
    assert table.rows == (
        ("first", "passed", "2", "70.00 %", "97.00 %", "3"),
        ("second", "passed", "-", "-", "-", "-"),
    )


def test_reports_without_verification_have_no_parity_table():
    bare = synthetic_report(parity={}, verification=None)
    assert parity_summary(compare_reports({"a": bare, "b": bare})) is None


def test_environments_are_listed_only_where_they_differ():
    other = ENVIRONMENT.model_copy(update={"cpu": "Other CPU"})
    assert environments_table(compared(same=synthetic_report())) is None
    table = environments_table(compared(other=synthetic_report(environment=other)))
    assert [row[:2] for row in table.rows] == [
        ("first", "Example CPU @ 3 GHz"),
        ("other", "Other CPU"),
    ]


def test_a_terminal_gets_only_tables_with_rows():
    bare = synthetic_report(
        accuracy=None,
        evaluation=None,
        latency=(),
        fidelity=None,
        size_bytes={},
        parity={},
        verification=None,
    )
    assert list(comparison_tables(compare_reports({"a": bare, "b": bare}))) == []


# The Pareto picture.


def point_of(picture, bundle, artifact="ONNX"):
    (point,) = (p for p in picture.points if (p.bundle, p.artifact) == (bundle, artifact))
    return point


def test_the_front_are_those_that_no_other_one_beats_at_both():
    def report(broke, int8_ms):
        return synthetic_report(
            accuracy=accuracy(answers(range(broke))), latency=latencies(3.0, int8_ms=int8_ms)
        )

    picture = pareto_picture(
        compare_reports(
            {
                "accurate": report(0, 5.0),
                "fast": report(40, 2.0),
                "middle": report(20, 3.0),
                "beaten": report(30, 4.0),
                "twin": report(40, 2.0),
            }
        )
    )

    front = {(point.bundle, point.artifact) for point in picture.points if point.on_front}
    assert front == {(name, "ONNX") for name in ("accurate", "fast", "middle", "twin")}
    # The float models are as accurate as the best and slower.
    assert {point.bundle for point in picture.points if point.is_float} == {
        *("accurate", "fast", "middle", "beaten", "twin")
    }


def test_a_point_has_the_intervals_of_its_drop_and_of_its_speedup():
    comparison = compared(
        second=synthetic_report(latency=latencies(3.0, (2.5, 3.75), int8_ms=10.0))
    )

    point = point_of(pareto_picture(comparison), "second")

    (own,) = (own for own in comparison.artifacts if own.bundle == "second")
    low, high = own.accuracy.drop_ci95_pp
    assert point.accuracy == pytest.approx(79.9)
    assert point.accuracy_ci95 == pytest.approx((80 - high, 80 - low))
    assert point.p50_ci95_ms == pytest.approx((8.0, 12.0))


def test_without_labels_the_picture_is_of_agreement_and_float_agrees_with_itself():
    bare = synthetic_report(
        accuracy=accuracy(answers(range(40), labelled=False)),
        evaluation=evaluation(labelled=False),
    )
    picture = pareto_picture(compare_reports({"a": bare, "b": bare}))
    assert not picture.labelled
    point = point_of(picture, "a")
    assert point.accuracy == pytest.approx(99.0)
    assert point.accuracy_ci95[0] < 99 < point.accuracy_ci95[1] <= 100
    assert point_of(picture, "a", "float ONNX").accuracy == 100


def test_no_interval_of_agreement_goes_beyond_100_percent():
    same = synthetic_report(
        accuracy=accuracy(answers(labelled=False)),
        evaluation=evaluation(labelled=False),
    )
    point = point_of(pareto_picture(compare_reports({"a": same, "b": same})), "a")
    assert point.accuracy == 100
    assert point.accuracy_ci95[0] < point.accuracy_ci95[1] == 100


def test_one_report_without_labels_makes_it_agreement_for_all():
    bare = synthetic_report(
        accuracy=accuracy(answers(range(40), labelled=False)),
        evaluation=evaluation(labelled=False),
    )
    picture = pareto_picture(compared(bare=bare))
    assert not picture.labelled
    assert point_of(picture, "first").accuracy == pytest.approx(99.6)


def test_only_models_with_accuracy_and_latency_are_in_the_picture():
    picture = pareto_picture(compared(slow=synthetic_report(latency=())))
    assert {point.bundle for point in picture.points} == {"first"}
    nothing = compare_reports(
        {name: synthetic_report(accuracy=None, evaluation=None) for name in "ab"}
    )
    assert pareto_picture(nothing).points == ()
