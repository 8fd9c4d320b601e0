"""A float network beside labels and pixels that it was not trained with."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from eightbit.benchmarks.accuracy.tally import AccuracyResult, ClassificationTally
from eightbit.benchmarks.report.plausibility import (
    Doubt,
    PlausibilitySection,
    one_class_warning,
    plausible_check,
)
from eightbit.models import Architecture, ModelSpec, Preprocessing
from eightbit.models.images.preprocessing import normalised_images
from eightbit.quantize.images import LabelledSource, open_labelled
from eightbit.quantize.measure.plausibility import PlausibilityMeter
from eightbit.quantize.stages import Stages

SIDE = 8
# Red, green and blue of each class, with more red than blue: with blue first they are others.
COLOURS = ((230, 40, 20), (240, 150, 60), (120, 20, 10), (210, 200, 90), (90, 40, 60), (30, 60, 20))
NAMES = ("0", "1", "10", "2", "3", "4")
PER_CLASS = 20

IMAGENET = Preprocessing(resize=SIDE, crop=SIDE)
HALF = IMAGENET.model_copy(update={"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
PIXELS = IMAGENET.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)})


class NearestColour(nn.Module):
    """Trained on those colours as one preprocessing gives them: the nearest one is the class."""

    def __init__(self, trained_with: Preprocessing, *, bgr: bool = False) -> None:
        super().__init__()
        pixels = np.asarray(COLOURS, dtype=np.uint8)[:, None, None, :]
        colours = torch.from_numpy(normalised_images(pixels, trained_with)[:, :, 0, 0])
        self.colours = colours.flip(1) if bgr else colours

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (N, classes), steep enough to be sure of itself."""
        return -100 * torch.cdist(x.mean(dim=(2, 3)), self.colours)


class OneClass(nn.Module):
    """The same answer to everything."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (N, classes)."""
        return torch.eye(len(COLOURS))[2].repeat(len(x), 1)


class Blind(nn.Module):
    """An answer that has nothing to do with the class."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (N, classes)."""
        noise = (x.flatten(1).abs().sum(1) * 1000).long() % len(COLOURS)
        return 0.1 * nn.functional.one_hot(noise, len(COLOURS)).float()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Noisy pictures of each colour in folders of these names."""

    def make(names: tuple[str, ...] = NAMES, per_class: int = PER_CLASS) -> Path:
        root = tmp_path_factory.mktemp("colours")
        rng = np.random.default_rng(0)
        for name, colour in zip(names, COLOURS, strict=True):
            (root / name).mkdir()
            for number in range(per_class):
                noise = rng.integers(-15, 16, (SIDE, SIDE, 3))
                pixels = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / name / f"{number}.png")
        return root

    return make


def _spec(preprocessing: Preprocessing, labels: tuple[str, ...] | None) -> ModelSpec:
    return ModelSpec(
        architecture=Architecture.RESNET18,
        num_classes=len(COLOURS),
        labels=labels,
        preprocessing=preprocessing,
    )


def _judged(
    network: nn.Module,
    folder: Path,
    preprocessing: Preprocessing = IMAGENET,
    labels: tuple[str, ...] | None = NAMES,
    image_labels: Mapping[str, str] | None = None,
) -> tuple[PlausibilitySection, AccuracyResult]:
    spec = _spec(preprocessing, labels)
    data = open_labelled(folder, spec, image_labels, None)
    with data.source:
        return _measured(network, data, spec)


def _measured(
    network: nn.Module, data: LabelledSource, spec: ModelSpec
) -> tuple[PlausibilitySection, AccuracyResult]:
    meter = PlausibilityMeter(data, spec, seed=0)
    tally = ClassificationTally(())
    items = data.source.items
    for start in range(0, len(items), 16):
        part = items[start : start + 16]
        names = [item.name for item in part]
        pixels = np.stack([_pixels(data, item) for item in part])
        batch = torch.from_numpy(normalised_images(pixels, spec.preprocessing))
        logits = network(batch).numpy()
        truth = None if data.labels is None else [data.labels[name] for name in names]
        tally.update(logits, {}, truth, names)
        meter.update(names, logits)
    accuracy = tally.reference_result()
    return meter.result(accuracy, lambda: network, Stages()), accuracy


def _pixels(data: LabelledSource, item: object) -> np.ndarray:
    import io

    return np.asarray(Image.open(io.BytesIO(data.source.read(item))))


def test_a_network_on_what_it_was_trained_with_is_plausible(pictures) -> None:
    found, accuracy = _judged(NearestColour(IMAGENET), pictures())
    assert found.doubts == found.alternatives == ()
    check = plausible_check(found, accuracy)
    assert check is not None
    assert check.passed
    assert check.detail == (
        "top-1 100.0 % [97.0, 100.0] of 120 images, 16.7 % by chance, mean confidence 100.0 %"
    )


def test_the_order_in_which_folders_were_sorted_is_named(pictures) -> None:
    """Trained by ImageFolder (0, 1, 10, 2, ...), evaluated in the order of the numbers."""
    taken = ("0", "1", "2", "3", "4", "10")
    found, accuracy = _judged(NearestColour(IMAGENET), pictures(), labels=taken)
    assert set(found.doubts) == {Doubt.OVERCONFIDENT, Doubt.OTHER_ORDER}
    assert found.best is not None
    assert found.best.name == "classes in sorted order"
    assert found.best.top1 == 1
    check = plausible_check(found, accuracy)
    assert check is not None
    assert not check.passed
    assert "top-1 33.3 %" in check.detail
    assert "mean confidence 100.0 %" in check.detail
    assert "causes in order: the order of the classes, the preprocessing, or" in check.detail
    assert (
        "classes in sorted order gives 100.0 % [97.0, 100.0] of 120: --labels FILE" in check.detail
    )


def test_an_order_that_nobody_uses_is_told_by_its_classes(pictures) -> None:
    names = ("ant", "bee", "cat", "dog", "elk", "fox")
    taken = ("cat", "ant", "fox", "bee", "elk", "dog")
    found, _ = _judged(NearestColour(IMAGENET), pictures(names), labels=taken)
    assert found.best is not None
    assert found.best.name == "classes in sorted order"
    taken_too = ("bee", "ant", "cat", "dog", "elk", "fox")
    unsorted = ("x", "c", "f", "b", "e", "d")
    by_index = dict(zip(taken_too, unsorted, strict=True))
    found, _ = _judged(
        NearestColour(IMAGENET),
        pictures(tuple(by_index[name] for name in names)),
        labels=tuple(by_index[name] for name in taken_too),
    )
    assert Doubt.OTHER_ORDER in found.doubts
    assert found.best is not None
    assert (found.best.name, found.best.top1) == ("classes in another order", 1)
    assert "'x' is answered as 'c', 'c' is answered as 'x'" in found.best.option


@pytest.mark.parametrize(
    ("network", "taken", "name", "option"),
    [
        (NearestColour(IMAGENET, bgr=True), IMAGENET, "BGR", "weight.flip(1)"),
        (NearestColour(HALF), PIXELS, "mean and std 0.5", "--mean 0.5 0.5 0.5 --std 0.5 0.5 0.5"),
        (NearestColour(PIXELS), HALF, "pixels 0 to 255", "--mean 0 0 0 --std 0.00392157"),
        (
            NearestColour(IMAGENET),
            IMAGENET.model_copy(
                update={"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
            ),
            "mean and std divided by 255",
            "--mean 0.485 0.456 0.406 --std 0.229 0.224 0.225",
        ),
        (
            NearestColour(PIXELS, bgr=True),
            IMAGENET,
            "BGR, pixels 0 to 255",
            "--std 0.00392157 0.00392157 0.00392157; the weights expect blue first",
        ),
    ],
    ids=["bgr", "half", "unscaled", "of 255", "unscaled bgr"],
)
def test_the_reading_of_the_pixels_that_a_network_was_trained_with_is_found(
    pictures, network: nn.Module, taken: Preprocessing, name: str, option: str
) -> None:
    found, _ = _judged(network, pictures(), taken)
    assert found.doubts
    assert found.tried_images == 120
    assert found.best is not None
    assert found.best.top1 == 1
    (named,) = (one for one in found.alternatives if one.name == name)
    assert (named.top1, named.better) == (1, True)
    assert option in named.option
    assert found.as_taken is not None
    assert found.as_taken < 0.7


def test_where_nothing_helps_that_is_said(pictures) -> None:
    found, accuracy = _judged(Blind(), pictures())
    assert found.doubts == (Doubt.AT_CHANCE,)
    assert found.best is None
    check = plausible_check(found, accuracy)
    assert check is not None
    assert "not above the rate of chance" in check.detail
    assert f"none of {len(found.alternatives)} alternatives tried is better" in check.detail


def test_one_class_for_everything_is_not_plausible(pictures) -> None:
    found, _ = _judged(OneClass(), pictures())
    assert found.doubts == (Doubt.AT_CHANCE, Doubt.ONE_CLASS)
    assert (found.classes_present, found.classes_predicted) == (6, 1)


def test_few_images_leave_no_doubt_and_say_so(pictures) -> None:
    found, accuracy = _judged(Blind(), pictures(per_class=1))
    assert (found.doubts, found.enough_images) == ((), False)
    check = plausible_check(found, accuracy)
    assert check is not None
    assert check.passed
    assert check.detail.startswith("too few images to tell it from chance; top-1 ")


def test_without_labels_one_class_for_many_images_is_a_warning(pictures, tmp_path: Path) -> None:
    for picture in pictures().glob("*/*.png"):
        picture.rename(tmp_path / f"{picture.parent.name}-{picture.name}")
    found, accuracy = _judged(OneClass(), tmp_path)
    assert found == PlausibilitySection(classes_predicted=1)
    assert plausible_check(found, accuracy) is None
    assert one_class_warning(found, 120).startswith("The float model gives all 120 images the same")
    assert one_class_warning(found, 12) == ""
    assert one_class_warning(_judged(NearestColour(IMAGENET), tmp_path)[0], 120) == ""


def test_no_more_pixels_are_held_than_of_256_images_of_224() -> None:
    large = IMAGENET.model_copy(update={"resize": 1024, "crop": 1024})

    class Source:
        items = ()

    meter = PlausibilityMeter(
        LabelledSource(source=Source(), classes=None), _spec(large, None), seed=0
    )
    assert meter.limit == 16
