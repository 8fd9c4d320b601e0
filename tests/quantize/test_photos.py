"""Photo files: a user's own, as far as they can be used, or synthetic ones."""

from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.models.images.decoding import decode_image
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing
from eightbit.quantize.photos import read_photos, synthetic_photos
from eightbit.quantize.stages import Silence

SPEC = ModelSpec(
    architecture=Architecture.CIFAR_RESNET20,
    num_classes=10,
    preprocessing=Preprocessing(resize=32, crop=32),
)


def test_synthetic_photos_are_jpeg_files_and_the_same_every_time() -> None:
    photos = synthetic_photos()
    assert photos == synthetic_photos()
    assert photos.described == "synthetic JPEG, 500 x 375 pixels"
    assert len(set(photos.files)) == len(photos.files) == 4
    for file in photos.files:
        assert file.startswith(b"\xff\xd8\xff")
        assert decode_image(file).size == (500, 375)
        assert 40_000 < len(file) < 120_000  # as photographs of that size are


def test_the_first_usable_photos_are_taken(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "00.png").write_bytes(b"garbage")
    for number, path in enumerate(sorted(photos.rglob("*.png"))[:20]):
        (folder / f"{number + 1:02}.png").write_bytes(path.read_bytes())
    found = read_photos(folder, SPEC, Silence())
    assert found.files == tuple((folder / f"{n:02}.png").read_bytes() for n in range(1, 17))
    width, height = decode_image(found.files[0]).size
    assert found.described == f"16 photos of mine, about {width} x {height} pixels"


def test_without_a_usable_photo_there_is_nothing_to_measure(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"garbage")
    with pytest.raises(InputError, match="expected a photo that can be used, found none"):
        read_photos(tmp_path, SPEC, Silence())
