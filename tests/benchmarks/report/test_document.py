import json

import pytest
from pydantic import ValidationError
from tests.synthetic_reports.reports import ENVIRONMENT, evaluation, synthetic_report

from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import OperatorCoverage, read_report
from eightbit.models.errors import InputError
from eightbit.models.images.loading import SkippedImage


@pytest.fixture(params=["full_report", "almost_empty_report"])
def report(request):
    return request.getfixturevalue(request.param)


def test_a_report_survives_its_file(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    assert read_report(path) == report
    assert read_report(path).to_json() == report.to_json()


def test_the_json_is_indented_and_ends_in_a_newline(report):
    assert report.to_json().startswith('{\n  "format_version": 1,')
    assert report.to_json().endswith("}\n")


def test_the_keys_are_those_that_readers_rely_on(full_report):
    content = json.loads(full_report.to_json())
    assert {"top1", "top5", "n", "confidence"} == content["accuracy"]["fp32"].keys()
    for artifact in ("torchscript", "onnx"):
        assert {"top1", "top5", "n", "drop_pp", "flips"} <= content["accuracy"][artifact].keys()
        fidelity = content["fidelity"][artifact]
        assert {"sqnr_db", "median_image_sqnr_db", "mean_kl", "top1_agreement"} <= fidelity.keys()
    pair = content["parity"]["torchscript_vs_onnx"]
    assert {"max_lsb", "identical_fraction", "top1_agreement"} <= pair.keys()
    latency = {"runtime", "artifact", "threads", "batch", "p50_ms", "p90_ms", "p99_ms"}
    assert latency | {"images_per_s"} <= content["latency"][0].keys()
    assert content["size_bytes"]["model.int8.onnx"] == 11_700_000
    assert content["coverage"]["conv"] == {
        "quantized": 20,
        "total": 20,
        "meant_as_float": 0,
    }
    assert {"conv", "add", "linear"} <= content["coverage"].keys()
    assert content["timings_s"] == {"calibrate": 6.6, "export": 2.25}
    assert content["peak_rss_bytes"] == 1_234_000_000
    assert content["environment"]["versions"]["torch"] == "2.13.0"


@pytest.mark.parametrize("key", ["sqnr_db", "median_image_sqnr_db", "mean_kl"])
def test_no_measure_of_fidelity_may_be_missing(key, full_report, tmp_path):
    content = json.loads(full_report.to_json())
    del content["fidelity"]["onnx"][key]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError, match=key):
        read_report(path)


def _write(path, content, **changes):
    path.write_text(json.dumps({**json.loads(content), **changes}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "expected format_version 1 or lower, found 2"),
        ({"format_version": 0}, "format_version"),
        ({"format_version": None}, "format_version"),
        ({"surprise": 1}, "surprise"),
        ({"size_bytes": {"model": -1}}, "size_bytes.model"),
        ({"size_bytes": {"model": "12"}}, "size_bytes.model"),
        ({"recipe_sha256": "x"}, "recipe_sha256"),
        ({"latency": [{}]}, "latency.0.*more"),
        ({"timings_s": {"a": "1"}}, "timings_s.a"),
    ],
)
def test_an_invalid_report_is_one_line_of_error(changes, message, full_report, tmp_path):
    path = _write(tmp_path / "report.json", full_report.to_json(), **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_report(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format_version": 1}']
)
def test_garbage_is_an_input_error(content, tmp_path):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"report\.json"):
        read_report(path)


def test_a_missing_report_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="expected a report"):
        read_report(tmp_path / "report.json")


def test_nan_in_a_file_is_refused(full_report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(full_report.to_json().replace("35.9", "NaN"))
    with pytest.raises(InputError, match="sqnr_db"):
        read_report(path)


def test_nan_in_the_config_is_not_written(almost_empty_report):
    broken = almost_empty_report.model_copy(update={"config": {"momentum": float("nan")}})
    with pytest.raises(ValueError, match="JSON compliant"):
        broken.to_json()


def test_verification_cannot_pass_with_a_failed_check():
    failed = Check(name="same integers", passed=False, detail="80 %")
    with pytest.raises(ValidationError, match="every check"):
        VerificationSection(images=1, passed=True, checks=(failed,))
    with pytest.raises(ValidationError, match="checks"):
        VerificationSection(images=1, passed=True, checks=())


def test_no_more_operators_are_quantized_than_there_are():
    with pytest.raises(ValidationError, match="at most 2"):
        OperatorCoverage(quantized=3, total=2)


def test_more_files_may_be_skipped_than_are_named():
    named = (SkippedImage(name="broken.png", reason="truncated"),)
    assert evaluation(skipped=named, skipped_count=5).skipped_count == 5
    with pytest.raises(ValidationError, match="skipped_count: expected at least 1"):
        evaluation(skipped=named, skipped_count=0)


@pytest.mark.parametrize("missing", ["accuracy", "evaluation"])
def test_accuracy_comes_with_the_images_that_it_was_measured_on(missing):
    with pytest.raises(ValidationError, match="accuracy: expected it together with evaluation"):
        synthetic_report(**{missing: None})


def test_latencies_come_with_what_is_behind_them():
    with pytest.raises(ValidationError, match="latency: expected it together with benchmark"):
        synthetic_report(benchmark=None)


def test_model_files_are_compared_with_the_float_one():
    report = synthetic_report()
    assert report.shrinkage("model.int8.onnx") == 4.0
    assert report.shrinkage("model.fp32.onnx") is None
    assert synthetic_report(size_bytes={"model.int8.onnx": 5}).shrinkage("model.int8.onnx") is None


def test_latency_may_have_been_measured_elsewhere():
    report = synthetic_report()
    elsewhere = ENVIRONMENT.model_copy(update={"cpu": "Other CPU"})
    benchmark = report.benchmark.model_copy(update={"environment": elsewhere})
    assert report.latency_environment == ENVIRONMENT
    assert synthetic_report(benchmark=benchmark).latency_environment == elsewhere
