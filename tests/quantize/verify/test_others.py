"""What runtimes make of a file that was not written for them, from logits that are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.parity import REFERENCE, OtherRuntime, Verdict
from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.quantize.verify import others
from eightbit.quantize.verify.executions import Executed
from eightbit.quantize.verify.others import judged, promised

SCALE = 0.25
RUNTIMES = {runtime.name: runtime for runtime in ONNX.others}
ONE = Execution(runtime=RUNTIMES["opencv"], images=1)
FOUR = Execution(runtime=RUNTIMES["opencv"], images=4)


def expected(images: int = 40) -> FloatArray:
    """Class 0 wins by eight last bits."""
    logits = np.zeros((images, 5), np.float32)
    logits[:, 0] = 8 * SCALE
    return logits


def executed(found: FloatArray | None, *, said: str = "", crashed: bool = False) -> Executed:
    logits = {REFERENCE: expected(), **({} if found is None else {ONE.name: found})}
    return Executed(
        logits=logits,
        failed={ONE.name: said} if found is None else {},
        seconds={ONE.name: 2.0},
        crashed=frozenset({ONE.name} if crashed else ()),
        peak_rss_bytes=1,
    )


def verdict(found: FloatArray | None, **how: Any) -> OtherRuntime:
    return judged(executed(found, **how), [ONE], output_scale=SCALE)[ONE.name]


def changed(change: Callable[[FloatArray], object]) -> FloatArray:
    logits = expected()
    change(logits)
    return logits


def last_bits(count: float) -> FloatArray:
    return changed(lambda logits: np.add(logits, count * SCALE, out=logits, where=logits == 0))


def other_classes(images: int) -> FloatArray:
    return changed(lambda logits: logits.__setitem__((slice(images), 3), 99.0))


@pytest.mark.parametrize(
    ("found", "verdict_of"),
    [
        (expected(), Verdict.RIGHT),
        (last_bits(1), Verdict.RIGHT),
        (last_bits(2), Verdict.OTHER_LAST_BITS),
        (other_classes(2), Verdict.OTHER_LAST_BITS),
        (other_classes(3), Verdict.WRONG),
        (changed(lambda logits: logits.__setitem__((0, 0), np.nan)), Verdict.WRONG),
        (changed(lambda logits: logits.__setitem__((0, 0), 1e23)), Verdict.WRONG),
    ],
)
def test_classes_decide_and_then_last_bits(found: FloatArray, verdict_of: Verdict) -> None:
    said = verdict(found)
    assert said.verdict is verdict_of
    assert said.ms_per_image == 50


def test_a_failure_says_what_the_runtime_said() -> None:
    said = verdict(None, said="it cannot")
    assert (said.verdict, said.reason, said.ms_per_image) == (Verdict.FAILED, "it cannot", None)


def test_a_known_cause_is_told_of_that_version_and_where_it_is_not_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(others, "KNOWN", {(ONE.name, "4."): "its bias"})
    monkeypatch.setattr(others, "version", lambda _: "4.14.0")
    assert verdict(last_bits(2)).reason == "its bias"
    assert verdict(expected()).reason == ""
    monkeypatch.setattr(others, "version", lambda _: "5.0.0")
    assert verdict(last_bits(2)).reason == ""


def test_nothing_of_them_can_fail_a_check_of_the_artefact() -> None:
    broken = changed(lambda logits: logits.__setitem__((0, 0), np.inf))
    assert promised(executed(broken), [ONE]).logits.keys() == {REFERENCE}
    assert promised(executed(broken), []).logits.keys() == {REFERENCE, ONE.name}
    died = executed(None, said="aborted", crashed=True)
    assert not promised(died, [ONE]).crashed
    assert not promised(died, [ONE]).failed
    assert promised(died, [FOUR]).crashed == {ONE.name}


def test_every_known_cause_is_of_an_execution_that_is_tried() -> None:
    assert {name for name, _ in others.KNOWN} <= {ONE.name, FOUR.name}
