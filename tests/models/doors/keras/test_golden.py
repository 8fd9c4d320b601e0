"""What Keras 3.15 wrote and answered (`golden/make.py`): every kind of padding, pool and gate."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from eightbit.models import Task, Wanted, load_source

GOLDEN = Path(__file__).parent / "golden"
SIDE = 13


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_model_of_keras_answers_as_in_keras(ending: str) -> None:
    pretrained = load_source(f"keras:{GOLDEN}/golden.{ending}", Wanted())
    spec = pretrained.spec
    pixels = np.arange(SIDE * SIDE * 3) * 37 % 256
    photo = torch.tensor(pixels.reshape(1, SIDE, SIDE, 3)).permute(0, 3, 1, 2) / 255
    mean, std = (
        torch.tensor(part)[:, None, None]
        for part in (spec.preprocessing.mean, spec.preprocessing.std)
    )
    expected = torch.tensor([json.loads((GOLDEN / "golden.json").read_text())])
    torch.testing.assert_close(pretrained.model((photo - mean) / std), expected, rtol=0, atol=1e-5)
    # Rescaling(1 / 127.5, -1), then (x - 0.1) / sqrt(0.5) of the first channel, in terms of 0..1.
    assert spec.preprocessing.mean[0] == pytest.approx((1 + 0.1) / 2)
    assert spec.preprocessing.std[0] == pytest.approx(0.5 * 0.5**0.5)
    assert (spec.architecture, spec.num_classes, spec.task) == (
        "keras:golden",
        5,
        Task.SINGLE_LABEL,
    )
    assert "its last softmax is left out: its input are the logits" in pretrained.notes
