import hashlib
import importlib.resources
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
from torch import nn

from eightbit.benchmarks.studies import train_digits
from eightbit.benchmarks.studies.train_digits import _augmented, _normalised, count_correct, train
from eightbit.models import digits
from eightbit.models.class_match import LabelRule, match_classes
from eightbit.models.digits import (
    HELD_OUT_CORRECT,
    LABELS,
    WEIGHTS_FILE,
    Digits,
    DigitsSplit,
    load_digits_split,
    split_indices,
    write_class_folders,
)
from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.loading import LoadedImage, load_images
from eightbit.models.images.sources import open_source
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing


@pytest.fixture(scope="module")
def split() -> DigitsSplit:
    pytest.importorskip("sklearn", reason="the digits are in scikit-learn")
    return load_digits_split()


@pytest.fixture(scope="module")
def all_labels(split: DigitsSplit) -> npt.NDArray[np.int64]:
    del split  # where it can be read, so can this
    return digits._read_digits()[1]


def shipped_weights() -> Path:
    path = importlib.resources.files("eightbit.models") / "assets" / WEIGHTS_FILE
    assert isinstance(path, Path)
    return path


def test_the_parts_are_disjoint_and_complete(all_labels: npt.NDArray[np.int64]) -> None:
    training, held_out = split_indices(all_labels)
    assert sorted([*training, *held_out]) == list(range(1797))
    assert (len(training), len(held_out)) == (1080, 717)


def test_no_image_is_in_both_parts(split: DigitsSplit) -> None:
    training = {image.tobytes() for image in split.training.images}
    assert training.isdisjoint(image.tobytes() for image in split.held_out.images)


def test_the_training_images_are_balanced_and_no_class_is_rare_among_the_others(
    split: DigitsSplit,
) -> None:
    assert np.bincount(split.training.labels).tolist() == [108] * 10
    counts = np.bincount(split.held_out.labels, minlength=10)
    assert (counts.min(), counts.max()) == (66, 75)


def test_the_split_is_the_same_on_every_machine_and_with_every_version(
    all_labels: npt.NDArray[np.int64],
) -> None:
    training, held_out = split_indices(all_labels)
    assert hashlib.sha256(training.astype("<i8").tobytes()).hexdigest()[:16] == "5598294e5a36d446"
    assert held_out[:8].tolist() == [3, 4, 8, 9, 11, 12, 15, 21]


def test_a_digit_becomes_an_enlarged_rgb_photo_with_its_whole_range() -> None:
    values = np.zeros((8, 8), dtype=np.int64)
    values[:, 4:] = 16
    photo = digits._as_photo(values)
    assert (photo.shape, photo.dtype) == ((32, 32, 3), np.uint8)
    assert np.ptp(photo, axis=2).max() == 0
    assert photo[0, 0, 0] == 0
    assert photo[0, -1, 0] == 255
    # Bilinear: pixel centres at 1/8, 3/8, 5/8 and 7/8 between two of the small image.
    assert photo[0, 14:18, 0].tolist() == [32, 96, 159, 223]
    middle = digits._as_photo(np.full((8, 8), 8, dtype=np.int64))
    assert np.unique(middle).tolist() == [128]


def test_class_folders_are_read_like_a_users_own_photos(split: DigitsSplit, tmp_path: Path) -> None:
    some = Digits(images=split.held_out.images[:40], labels=split.held_out.labels[:40])
    write_class_folders(some.images, some.labels, tmp_path / "new" / "digits")
    spec = ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=10, labels=LABELS)
    plain = Preprocessing(resize=32, crop=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    with open_source(tmp_path / "new" / "digits") as source:
        assert len(source.items) == 40
        match = match_classes({item.folder or "" for item in source.items}, spec)
        assert match.rule is LabelRule.LABEL
        for loaded in load_images(source, source.items, plain):
            assert isinstance(loaded, LoadedImage)
            position = int(Path(loaded.item.name).stem)
            assert match.indices[loaded.item.folder or ""] == some.labels[position]
            pixels = np.rint(loaded.pixels * 255).transpose(1, 2, 0)
            assert np.array_equal(pixels, some.images[position])


def test_images_and_labels_of_different_number_are_refused(
    split: DigitsSplit, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_class_folders(split.training.images[:2], split.training.labels[:1], tmp_path)


def test_without_scikit_learn_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match=r'pip install "eightbit\[demo\]"') as caught:
        load_digits_split()
    assert "\n" not in str(caught.value)


def test_the_shipped_weights_are_small() -> None:
    assert shipped_weights().stat().st_size < 2_000_000


def test_the_shipped_weights_reach_the_documented_accuracy(split: DigitsSplit) -> None:
    found = load_pretrained(Architecture.CIFAR_RESNET20, str(shipped_weights()), labels=LABELS)
    correct = count_correct(found.model, split.held_out)
    # Float convolutions have other last bits on another CPU: one near tie may fall otherwise.
    assert abs(correct - HELD_OUT_CORRECT) <= 1
    assert HELD_OUT_CORRECT / len(split.held_out.labels) >= 0.985


def test_the_seed_determines_the_weights(split: DigitsSplit) -> None:
    few = Digits(images=split.training.images[:8], labels=split.training.labels[:8])
    first, again, other = (train(few, seed=seed, epochs=2).state_dict() for seed in (0, 0, 1))
    for key, value in first.items():
        assert torch.isfinite(value).all()
        assert torch.equal(value, again[key])
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_the_script_trains_on_training_images_only_and_stores_what_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn", reason="the digits are in scikit-learn")
    seen = []

    def untrained(split: Digits, *, seed: int, epochs: int) -> nn.Module:
        seen.append((len(split.labels), seed, epochs))
        return build_model(Architecture.CIFAR_RESNET20, num_classes=10).eval()

    monkeypatch.setattr(train_digits, "train", untrained)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    path = tmp_path / "digits.safetensors"
    train_digits.main(path, seed=3, epochs=2)
    assert seen == [(1080, 3, 2)]
    assert "of 717 right" in capsys.readouterr().out
    keys = safetensors.torch.load_file(path).keys()
    assert not any(key.endswith("num_batches_tracked") for key in keys)
    assert load_pretrained(Architecture.CIFAR_RESNET20, str(path)).spec.num_classes == 10
    assert path.stat().st_mode & 0o777 == 0o644


def test_augmentation_moves_each_image_by_amounts_of_its_own_and_stays_in_range() -> None:
    torch.manual_seed(0)
    pixels = torch.zeros(2, 3, 32, 32)
    pixels[:, :, 8:24, 12:20] = 1.0
    moved = _augmented(pixels)
    assert moved.shape == pixels.shape
    assert 0 <= moved.min() < moved.max() <= 1
    assert not torch.equal(moved[0], moved[1])
    assert moved.sum() == pytest.approx(pixels.sum(), rel=0.25)


def test_training_normalises_as_inference_does() -> None:
    black = _normalised(torch.zeros(1, 3, 1, 1)).flatten()
    expected = [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    assert black.tolist() == pytest.approx(expected)
