"""Which numbers may stand beside each other; the others get a sentence, not a silence."""

import pytest
from tests.synthetic_reports.answers import IMAGES, accuracy, answers
from tests.synthetic_reports.costs import latencies
from tests.synthetic_reports.reports import ENVIRONMENT, evaluation, synthetic_report

from eightbit.benchmarks.comparison.comparability import (
    comparison_warnings,
    same_float_answers,
    same_float_model,
    same_images,
)
from eightbit.benchmarks.report.document import ModelSection
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing


def evaluated_on(source, **changes):
    return synthetic_report(evaluation=evaluation(source, **changes))


def with_model(spec=None, weights="photos.pth", digest="cd" * 32):
    spec = spec or ModelSpec(architecture=Architecture.RESNET18, num_classes=10)
    return synthetic_report(model=ModelSection(spec=spec, weights=weights, weights_sha256=digest))


def test_other_weights_of_one_file_are_another_float_model():
    model = with_model().model
    averaged = synthetic_report(model=model.model_copy(update={"weights_key": "ema"}))
    assert not same_float_model(with_model(), averaged)


def test_equal_reports_are_comparable_in_everything():
    reports = {"a": synthetic_report(), "b": synthetic_report()}
    assert comparison_warnings(reports) == ()
    assert same_images(*reports.values())
    assert same_float_model(*reports.values())
    assert same_float_answers(*reports.values())


@pytest.mark.parametrize(
    "other",
    [evaluated_on("other.tar"), evaluated_on("photos.tar", images_sha256="ab" * 32)],
    ids=["another name", "the same name"],
)
def test_other_images_are_noticed(other):
    assert not same_images(synthetic_report(), other)
    (warning,) = comparison_warnings({"a": synthetic_report(), "b": other})
    assert warning.startswith("Evaluated on different images")
    assert warning.endswith("Their accuracies are not comparable.")


def test_on_another_processor_one_float_answer_less_does_not_make_other_images():
    one_less = accuracy(answers())
    one_less = one_less.model_copy(
        update={"fp32": one_less.fp32.model_copy(update={"top1": one_less.fp32.top1 - 1 / IMAGES})}
    )
    reports = {"here": synthetic_report(), "there": synthetic_report(accuracy=one_less)}
    assert same_images(*reports.values())
    assert not same_float_answers(*reports.values())
    assert comparison_warnings(reports) == ()


def test_the_same_images_may_have_another_name():
    digest = synthetic_report().evaluation.images_sha256
    assert same_images(synthetic_report(), evaluated_on("renamed.tar", images_sha256=digest))


def test_without_an_evaluation_there_are_no_images_to_compare():
    other = synthetic_report(accuracy=None, evaluation=None)
    assert not same_images(synthetic_report(), other)
    assert comparison_warnings({"a": synthetic_report(), "b": other}) == ()


def test_another_network_may_answer_the_same_images_differently():
    other = with_model(digest="ee" * 32)
    worse = other.accuracy.model_copy(
        update={"fp32": other.accuracy.fp32.model_copy(update={"top1": 0.7})}
    )
    assert same_images(synthetic_report(), other.model_copy(update={"accuracy": worse}))


@pytest.mark.parametrize(
    "other",
    [
        with_model(ModelSpec(architecture=Architecture.RESNET34, num_classes=10)),
        with_model(ModelSpec(architecture=Architecture.RESNET18, num_classes=11)),
        with_model(digest="ee" * 32),
        with_model(digest=None),
        with_model(
            ModelSpec(
                architecture=Architecture.RESNET18,
                num_classes=10,
                preprocessing=Preprocessing(resize=64, crop=64),
            )
        ),
    ],
    ids=["architecture", "classes", "weights", "unknown weights", "preprocessing"],
)
def test_another_float_model_is_noticed(other):
    assert not same_float_model(synthetic_report(), other)
    (warning,) = comparison_warnings({"a": synthetic_report(), "b": other})
    assert warning.endswith("drop is from its own float model.")


def test_another_machine_is_named():
    elsewhere = ENVIRONMENT.model_copy(update={"cpu": "Other CPU", "logical_cores": 8})
    reports = {"a": synthetic_report(), "b": synthetic_report(environment=elsewhere)}

    (warning,) = comparison_warnings(reports)

    assert warning == (
        "Measured on different machines: Example CPU @ 3 GHz, 2 cores in a, Other CPU, 8 cores in "
        "b. Their times are not comparable."
    )


def test_two_unknown_weights_are_not_known_to_be_the_same():
    unknown = with_model(digest=None)
    assert not same_float_model(unknown, unknown)
    (warning,) = comparison_warnings({"a": unknown, "b": unknown})
    assert "their digest is not known" in warning


def test_the_machine_of_a_report_without_latencies_does_not_matter():
    elsewhere = ENVIRONMENT.model_copy(update={"cpu": "Other CPU"})
    reports = {"a": synthetic_report(), "b": synthetic_report(environment=elsewhere, latency=())}
    assert comparison_warnings(reports) == ()


def test_other_versions_are_named():
    newer = ENVIRONMENT.model_copy(
        update={"versions": {"onnxruntime": "1.32.0", "torch": "2.13.0"}}
    )
    reports = {
        "a": synthetic_report(),
        "b": synthetic_report(environment=newer),
        "c": synthetic_report(latency=latencies(2.0)),
    }

    assert comparison_warnings(reports) == (
        "Versions differ: onnxruntime 1.31.1 in a and c, 1.32.0 in b.",
    )
