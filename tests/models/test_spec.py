"""A spec says what outputs mean, and leaves out what nearly all networks have."""

import json

import pytest
from pydantic import ValidationError

from eightbit.models import Architecture, ModelSpec, Task


def _spec(**fields):
    return ModelSpec(architecture=Architecture.RESNET18, **fields)


def test_a_single_label_spec_does_not_name_its_task():
    content = json.loads(_spec(num_classes=10).model_dump_json())
    assert set(content) == {"architecture", "num_classes", "labels", "preprocessing"}
    assert ModelSpec.model_validate_json(json.dumps(content)) == _spec(num_classes=10)


def test_one_output_is_binary_with_two_names():
    spec = _spec(num_classes=1, labels=("cat", "dog"))
    assert (spec.task, spec.class_count, spec.threshold_logit) == (Task.BINARY, 2, 0)
    assert json.loads(spec.model_dump_json())["task"] == "binary"
    assert spec.as_single_label.labels == ("cat", "dog")


@pytest.mark.parametrize(
    "spec",
    [
        _spec(num_classes=1, threshold=0.25),
        _spec(num_classes=3, task=Task.MULTI_LABEL, threshold=0.7),
        _spec(num_classes=1, task=Task.REGRESSION, labels=("age",)),
    ],
    ids=lambda spec: spec.task,
)
def test_every_task_comes_back_from_json(spec):
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"num_classes": 1, "task": Task.SINGLE_LABEL}, "one logit is binary"),
        ({"num_classes": 1, "task": Task.MULTI_LABEL}, "one logit is binary"),
        ({"num_classes": 2, "task": Task.BINARY}, "expected one output of binary, found 2"),
        ({"num_classes": 1, "labels": ("dog",)}, "expected 2 names"),
        ({"num_classes": 3, "threshold": 0.4}, "expected none of single-label"),
        ({"num_classes": 1, "task": Task.REGRESSION, "threshold": 0.4}, "expected none"),
        ({"num_classes": 1, "threshold": 1.0}, "less than 1"),
        ({"num_classes": 1, "threshold": float("nan")}, "threshold"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(fields, problem):
    with pytest.raises(ValidationError, match=problem):
        _spec(**fields)
