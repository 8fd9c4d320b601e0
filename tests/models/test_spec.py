"""A spec says what outputs mean, and leaves out what nearly all networks have."""

import json

import pytest
from pydantic import ValidationError

from eightbit.models import Architecture, ModelSpec, Preprocessing, Task
from eightbit.models.spec import size_text


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


def test_a_square_is_one_number_however_it_is_written():
    square = Preprocessing(resize=256, crop=224)
    assert Preprocessing(resize=(256, 256), crop=(224, 224)) == square
    listed = {**json.loads(square.model_dump_json()), "resize": [256, 256], "crop": [224, 224]}
    assert Preprocessing.model_validate_json(json.dumps(listed)) == square
    assert square.model_dump(mode="json") == {
        "resize": 256,
        "crop": 224,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }


def test_any_other_size_is_height_and_width():
    wide = Preprocessing(resize=(110, 183), crop=(96, 160))
    content = json.loads(wide.model_dump_json())
    assert (content["resize"], content["crop"]) == ([110, 183], [96, 160])
    assert Preprocessing.model_validate_json(wide.model_dump_json()) == wide
    assert (wide.crop_size, wide.crop_pixels, size_text(wide.crop)) == ((96, 160), 15360, "96x160")
    assert Preprocessing().crop_size == (224, 224)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({}, "shorter side 256 px"),
        ({"squash": True}, "both sides 256 px"),
        ({"resize": (96, 160)}, "covering 96x160 px (height x width)"),
        ({"resize": (96, 160), "squash": True}, "squashed to 96x160 px (height x width)"),
    ],
)
def test_what_is_resized_in_words(how, words):
    assert Preprocessing(**how).resized == words


@pytest.mark.parametrize("size", [0, 8193, (0, 5), (5, 8193), (5,), (5, 6, 7), 2.5, "224", True])
def test_a_size_that_is_none_is_refused(size):
    for field in ("resize", "crop"):
        with pytest.raises(ValidationError, match=field):
            Preprocessing(**{field: size})
