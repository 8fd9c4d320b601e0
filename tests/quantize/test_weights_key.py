"""One of two networks in a file, through the whole line and again from its recipe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eightbit.benchmarks import read_report
from eightbit.quantize import bundle, read_recipe

Eightbit = Callable[..., Any]

REPRODUCIBLE = ("model.int8.onnx", "model.fp32.onnx", bundle.RECIPE, bundle.TABLES)


@pytest.fixture(scope="module")
def both(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw weights, of which no network was made, beside those of `checkpoint`."""
    averaged = torch.load(checkpoint)
    raw = {key: value * 2 for key, value in averaged.items()}
    path = tmp_path_factory.mktemp("both") / "both.pth"
    torch.save({"model": raw, "model_ema": {**averaged, "val_acc.n": torch.tensor(3)}}, path)
    return path


def test_the_averaged_weights_give_the_integers_that_they_give_alone(
    eightbit: Eightbit, quick: tuple[object, ...], both: Path, tmp_path: Path
) -> None:
    eightbit(*quick, "--out", tmp_path / "alone")
    keyed = (*quick, "--weights", both, "--weights-key", "model_ema", "--out", tmp_path / "keyed")
    outcome = eightbit(*keyed)
    assert outcome.code == 0, outcome
    assert "weights both.pth[model_ema]" in outcome.out
    assert "weights: left out beside the network: val_acc.n" in outcome.out
    alone, found = (read_recipe(tmp_path / name / bundle.RECIPE) for name in ("alone", "keyed"))
    assert (found.layers, found.activations) == (alone.layers, alone.activations)
    model = read_report(tmp_path / "keyed" / bundle.REPORT_JSON).model
    assert (model.weights, model.weights_key) == ("both.pth[model_ema]", "model_ema")
    assert "val\\_acc.n" in (tmp_path / "keyed" / bundle.REPORT_MARKDOWN).read_text()
    assert "val_acc.n" in (tmp_path / "keyed" / bundle.REPORT_HTML).read_text()

    again = ("quantize", "--recipe", tmp_path / "keyed" / bundle.RECIPE, "--weights", both)
    rest = ("--formats", "onnx", "--threads", 1)
    outcome = eightbit(*again, *rest, "--out", tmp_path / "again")
    assert outcome.code == 0, outcome
    for name in REPRODUCIBLE:
        expected = (tmp_path / "keyed" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == expected, name
    outcome = eightbit(*again, *rest, "--weights-key", "model", "--out", tmp_path / "other")
    assert "expected the weights of the recipe, those under model_ema" in outcome.error
    assert not (tmp_path / "other").exists()


def test_which_one_is_asked_before_anything_else_is_done(
    eightbit: Eightbit, quick: tuple[object, ...], both: Path, tmp_path: Path
) -> None:
    outcome = eightbit(*quick, "--weights", both, "--out", tmp_path / "out")
    assert "--weights-key model or --weights-key model_ema" in outcome.error
    assert list(tmp_path.iterdir()) == []
