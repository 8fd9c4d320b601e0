import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from eightbit.calibration import ActivationObserver, CalibrationResult, collect
from eightbit.calibration.collection import BATCH_SIZE

Image = npt.NDArray[np.float32]


class Toy:
    """An observed network whose output for an image does not depend on the rest of the batch."""

    def __init__(self) -> None:
        self.observers = {"input": ActivationObserver(), "relu": ActivationObserver()}
        self.seen: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor) -> None:
        self.seen.append(x)
        self.observers["input"](x)
        # Zeros, with which the last batch is filled up, would give a 50 that no image gives.
        self.observers["relu"](torch.relu(50.0 - 10.0 * x.abs()))

    def collect(self, images: list[Image]) -> CalibrationResult:
        return collect(self, self.observers, images)


def images(count: int) -> list[Image]:
    """Images without any small number, each of another magnitude."""
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (count, 3, 4, 5))
    sizes = rng.uniform(1.0, 2.0, (count, 3, 4, 5)) * (1.0 + np.arange(count)[:, None, None, None])
    return list((signs * sizes).astype(np.float32))


def test_images_run_in_batches_of_one_size_in_channels_last_order() -> None:
    toy = Toy()
    given = images(13)
    toy.collect(given)
    assert [tuple(x.shape) for x in toy.seen] == [(BATCH_SIZE, 3, 4, 5)] * 2
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in toy.seen)
    assert all(x.dtype == torch.float32 for x in toy.seen)
    together = torch.cat(toy.seen).numpy()
    assert np.array_equal(together[:13], np.stack(given))
    assert not together[13:].any()


def test_padding_is_not_observed() -> None:
    given = images(13)
    relu = Toy().collect(given).tensors["relu"]
    real = np.maximum(np.float32(50.0) - np.float32(10.0) * np.abs(np.stack(given)), 0)
    assert (relu.low, relu.high) == (real.min(), real.max())
    assert relu.histogram.counts.sum() == real.size


@pytest.mark.parametrize("count", [1, 5, 8, 12])
def test_parts_merge_to_the_whole(count: int) -> None:
    given = images(13)
    whole = Toy().collect(given)
    first, second = Toy().collect(given[:count]), Toy().collect(given[count:])
    assert first != whole
    assert first.merge(second) == second.merge(first) == whole
    assert first.merge(second).images_sha256 == whole.images_sha256
    assert first.merge(second).images == 13


def test_an_image_of_both_parts_counts_twice() -> None:
    given = images(3)
    one = Toy().collect(given[:2]).merge(Toy().collect(given[1:]))
    assert one == Toy().collect([*given, given[1]])


def test_collections_of_other_networks_do_not_merge() -> None:
    one = Toy().collect(images(1))
    other = replace(one, tensors={"input": one.tensors["input"]})
    with pytest.raises(ValueError, match="same network, found relu in only one"):
        one.merge(other)


def test_collections_with_other_threads_do_not_merge() -> None:
    one = Toy().collect(images(1))
    with pytest.raises(ValueError, match=r"same thread count, found \d and 99"):
        one.merge(replace(one, threads=99))


def test_the_caller_looks_every_32_images() -> None:
    looked: list[CalibrationResult] = []
    toy, given = Toy(), images(70)

    def look(so_far: CalibrationResult) -> bool:
        looked.append(so_far)
        return False

    result = collect(toy, toy.observers, given, until=look)
    assert [so_far.images for so_far in looked] == [32, 64]
    assert looked[0] == Toy().collect(given[:32])
    assert looked[1] == Toy().collect(given[:64])
    assert result == Toy().collect(given)


def test_the_caller_stops_the_pass_and_no_image_is_drawn_in_vain() -> None:
    toy, given = Toy(), images(100)
    stream = iter(given)
    result = collect(toy, toy.observers, stream, until=lambda so_far: so_far.images >= 64)
    assert result == Toy().collect(given[:64])
    assert len(list(stream)) == 36


def test_order_does_not_matter() -> None:
    given = images(13)
    shuffled = [given[i] for i in np.random.default_rng(1).permutation(13)]
    assert Toy().collect(given) == Toy().collect(shuffled) == Toy().collect(given[::-1])


def test_images_may_lie_in_memory_as_they_like() -> None:
    given = images(3)
    flipped = [np.asfortranarray(image) for image in given]
    assert Toy().collect(flipped) == Toy().collect(given)


def test_the_digest_is_that_of_the_sorted_digests_of_the_pixels() -> None:
    given = images(3)
    parts = sorted(hashlib.sha256(image.tobytes()).digest() for image in given)
    assert Toy().collect(given).images_sha256 == hashlib.sha256(b"".join(parts)).hexdigest()


def test_the_digest_tells_sets_of_images_apart() -> None:
    given = images(3)
    changed = [*given[:2], given[2].copy()]
    changed[2][0, 0, 0] = np.nextafter(changed[2][0, 0, 0], np.float32(100.0))
    sets = [given, changed, given[:2], [*given, given[0]]]
    assert len({Toy().collect(chosen).images_sha256 for chosen in sets}) == len(sets)


def test_images_and_threads_are_recorded() -> None:
    result = Toy().collect(images(13))
    assert (result.images, result.threads) == (13, torch.get_num_threads())


@pytest.mark.parametrize(
    ("count", "batches"), [(1, [1]), (8, [8]), (13, [8, 5]), (16, [8, 8]), (17, [8, 8, 1])]
)
def test_progress_adds_up_to_the_images(count: int, batches: list[int]) -> None:
    told: list[int] = []
    toy = Toy()
    collect(toy, toy.observers, images(count), on_batch=told.append)
    assert told == batches


def test_images_are_drawn_only_as_they_are_needed() -> None:
    drawn = 0
    drawn_at: list[int] = []

    def stream() -> Iterator[Image]:
        nonlocal drawn
        for image in images(17):
            drawn += 1
            yield image

    toy = Toy()
    collect(toy, toy.observers, stream(), on_batch=lambda _: drawn_at.append(drawn))
    assert drawn_at == [8, 16, 17]


def test_the_network_runs_without_gradients() -> None:
    modes: list[bool] = []
    toy = Toy()
    collect(
        toy,
        toy.observers,
        images(1),
        on_batch=lambda _: modes.append(torch.is_inference_mode_enabled()),
    )
    assert modes == [True]
    assert not torch.is_inference_mode_enabled()


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one image, found none"):
        Toy().collect([])


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_an_activation_that_is_not_finite_is_refused_by_name(broken: float) -> None:
    given = images(3)
    given[2][0, 0, 0] = broken
    with pytest.raises(ValueError, match="input: expected finite activations"):
        Toy().collect(given)


def test_an_observer_that_is_not_in_the_network_is_refused_by_name() -> None:
    toy = Toy()
    toy.observers["layer9.conv1"] = ActivationObserver()
    with pytest.raises(ValueError, match=r"layer9\.conv1: expected to be observed"):
        toy.collect(images(1))
