"""A desk on which the pages' snippets find what they speak of."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.docs.pages import CLASSES, ROOT

from eightbit.benchmarks.runtimes.available import Availability
from eightbit.models import import_torchvision
from eightbit.models.digits import LABELS, WEIGHTS_FILE, load_digits_split, write_class_folders
from eightbit.quantize import pipeline
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.verify import verification

PER_CLASS = 3

# Larger than the network's input and of odd sides, so that every step of a preprocessing shows.
PHOTO_SIZE = (61, 47)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files that the pages name; its contents are handwritten digits.

    It is the working directory of all these tests. What they quantize is not timed, and executed
    only as it would be by itself: the rest takes minutes and says nothing of a page.
    """
    import_torchvision()  # where it is no match for torch, `import torchvision` works behind this
    folder = tmp_path_factory.mktemp("desk")
    _write_photos(folder)
    weights = load_file(ROOT / "models" / "assets" / WEIGHTS_FILE)
    torch.save(weights, folder / "cifar_resnet20.pth")
    grey = weights["conv1.weight"][:, :1].clone()
    torch.save({**weights, "conv1.weight": grey}, folder / "grey.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
        patch.setattr(verification, "executions", lambda *_, **__: Availability())
        yield folder


def _write_photos(folder: Path) -> None:
    digits = load_digits_split()
    for name, part in (
        ("cifar10-calibration", digits.training),
        ("cifar10-evaluation", digits.held_out),
    ):
        chosen = np.concatenate(
            [np.flatnonzero(part.labels == label)[:PER_CLASS] for label in range(len(LABELS))]
        )
        write_class_folders(part.images[chosen], part.labels[chosen], folder / name)
        with tarfile.open(folder / f"{name}.tar", "w") as archive:
            archive.add(folder / name, arcname=".")
    photo = Image.fromarray(digits.held_out.images[0]).resize(PHOTO_SIZE)
    photo.save(folder / "photo.png")
    photo.resize((4000, 3000)).save(folder / "photo.jpg", quality=90)
    (folder / "cifar10.txt").write_text("\n".join(CLASSES))
