"""Small models packed for other machines, and the emulated ones that they go to.

Emulated ARM takes downloads and minutes: these tests run where `make arm64` says that they shall.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.studies.arm64.processors import arm_problem
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import Delivery, pipeline, quantize
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.deploy.archive import archive_of, bundle_files
from eightbit.quantize.measure.latency import Timing

NETWORKS = {
    "cifar_resnet20": (Architecture.CIFAR_RESNET20, 32),
    "resnet18": (Architecture.RESNET18, 64),
    "resnet50": (Architecture.RESNET50, 64),
}


@pytest.fixture(scope="session")
def arm() -> Path:
    """What `make arm64` made; elsewhere the test skips."""
    given = os.environ.get("EIGHTBIT_ARM64")
    if not given:
        pytest.skip("emulated ARM is not asked for: `make arm64` does")
    folder = Path(given)
    problem = arm_problem(folder)
    assert problem is None, problem
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize((76, 64), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def made(
    arm: Path,
    random_network: Callable[..., Pretrained],
    photos: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Path, Path]]:
    """Quantize and pack a network with random weights: the bundle, and the archive."""
    done: dict[str, tuple[Path, Path]] = {}

    def make(name: str) -> tuple[Path, Path]:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            architecture, side = NETWORKS[name]
            delivery = Delivery(out=folder / "out", formats=(ONNX.key,), threads=1)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
                report = quantize(random_network(architecture, side=side), photos, delivery)
            archive = folder / "model.zip"
            archive.write_bytes(archive_of(bundle_files(open_bundle(delivery.out), report)))
            done[name] = delivery.out, archive
        return done[name]

    return make
