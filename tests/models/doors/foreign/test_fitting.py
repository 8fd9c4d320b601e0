from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eightbit.models import InputError
from eightbit.models.doors.foreign.fitting import classes_of, fit_weights


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 5))


Save = Callable[[Any], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def saved(content: Any) -> Path:
        torch.save(content, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    return saved


STATE = network(1).state_dict()


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (STATE, "/"),
        ({f"module.{key}": value for key, value in STATE.items()}, "module"),
        ({"epoch": 3, "state_dict": STATE}, "state_dict"),
        ({key: value for key, value in STATE.items() if "num_batches" not in key}, "/"),
        ({key: value.double() for key, value in STATE.items()}, "/"),
        ({**STATE, "criterion.weight": torch.ones(5)}, "/"),
    ],
    ids=["plain", "prefix", "nested", "no counters", "float64", "a loss beside it"],
)
def test_weights_are_found_and_loaded(save: Save, content: Any, key: str) -> None:
    module = network()
    fitted = fit_weights(module, save(content))
    assert fitted.key == key
    for name, value in module.state_dict().items():
        if "num_batches" not in name:
            assert torch.equal(value, STATE[name])


def test_what_is_left_out_is_said(save: Save) -> None:
    fitted = fit_weights(network(), save({**STATE, "criterion.weight": torch.ones(5)}))
    assert fitted.notes == ("left out beside the network: criterion.weight",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({key: value for key, value in STATE.items() if key != "3.bias"}, "3.bias: expected this"),
        ({**STATE, "3.weight": torch.ones(7, 4)}, r"3.weight: expected shape \(5, 4\).*\(7, 4\)"),
        ({**STATE, "blur.kernel": torch.ones(3)}, "blur.kernel: expected only weights that the"),
        ({**STATE, "3.bias": torch.full((5,), torch.nan)}, "expected finite weights"),
        ({"a": STATE, "b": network(2).state_dict()}, "found 2: a, b; say which: --weights-key a"),
        ({"epoch": 3}, "expected a state dict"),
    ],
    ids=["a weight is missing", "another shape", "another layer", "NaN", "two networks", "none"],
)
def test_weights_that_do_not_fit_are_refused(save: Save, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_weights(network(), save(content))


def test_one_of_several_is_taken_by_its_key(save: Save) -> None:
    module = network()
    path = save({"raw": network(2).state_dict(), "ema": STATE})
    assert fit_weights(module, path, "ema").key == "ema"
    assert torch.equal(module.state_dict()["3.bias"], STATE["3.bias"])
    with pytest.raises(InputError, match="found none that is 'swa'"):
        fit_weights(module, path, "swa")


def test_the_width_of_a_classifier_is_read(save: Save) -> None:
    assert (
        classes_of(save({"model": {f"net.{key}": value for key, value in STATE.items()}}), "3.bias")
        == 5
    )
    assert classes_of(save(STATE), "head.weight") is None


class Versioned(nn.Linear):
    """Like torchvision's MNASNet: it takes no weights whose version it does not know."""

    _version = 2

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *others: Any) -> None:
        if metadata.get("version") != 2:
            raise ValueError(f"unknown version\n{metadata.get('version')}")
        super()._load_from_state_dict(state, prefix, metadata, *others)


class Choosy(Versioned):
    _version = 3


def test_weights_are_of_the_version_of_the_module(save: Save) -> None:
    module, other = Versioned(4, 5), Versioned(4, 5)
    fit_weights(module, save(dict(other.state_dict())))
    assert torch.equal(module.weight, other.weight)


def test_what_a_module_raises_at_its_weights_is_one_line(save: Save) -> None:
    with pytest.raises(InputError, match=r"raises ValueError: unknown version 3$") as caught:
        fit_weights(Choosy(4, 5), save(dict(Choosy(4, 5).state_dict())))
    assert "\n" not in str(caught.value)
