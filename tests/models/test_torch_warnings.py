"""What torch warns of is known by what it says, whatever category this release gives it."""

import warnings

import numpy as np
import pytest
import torch
from tests.examples.synthetic_models import torchscript_model

from eightbit.benchmarks.runtimes.runners.torchscript_runner import TorchScriptRunner
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize.artifacts.torchscript_worker import archive_bytes, scripted

# As torch 2.13, 2.14 and, from Python 3.14 on, any of them says it.
SAID = (
    "torch.ao.quantization is deprecated and will be removed in 2.10. \nFor migrations of users:",
    "`torch.jit.load` is deprecated. Please switch to `torch.export`.",
    "`torch.jit.script` is not supported in Python 3.14+ and may break. Please switch to",
    "Using quantized tensor creation functions or quint8 is deprecated",
)


@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning, UserWarning])
@pytest.mark.parametrize("message", SAID)
def test_expected_messages_are_silent_in_every_category(
    message: str, category: type[Warning]
) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with expected_deprecations():
            warnings.warn(message, category, stacklevel=1)
    assert heard == []


@pytest.mark.parametrize("message", ["torch.nn is deprecated", "an overflow", "the torch.jit is"])
def test_any_other_message_is_heard(message: str) -> None:
    with pytest.warns(FutureWarning, match=message), expected_deprecations():
        warnings.warn(message, FutureWarning, stacklevel=1)


def test_torchscript_is_written_and_run_in_silence_under_torch_2_14(monkeypatch, tmp_path) -> None:
    for module in ("_script", "_freeze", "_serialization", "_trace"):
        # In place of the built-in name, which torch 2.13 uses.
        there = getattr(torch.jit, module)
        monkeypatch.setattr(there, "DeprecationWarning", FutureWarning, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FutureWarning, match=r"`torch\.jit\.script` is deprecated"):
            torch.jit.script(torch.nn.ReLU())
        assert archive_bytes(scripted(torch.nn.Sequential(torch.nn.ReLU())), "{}")
        path = torchscript_model(tmp_path / "model.pt", None)
        for for_inference in (False, True):
            runner = TorchScriptRunner(path, threads=1, for_inference=for_inference)
            assert runner(np.ones((2, 3, 4, 4), np.float32)).shape == (2, 3)
