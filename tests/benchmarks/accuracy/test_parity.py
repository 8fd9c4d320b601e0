"""The table of the parity matrix: every execution against the reference, and what is missing."""

import pytest

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import ExecutionsSection, OtherRuntime, Verdict, pair_name
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult
from eightbit.benchmarks.report.tables.network import others_table, parity_table


def _result(identical=1.0, n=64):
    return ParityResult(
        max_lsb=0 if identical == 1 else 2,
        identical_fraction=identical,
        within_one_lsb_fraction=1.0,
        top1_agreement=1.0,
        n=n,
    )


PARITY = {
    "torchscript_vs_onnx": _result(n=4000),
    "onnx_unoptimised_vs_reference": _result(0.5),
    "onnx_vs_reference": _result(),
    "onnx_vs_onnx_unoptimised": _result(0.5),
}
EXECUTIONS = ExecutionsSection(
    source="photos.tar",
    images=64,
    not_measured={"onnx_haswell": "qemu-user is not installed: apt-get install qemu-user"},
)


def test_every_execution_has_a_row_and_the_other_pairs_are_counted():
    table = parity_table(PARITY, EXECUTIONS)
    assert table.rows == (
        ("onnx", "100.00 %", "100.00 %", "0", "100.00 %", "64"),
        ("onnx_unoptimised", "50.00 %", "100.00 %", "2", "100.00 %", "64"),
        ("torchscript_vs_onnx", "100.00 %", "100.00 %", "0", "100.00 %", "4,000"),
        ("onnx_haswell", "-", "-", "-", "-", "-"),
    )
    assert "reference" in table.title
    assert "Images: photos.tar." in table.note
    assert "onnx_haswell: qemu-user is not installed: apt-get install qemu-user." in table.note
    assert "1 more pair " in table.note


def test_without_a_reference_the_pairs_are_shown_alone():
    table = parity_table({"torchscript_vs_onnx": _result()}, None)
    assert [row[0] for row in table.rows] == ["torchscript_vs_onnx"]
    assert table.note == ""
    assert "reference" not in table.title


def test_synthetic_images_are_called_so():
    synthetic = EXECUTIONS.model_copy(update={"synthetic": True})
    assert "give --images" in parity_table(PARITY, synthetic).note
    assert "give --images" not in parity_table(PARITY, EXECUTIONS).note


def test_another_machine_is_named(full_report):
    elsewhere = EXECUTIONS.model_copy(update={"environment": full_report.environment})
    assert "Measured on Example CPU @ 3 GHz" in parity_table(PARITY, elsewhere).note


def test_another_machine_s_pictures_are_told_from_the_images():
    board = SelfTestResult(
        name="onnx_aarch64", machine="aarch64", same_pixels=True, model_sha256="ab" * 32
    )
    parity = {**PARITY, "onnx_aarch64_vs_reference": _result(n=3)}
    table = parity_table(parity, EXECUTIONS, EdgeSection(elsewhere=(board,)))
    assert ("onnx_aarch64", "100.00 %", "100.00 %", "0", "100.00 %", "3") in table.rows
    assert "onnx_aarch64: the self-test's pictures, on another machine." in table.note
    assert "another machine" not in parity_table(PARITY, EXECUTIONS, EdgeSection()).note


@pytest.mark.parametrize("name", ["torchscript_avx2", "reference"])
def test_a_pair_is_named_after_both(name):
    assert pair_name("onnx", name) == f"onnx_vs_{name}"


def test_other_runtimes_have_a_table_where_any_was_tried():
    assert others_table(None) is None
    assert others_table(EXECUTIONS) is None
    others = {
        "opencv_batch4": OtherRuntime(
            version="4.14", verdict=Verdict.WRONG, ms_per_image=7.123, reason="its bias"
        ),
        "tract_batch1": OtherRuntime(version="0.23", verdict=Verdict.FAILED, reason="no memory"),
    }
    table = others_table(EXECUTIONS.model_copy(update={"others": others}))
    assert table is not None
    assert table.rows == (
        ("opencv_batch4", "4.14", "wrong", "7.12 ms", "its bias"),
        ("tract_batch1", "0.23", "failed", "-", "no memory"),
    )
