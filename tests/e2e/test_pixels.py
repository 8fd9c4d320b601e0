"""Real networks on real photos: pixels in, the logits of preprocessed images out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eightbit.benchmarks import open_runner
from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.calibration import collect
from eightbit.models import Architecture, load_pretrained
from eightbit.models.images.preprocessing import nearest_pixels
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.quantize import Mode, QuantConfig, fuse, make_recipe, observe
from eightbit.quantize.artifacts.write import write_artifacts
from eightbit.quantize.bundle import MODELS
from eightbit.quantize.images import UsableImages
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.stages import Stages

IMAGES = 64


@pytest.mark.parametrize(
    ("architecture", "weights", "side", "formats"),
    [
        (Architecture.CIFAR_RESNET20, "cifar_resnet20.pth", 32, tuple(InputFormat)),
        # The layout that is transposed inside stands for both: the other differs from it by that.
        (
            Architecture.RESNET18,
            "resnet18_cifar10_64px.pth",
            64,
            (InputFormat.FLOAT32, InputFormat.UINT8_NHWC),
        ),
    ],
    ids=["cifar_resnet20", "resnet18 at 64 px"],
)
def test_the_logits_of_a_real_network_are_the_same_bit_for_bit(
    architecture: Architecture,
    weights: str,
    side: int,
    formats: tuple[InputFormat, ...],
    shared_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    pretrained = load_pretrained(
        architecture,
        str(shared_file(f"weights/{weights}")),
        resize=side,
        crop=side,
    )
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    with open_source(shared_file("data/cifar10-evaluation.tar")) as source:
        order = balanced_order(source.items, seed=0)
        drawn = UsableImages(source, order, pretrained.spec.preprocessing, limit=IMAGES)
        images = np.stack([image.pixels for image in drawn])
    collected = collect(observed.module, observed.observers, images[:32])
    recipe = make_recipe(fused, collected, pretrained, QuantConfig())
    for taken in formats:
        # That they have the same integers: see `test_cli_pixels`.
        config = recipe.config.model_copy(update={"input": taken})
        folder = tmp_path / taken
        folder.mkdir()
        written = recipe.model_copy(update={"config": config})
        write_artifacts(Quantized(network=fused, recipe=written), tuple(FORMATS), folder, Stages())
    pixels = nearest_pixels(images.transpose(0, 2, 3, 1), pretrained.spec.preprocessing)
    for model in MODELS:
        logits = {}
        for taken in formats:
            runner = open_runner(tmp_path / taken / model, threads=1)
            logits[taken] = runner(images)
            if taken is InputFormat.UINT8_NHWC:
                assert np.array_equal(runner(pixels), logits[taken]), model
        expected = logits[InputFormat.FLOAT32]
        assert expected.shape == (IMAGES, 10)
        for taken, found in logits.items():
            assert np.array_equal(found, expected), (model, taken)
