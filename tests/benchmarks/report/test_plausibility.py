"""A float model that is not plausible: what every form of the report says, and does not say."""

import pytest
from rich.console import Console
from tests.synthetic_reports.reports import evaluation, full, implausible, synthetic_report

from eightbit.benchmarks import Report, render_html, render_markdown, render_terminal
from eightbit.benchmarks.comparison.comparability import comparison_warnings
from eightbit.benchmarks.report.headline import headline, key_figures
from eightbit.benchmarks.report.plausibility import PLAUSIBLE_CHECK, PlausibilitySection
from eightbit.benchmarks.report.shipping import Advice, shipping
from eightbit.quantize import failed_gates


def _terminal(report: Report) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(render_terminal(report))
    return captured.get()


@pytest.mark.parametrize("render", [render_html, render_markdown, _terminal])
def test_no_form_of_the_report_speaks_of_the_drop_as_if_all_were_well(render) -> None:
    usual, doubted = render(full()), render(implausible())
    assert "indistinguishable from zero" in usual
    assert "indistinguishable from zero" not in doubted
    assert "a drop says nothing, since the float model is not plausible" in doubted
    assert "classes in sorted order" in doubted
    assert "78.9 %" in doubted
    assert "--class-order sorted" in doubted


def test_the_headline_names_what_is_wrong_and_why_that_may_be() -> None:
    line = headline(implausible())
    assert line.startswith("FLOAT MODEL NOT PLAUSIBLE, top-1 ")
    assert (
        "likely causes in order: the order of the classes, the preprocessing, or the architecture "
        "or its weights; classes in sorted order gives 78.9 % [73.4, 83.8] of 256: "
        "--class-order sorted"
    ) in line
    assert "drop" not in line


def test_the_key_figures_have_no_drop() -> None:
    _, usual = key_figures(full())
    _, doubted = key_figures(implausible())
    assert "Top-1 drop" in {tile.label for tile in usual}
    assert "Top-1 drop" not in {tile.label for tile in doubted}
    assert any("not plausible" in tile.detail for tile in doubted)


def test_it_must_not_be_shipped_and_no_gate_passes() -> None:
    found = shipping(implausible())
    assert found.advice is Advice.STOP
    assert not any("gate passes" in reason.text for reason in found.reasons)
    check, gate = failed_gates(implausible(), 100.0)
    assert check.startswith(f"verification: {PLAUSIBLE_CHECK}: far below its mean confidence")
    assert gate.startswith("max drop: not judged, as the float model is not plausible: far below")
    assert len(check) < 500


def test_a_comparison_warns_of_it() -> None:
    warnings = comparison_warnings({"a": full(), "b": implausible()})
    assert any(
        line.startswith("The float model is not plausible: far below its mean confidence and right")
        and line.endswith(" in b. Drops against it say nothing.")
        for line in warnings
    )
    assert not comparison_warnings({"a": full(), "b": full()})


def test_a_later_evaluation_takes_the_check_with_it() -> None:
    report = implausible().without_evaluation()
    assert report.verification is not None
    assert report.verification.passed
    assert report.implausible is None


def test_few_images_and_one_class_without_labels_ask_for_care() -> None:
    few = PlausibilitySection(
        classes_present=2,
        classes_predicted=2,
        chance=0.5,
        top1_ci95=(0.1, 0.9),
        enough_images=False,
    )
    for section, said in (
        (few, "Too few images to tell the float model from chance."),
        (PlausibilitySection(classes_predicted=1), "images the same class: unless they are of one"),
    ):
        report = synthetic_report(evaluation=evaluation(plausibility=section))
        reasons = [one for one in shipping(report).reasons if said in one.text]
        assert [one.advice for one in reasons] == [Advice.CARE]
