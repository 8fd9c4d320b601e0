from pathlib import Path

import pytest
import torch

from eightbit.models import (
    Architecture,
    InputError,
    Interpolation,
    Preprocessing,
    Wanted,
    build_model,
    load_source,
)

NET = """
from torch import nn

def make():
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), pool, nn.Flatten(), nn.Linear(4, 6))
"""


def test_an_architecture_is_loaded_as_before(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(build_model(Architecture.CIFAR_RESNET20).state_dict(), path)
    found = load_source("cifar_resnet20", Wanted(weights=str(path), resize=40))
    assert found.spec.architecture is Architecture.CIFAR_RESNET20
    assert found.spec.preprocessing == Preprocessing(resize=40, crop=32)
    with pytest.raises(InputError, match="cifar_resnet20: expected --weights"):
        load_source("cifar_resnet20", Wanted())


def test_code_gets_the_weights_and_the_preprocessing_that_are_given(tmp_path: Path) -> None:
    code, path = tmp_path / "door_of_a_test.py", tmp_path / "weights.pth"
    code.write_text(NET)
    made = load_source(f"{code}:make", Wanted())
    torch.save(made.model.state_dict(), path)
    wanted = Wanted(weights=str(path), crop=24, resize=30, interpolation=Interpolation.BICUBIC)
    found = load_source(f"{code}:make", wanted)
    assert found.spec.architecture == "door_of_a_test.py:make"
    assert (found.spec.num_classes, found.source) == (6, "weights.pth")
    assert found.spec.preprocessing.interpolation is Interpolation.BICUBIC
    assert (found.notes, len(made.notes)) == ((), 1)
    images = torch.ones(2, 3, 24, 24)
    with torch.inference_mode():
        assert torch.equal(found.model(images), made.model(images))


@pytest.mark.parametrize("source", ["resnet19", "net.py", "", "a:b c", "a\nb"])
def test_what_is_no_source_is_refused(source: str) -> None:
    with pytest.raises(InputError, match="SOURCE: expected an architecture that"):
        load_source(source, Wanted())
