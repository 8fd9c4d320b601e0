from pathlib import Path

import pytest

from eightbit.benchmarks.networks import COLUMNS, METHODS, Network, rows
from eightbit.calibration import Method


def test_each_artifact_of_a_run_is_one_line_of_the_table(full_report):
    network = Network(architecture="resnet18", weights=Path("some/r18.pth"), side="64")
    lines = [line.split(" | ") for line in rows(network, "mse", full_report)]
    shared = ["| r18", "mse", "81.10%"]
    pair = ["99.00%", "100.00% |"]
    torchscript = ["+0.20 pp", "122", "96.95%", "35.9 dB", "37.2 dB", "0.00432"]
    onnx = ["+0.10 pp", "66", "98.35%", "35.9 dB", "37.4 dB", "0.00346"]
    assert lines == [
        [*shared, "torchscript", *torchscript, *pair],
        [*shared, "onnx", *onnx, *pair],
    ]
    assert {len(line) for line in lines} == {len(COLUMNS)}


def test_identical_logits_are_a_line_too(full_report):
    identical = {"sqnr_db": None, "median_image_sqnr_db": None, "mean_kl": 0.0}
    onnx = full_report.fidelity.onnx.model_copy(update=identical)
    fidelity = full_report.fidelity.model_copy(update={"onnx": onnx})
    network = Network(architecture="resnet18", weights=Path("r18.pth"), side="64")
    _, line = rows(network, "mse", full_report.model_copy(update={"fidelity": fidelity}))
    assert " | identical | identical | 0 | " in line


def test_a_run_without_labels_is_no_line_of_the_table(full_report):
    network = Network(architecture="resnet18", weights=Path("r18.pth"), side="64")
    with pytest.raises(ValueError, match="labelled"):
        list(rows(network, "mse", full_report.model_copy(update={"accuracy": None})))


def test_every_range_method_is_measured():
    assert set(METHODS) == set(Method)
