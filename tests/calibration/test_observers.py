import pytest
import torch

from eightbit.calibration import ActivationObserver, TensorStatistics


def observe(*tensors: torch.Tensor) -> TensorStatistics:
    observer = ActivationObserver()
    for x in tensors:
        observer.expected = len(x)
        observer(x)
    return observer.statistics()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_padding_is_ignored() -> None:
    x = noise(8, 4, 5, 5)
    padded = x.clone()
    padded[3:] = 1e6
    padded[7] = float("nan")
    observer = ActivationObserver()
    observer.expected = 3
    observer(padded)
    assert observer.statistics() == observe(x[:3])


def test_only_the_first_tensor_of_a_pass_counts() -> None:
    observer = ActivationObserver()
    observer.expected = 2
    observer(noise(2, 4))
    observer(100 * noise(2, 4))
    assert observer.statistics() == observe(noise(2, 4))


def test_nothing_counts_before_it_is_expected() -> None:
    observer = ActivationObserver()
    observer(100 * noise(2, 4))
    observer.expected = 2
    observer(noise(2, 4))
    assert observer.statistics() == observe(noise(2, 4))


def test_statistics_of_nothing_are_refused() -> None:
    observer = ActivationObserver()
    observer.name = "layer1.0.conv1"
    with pytest.raises(ValueError, match=r"layer1\.0\.conv1: expected to be observed"):
        observer.statistics()


def test_statistics_are_a_snapshot() -> None:
    observer = ActivationObserver()
    observer.expected = 1
    observer(noise(1, 4))
    before = observer.statistics()
    observer.expected = 1
    observer(noise(1, 4, seed=1))
    assert before == observe(noise(1, 4))
    assert observer.statistics() == observe(noise(1, 4), noise(1, 4, seed=1))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused_by_name(broken: float) -> None:
    x = noise(2, 3, 4, 4)
    x[1, 2, 3, 3] = broken
    observer = ActivationObserver()
    observer.name = "conv1"
    observer.expected = 2
    with pytest.raises(ValueError, match="conv1: expected finite activations, found"):
        observer(x)


@pytest.mark.parametrize("expected", [0, 2])
def test_what_flows_through_is_returned_as_it_is(expected: int) -> None:
    x = noise(2, 3, 4, 4)
    before = x.clone()
    observer = ActivationObserver()
    observer.expected = expected
    assert observer(x) is x
    assert torch.equal(x, before)


def test_a_tensor_that_needs_a_gradient_is_observed_too() -> None:
    assert observe(noise(1, 4).requires_grad_()) == observe(noise(1, 4))
