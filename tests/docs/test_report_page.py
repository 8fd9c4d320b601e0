"""docs/report.md explains every number of a report, and names none that is not there."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from tests.docs.pages import DOCS

from eightbit.benchmarks import Report
from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.accuracy.parity import (
    MAX_EXECUTION_DISAGREEMENT,
    MAX_OPENVINO_DISAGREEMENT,
)
from eightbit.quantize.verify.verification import MAX_FLOAT_DISAGREEMENT, MAX_FLOAT_ERROR

PAGE = (DOCS / "report.md").read_text()
CODE = re.findall(r"`([^`\n]+)`", PAGE)
WORDS = {word for code in CODE for word in re.findall(r"\w+", code)}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every record in a type, such as in `tuple[Flip, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def records(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """A record and all that are in it."""
    if model not in seen:
        seen.add(model)
        for field in model.model_fields.values():
            for inner in models_in(field.annotation):
                records(inner, seen)
    return seen


RECORDS = sorted(records(Report, set()), key=lambda model: model.__name__)
FIELDS = [(model.__name__, name) for model in RECORDS for name in model.model_fields]


@pytest.mark.parametrize(("record", "field"), FIELDS, ids="{}".format)
def test_the_page_explains_every_field_of_a_report(record: str, field: str) -> None:
    assert field in WORDS


def is_path(words: list[str], models: list[type[BaseModel]]) -> bool:
    """Whether the words lead from one of the records to a field, such as accuracy, onnx, top1."""
    if not words:
        return True
    first, *rest = words
    return any(
        is_path(rest, list(models_in(model.model_fields[first].annotation)))
        for model in models
        if first in model.model_fields
    )


PATHS = sorted(
    {
        code
        for code in CODE
        if re.fullmatch(r"[a-z_0-9]+(\[(pair)?\])?(\.[a-z_0-9]+(\[\])?)+", code)
        and code.split(".")[0].split("[")[0] in Report.model_fields
        and not code.endswith((".fp32.onnx", ".int8.onnx", ".int8.pt"))
    }
)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_the_page_names_is_in_a_report(path: str) -> None:
    assert is_path(re.sub(r"\[(pair)?\]", "", path).split("."), [Report])


def test_paths_are_found() -> None:
    assert len(PATHS) > 15
    assert "calibration.also_in_evaluation" in PATHS
    assert not is_path(["accuracy", "onnx", "top7"], [Report])


@pytest.mark.parametrize(("images", "bound_pp"), [(381, 1.0), (765, 0.5), (3838, 0.1)])
def test_the_fewest_images_for_a_gate_are_as_the_page_says(images: int, bound_pp: float) -> None:
    assert f"{images:,}" in PAGE
    assert drop_interval_pp(0, 0, images)[1] <= bound_pp < drop_interval_pp(0, 0, images - 1)[1]


def test_what_verification_allows_is_as_the_page_says() -> None:
    for allowed in (MAX_FLOAT_DISAGREEMENT, MAX_EXECUTION_DISAGREEMENT):
        assert f"more than {100 * allowed:g} % of the" in PAGE
    assert f"(OpenVINO {100 * MAX_OPENVINO_DISAGREEMENT:g} %" in PAGE
    assert MAX_FLOAT_ERROR == 0.001
    assert "a thousandth of the largest logit" in PAGE
