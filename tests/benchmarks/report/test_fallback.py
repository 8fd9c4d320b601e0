"""What the report says about layers in float."""

import pytest
from pydantic import ValidationError

from eightbit.benchmarks.report.document import read_report
from eightbit.benchmarks.report.fallback import FallbackSection, FallbackStep
from eightbit.benchmarks.report.pages.markdown import render_markdown


def _step(count, added, high, *, met, chosen=False):
    return FallbackStep(
        float_layers=count,
        added=added,
        artifact="onnx",
        drop_pp=0.25,
        drop_ci95_pp=(-0.1, high),
        top1_agreement=0.985,
        latency_ratio=1.0 + count / 100,
        met=met,
        chosen=chosen,
    )


@pytest.fixture
def section():
    names = ("conv1", "layer1.0.conv1", "layer1.0.skip_add", "fc")
    return FallbackSection(
        target_pp=0.5,
        met=True,
        evaluations=2,
        candidates=29,
        images_needed=None,
        steps=(_step(0, (), 0.6, met=False), _step(4, names, 0.45, met=True, chosen=True)),
    )


def test_it_is_a_table_of_the_steps(section, full_report, tmp_path):
    report = full_report.model_copy(update={"fallback": section})
    text = render_markdown(report)
    assert "## Layers in float for a drop of at most 0.5 pp: met" in text
    assert r"| 0 | - | 0.25 pp \[-0.10, 0.60\] | 98.50 % | 1.00x | missed |" in text
    assert (
        r"| 4 \* | conv1, layer1.0.conv1, layer1.0.skip\_add and 1 more | "
        r"0.25 pp \[-0.10, 0.45\] | 98.50 % | 1.04x | met |"
    ) in text
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    assert read_report(path) == report


def test_a_missed_target_is_in_the_title(section, full_report):
    missed = section.model_copy(update={"met": False})
    report = full_report.model_copy(update={"fallback": missed})
    assert "0.5 pp: FAILED" in render_markdown(report)


@pytest.mark.parametrize("chosen", [(False, False), (True, True), (True, False)])
def test_the_one_step_that_was_delivered_says_what_was_met(section, chosen):
    steps = [
        step.model_copy(update={"chosen": flag})
        for step, flag in zip(section.steps, chosen, strict=True)
    ]
    with pytest.raises(ValidationError, match="one that was chosen"):
        FallbackSection(**{**dict(section), "steps": tuple(steps)})
