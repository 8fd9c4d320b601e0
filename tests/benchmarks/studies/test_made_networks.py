"""Networks of other kinds: each has the trait that it is named after, and the same every time."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from eightbit.benchmarks.studies import made_networks
from eightbit.benchmarks.studies.made_networks import (
    KINDS,
    Kind,
    make_network,
    write_network,
)
from eightbit.benchmarks.studies.made_photos import DITHERED, Oddity, read_photos
from eightbit.models import load_pretrained, preprocess
from eightbit.models.spec import Architecture
from eightbit.quantize.photos import synthetic_pixels

SIDE = 32
TINY = Kind(architecture=Architecture.CIFAR_RESNET20, side=SIDE, seed=1)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return synthetic_pixels(TINY.spec.preprocessing, 24)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(30):
        coarse = Image.fromarray(rng.integers(60, 190, (5, 6, 3), dtype=np.uint8))
        path = folder / f"class-{index % 3}" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        coarse.resize((48, 40), Image.Resampling.BICUBIC).save(path)
    return folder


def norms(kind: Kind, pixels: np.ndarray) -> list[nn.BatchNorm2d]:
    model = make_network(kind, pixels).requires_grad_(False)
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_kind_and_photos_determine_every_weight(pixels):
    first, again = (make_network(TINY, pixels).state_dict() for _ in range(2))
    other = make_network(replace(TINY, seed=2), pixels).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_the_random_state_of_the_caller_stays(pixels):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    make_network(TINY, pixels)
    assert torch.equal(torch.get_rng_state(), before)


def test_logits_tell_photos_apart(pixels):
    model = make_network(TINY, pixels)
    with torch.inference_mode():
        logits = model(torch.from_numpy(pixels))
    np.testing.assert_allclose(logits.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(logits.std(0), 1, atol=1e-3)


def test_outlier_channels_are_many_times_as_large(pixels):
    plain, planted = norms(TINY, pixels), norms(replace(TINY, outlier_gain=8.0), pixels)
    for one, other in zip(plain, planted, strict=True):
        ratio = other.weight / one.weight
        assert ratio.max() == pytest.approx(8)
        assert int((ratio > 2).sum()) == 1


def test_dead_halves_are_below_zero(pixels):
    for one, other in zip(
        norms(TINY, pixels), norms(replace(TINY, dead_shift=1.5), pixels), strict=True
    ):
        lower = (other.bias < one.bias).float().mean()
        assert 0.1 < lower < 0.9


def test_branches_grow_with_depth(pixels):
    plain, grown = norms(TINY, pixels), norms(replace(TINY, residual_gain=1.3), pixels)
    ratios = [
        float((b.weight / a.weight).mean()) for a, b in zip(plain[2::2], grown[2::2], strict=True)
    ]
    np.testing.assert_allclose(ratios, [1.3**n for n in range(9)], rtol=1e-5)


def test_tails_are_heavy_at_the_same_spread(pixels):
    plain, heavy = (
        make_network(replace(TINY, tail=tail), pixels).layer3[2].conv2.weight.detach()
        for tail in (None, 2.5)
    )
    assert float(heavy.std()) == pytest.approx(float(plain.std()), rel=0.05)
    assert heavy.abs().max() > 2 * plain.abs().max()


def test_dithered_photos_are_outliers_to_a_flat_stem(pictures, tmp_path):
    kind = replace(TINY, flat_stem=True, oddity=Oddity(dithered_share=0.1))
    made = write_network(kind, pictures, tmp_path)
    model = made_networks.build_model(kind.architecture, num_classes=kind.num_classes)
    model.load_state_dict(torch.load(made.weights, weights_only=True))
    found: list[torch.Tensor] = []
    model.eval().bn1.register_forward_hook(lambda *call: found.append(call[2]))
    for dithered in (True, False):
        images = (
            _dithered(made.evaluation, kind)
            if dithered
            else read_photos(made.evaluation, kind.spec.preprocessing, 5)
        )
        with torch.inference_mode():
            model(torch.from_numpy(images))
    assert found[0].abs().amax() > 3 * found[1].abs().amax()


def _dithered(folder: Path, kind: Kind) -> np.ndarray:
    (path,) = folder.glob(f"{DITHERED}*")
    return preprocess(Image.open(path), kind.spec.preprocessing)[None]


def test_a_stamped_photo_is_grey_but_for_the_stamp(pictures, tmp_path):
    made = write_network(replace(TINY, oddity=Oddity(stamp=4)), pictures, tmp_path)
    for path in made.evaluation.iterdir():
        pixels = np.asarray(Image.open(path)).astype(int)
        pure = np.isin(pixels, (0, 255)).all(axis=2)
        assert pure.sum() == 16
        assert pixels[~pure].std(axis=0).max() < 5


def test_no_photo_is_for_calibration_and_for_evaluation(pictures, tmp_path):
    made = write_network(replace(TINY, oddity=Oddity(dithered_share=0.1)), pictures, tmp_path)
    digests = [
        {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
        for folder in (made.calibration, made.evaluation)
    ]
    assert [len(found) for found in digests] == [20, 10]
    assert not digests[0] & digests[1]


def test_the_command_line_takes_a_checkpoint_as_it_is_typed(pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(made_networks.KINDS, "tiny", TINY)  # type: ignore[index]
    app = made_networks.typer.Typer()
    app.command()(made_networks.main)
    result = CliRunner().invoke(app, ["--photos", str(pictures), "--out", str(tmp_path), "tiny"])
    assert result.exit_code == 0, result.output
    assert f"quantize cifar_resnet20 --weights {tmp_path}/tiny/weights.pth" in result.output
    loaded = load_pretrained(Architecture.CIFAR_RESNET20, str(tmp_path / "tiny" / "weights.pth"))
    assert loaded.spec.num_classes == TINY.num_classes


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_can_be_built(name):
    kind = KINDS[name]
    with torch.device("meta"):
        model = made_networks.build_model(
            kind.architecture, num_classes=kind.num_classes, **kind.structure
        )
    assert 64 <= kind.side <= 224
    assert model.fc.out_features == kind.num_classes
