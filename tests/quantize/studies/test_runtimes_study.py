"""The page of other runtimes, from answers that are known."""

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import OtherRuntime, Verdict
from eightbit.quantize.studies.runtimes import Answer, document

RIGHT = Answer(
    said=OtherRuntime(version="5.0", verdict=Verdict.RIGHT, ms_per_image=1.25),
    parity=ParityResult(
        max_lsb=0, identical_fraction=1, within_one_lsb_fraction=1, top1_agreement=1, n=200
    ),
)
FAILED = Answer(
    said=OtherRuntime(
        version="0.1", verdict=Verdict.FAILED, reason="/tmp/x/model.int8.onnx: it cannot load it"
    ),
    parity=None,
)


def test_a_row_for_each_execution_and_version_and_a_reason_for_what_is_not_right() -> None:
    page = document(
        {
            "`one`, 8 px": {("opencv_batch1", "5.0"): RIGHT, ("tract_batch1", "0.1"): FAILED},
            "`two`, 8 px": {("opencv_batch1", "5.0"): RIGHT},
        }
    ).splitlines()
    right = "right; 100.0%, 0"
    assert f"| `opencv_batch1` | 5.0 | {right} | {right} |" in page
    assert "| `tract_batch1` | 0.1 | failed | not tried |" in page
    assert page[-1] == "* `tract_batch1`, 0.1, `one`, 8 px: it cannot load it."
