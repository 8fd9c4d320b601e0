"""Good inputs, which are damaged in copies."""

import zipfile
from pathlib import Path

import pytest
from tests.hostile.inputs.kinds import Good
from tests.quantize.conftest import picture, write_checkpoint

from eightbit.benchmarks.runtimes.available import Availability
from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.spec import Architecture
from eightbit.quantize import pipeline
from eightbit.quantize.config import Delivery
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.verify import verification


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    root = tmp_path_factory.mktemp("good")
    photos = root / "photos"
    for index in range(10):
        (photos / str(index)).mkdir(parents=True)
        picture(index).save(photos / str(index) / "0.png")
    picture(99).save(root / "photo.jpg")
    with zipfile.ZipFile(root / "photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, path.relative_to(photos))
    checkpoint = write_checkpoint(root / "tiny.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
        patch.setattr(verification, "executions", lambda *_, **__: Availability())
        pipeline.quantize(
            load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint)),
            photos,
            Delivery(out=root / "bundle", threads=1),
        )
    return Good(
        checkpoint=checkpoint,
        photos=photos,
        photo=root / "photo.jpg",
        bundle=root / "bundle",
        archive=root / "photos.zip",
        answers=_answers(root),
    )


def _answers(root: Path) -> Path:
    path = root / "answers.json"
    path.write_text(
        '{"format_version": 1, "model_sha256": "' + "0" * 64 + '", "machine": "aarch64", '
        '"processor": "none", "versions": {"python": "3.11"}, "self_test_sha256": "'
        + "0" * 64
        + '", "pixels_sha256": ["'
        + "0" * 64
        + '"], "logits": [[1.0, 2.0]]}'
    )
    return path
