"""The published JSON Schema is the report's, and says what the reader says."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.report.pages.html import render_html
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.report.pages.terminal import render_terminal
from eightbit.benchmarks.studies import report_schema
from eightbit.models.errors import InputError
from eightbit.models.spec import MAX_COUNT

PUBLISHED = Path(__file__).resolve().parents[3] / "docs" / "schema" / "report-1.json"
REGENERATE = "python -m eightbit.benchmarks.studies.report_schema --out docs/schema/report-1.json"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(report_schema.report_schema())


@pytest.fixture
def document(full_report: Report) -> dict[str, object]:
    return json.loads(full_report.to_json())


def test_the_published_schema_is_that_of_the_report():
    same = PUBLISHED.read_text(encoding="utf-8") == report_schema.schema_text()
    assert same, f"the report has changed: run {REGENERATE}"


def test_the_command_writes_the_schema(tmp_path, capsys):
    report_schema.main(["--out", str(tmp_path / "schema.json")])
    report_schema.main([])
    assert (tmp_path / "schema.json").read_text() == capsys.readouterr().out
    assert json.loads((tmp_path / "schema.json").read_text())["$id"] == "urn:eightbit:report:1"


def test_the_schema_is_a_valid_one(validator):
    jsonschema.Draft202012Validator.check_schema(validator.schema)


def test_real_reports_are_valid(validator, document, almost_empty_report):
    validator.validate(document)
    validator.validate(json.loads(almost_empty_report.to_json()))


BREAKAGE = {
    "another version": lambda report: report.update(format_version=2),
    "no version": lambda report: report.pop("format_version"),
    "no model": lambda report: report.pop("model"),
    "an unknown key": lambda report: report.update(mood="good"),
    "an unknown key inside": lambda report: report["accuracy"]["onnx"].update(mood="good"),
    "a fraction above one": lambda report: report["accuracy"]["onnx"].update(top1=1.5),
    "text for a number": lambda report: report["latency"][0].update(p50_ms="fast"),
    "an unknown runtime": lambda report: report["latency"][0].update(runtime="toaster"),
    "half an interval": lambda report: report["accuracy"]["onnx"].update(drop_ci95_pp=[0.1]),
    "a digest that is none": lambda report: report.update(recipe_sha256="12"),
    "no checks": lambda report: report["verification"].update(checks=[]),
}


@pytest.mark.parametrize("breakage", BREAKAGE)
def test_what_the_schema_refuses_the_reader_refuses_too(validator, document, breakage, tmp_path):
    BREAKAGE[breakage](document)

    assert not validator.is_valid(document)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError):
        read_report(path)


def test_every_object_refuses_unknown_keys(validator):
    parts = [validator.schema, *validator.schema["$defs"].values()]
    objects = [part for part in parts if part.get("type") == "object"]
    assert len(objects) > 20
    assert all(part["additionalProperties"] is False for part in objects)


def test_attributes_are_described_those_of_a_base_class_too(validator):
    candidate = validator.schema["$defs"]["CandidateAccuracy"]
    assert candidate["description"].startswith("How often a candidate is right")
    assert "Attributes" not in candidate["description"]
    assert candidate["properties"]["drop_pp"]["description"].startswith("Float top-1 minus")
    assert candidate["properties"]["top1"]["description"].startswith("Fraction of images whose")
    undescribed = [
        name for name, part in validator.schema["properties"].items() if "description" not in part
    ]
    assert undescribed == []


def _integers(document: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Where in a document integers are, one of each list."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _integers(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:1]):
            yield from _integers(value, (*path, index))
    elif isinstance(document, int) and not isinstance(document, bool):
        yield path


def _with(document: dict[str, object], path: Sequence[object], value: int) -> str:
    changed = json.loads(json.dumps(document))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(changed)


def test_a_count_beyond_all_counts_is_refused_wherever_it_stands(document, tmp_path):
    """Arithmetic on it would overflow, or take for ever."""
    path = tmp_path / "report.json"
    paths = [found for found in _integers(document) if found[0] != "config"]
    assert len(paths) > 50
    for number in (10**30, int("9" * 4300), -1):
        for found in paths:
            path.write_text(_with(document, found, number))
            with pytest.raises(InputError):
                read_report(path)


def test_a_report_with_the_largest_counts_can_be_shown(document):
    text, changed = json.dumps(document), 0
    for found in _integers(document):
        larger = _with(json.loads(text), found, MAX_COUNT)
        with contextlib.suppress(ValidationError):  # more right answers than images, say
            Report.model_validate_json(larger)
            text, changed = larger, changed + 1
    assert changed > 30
    report = Report.model_validate_json(text)
    render_terminal(report)
    render_markdown(report)
    render_html(report)
