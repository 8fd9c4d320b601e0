import pytest
import torch
from torch import nn

from eightbit.models import InputError, Preprocessing, Task, from_module
from eightbit.models.doors.foreign.modules import digest, network_name

SMALL = Preprocessing(resize=8, crop=8)


def network(outputs: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, outputs))


def test_classes_are_counted_in_its_answer() -> None:
    pretrained = from_module(network(), preprocessing=SMALL)
    assert (pretrained.spec.num_classes, pretrained.spec.task) == (4, Task.SINGLE_LABEL)
    assert pretrained.spec.architecture == "Sequential"
    assert not pretrained.model.training
    assert from_module(network(1), preprocessing=SMALL).spec.task is Task.BINARY


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(InputError, match="expected 5 classes, found 4 outputs"):
        from_module(network(), preprocessing=SMALL, num_classes=5)
    with pytest.raises(InputError, match="expected 4 names, one per class, found 2"):
        from_module(network(), preprocessing=SMALL, labels=("cat", "dog"))


def test_what_answers_with_no_logits_is_refused() -> None:
    with pytest.raises(InputError, match=r"logits of shape \(2, classes\).*\(2, 2, 6, 6\)"):
        from_module(nn.Conv2d(3, 2, 3), preprocessing=SMALL)


def test_images_that_it_cannot_take_are_refused_with_its_own_words() -> None:
    with pytest.raises(InputError, match=r"images of 9 px, found .* raises RuntimeError.*crop"):
        from_module(network(), preprocessing=Preprocessing(resize=9, crop=9))


def test_weights_have_a_digest_of_names_shapes_and_numbers() -> None:
    one, other = network(), network()
    assert digest(one) == digest(other)
    with torch.no_grad():
        other[0].bias[0] += 1  # type: ignore[index, operator]
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("net.py:make", "net.py:make"),
        ("a b/c\n", "a_b_c_"),
        ("", "network"),
        ("x" * 200, "x" * 100),
    ],
)
def test_a_name_is_made_of_a_few_signs(text: str, name: str) -> None:
    assert network_name(text) == name
