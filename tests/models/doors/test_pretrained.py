import hashlib
import http.server
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from eightbit.models.doors.pretrained import _named_weights, changed, load_pretrained
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.images.preprocessing import cropped_pixels
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture, Preprocessing, Size

SMALL = Architecture.CIFAR_RESNET20
models = import_torchvision().models


@pytest.fixture
def local_file(tmp_path: Path) -> Path:
    torch.manual_seed(2)
    torch.save(build_model(SMALL, num_classes=4).state_dict(), tmp_path / "mine.pth")
    return tmp_path / "mine.pth"


@pytest.fixture(scope="module")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resnet18 checkpoint whose name holds its hash, as torchvision's do."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(3)
    torch.save(build_model(Architecture.RESNET18).state_dict(), folder / "x.pth")
    digest = hashlib.sha256((folder / "x.pth").read_bytes()).hexdigest()
    return (folder / "x.pth").rename(folder / f"resnet18-{digest[:8]}.pth")


@pytest.fixture
def server(resnet18_file: Path) -> Iterator[str]:
    """Serve the checkpoint's folder on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(resnet18_file.parent))

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, and no proxy between us and this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def set_url(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    entry = models.ResNet18_Weights.IMAGENET1K_V1
    return lambda url: monkeypatch.setattr(entry.value, "url", url)


def test_a_file_has_the_architectures_preprocessing_and_no_labels(local_file: Path) -> None:
    found = load_pretrained(SMALL, str(local_file))
    assert found.source == "mine.pth"
    assert found.spec.num_classes == 4
    assert found.spec.labels is None
    assert found.spec.preprocessing == Preprocessing(resize=32, crop=32)
    assert found.weights_sha256 == hashlib.sha256(local_file.read_bytes()).hexdigest()
    assert not any(module.training for module in found.model.modules())
    stored = torch.load(local_file)
    for key, value in found.model.state_dict().items():
        assert torch.equal(value, stored[key])


def test_averaged_weights_are_taken_by_their_key(local_file: Path, tmp_path: Path) -> None:
    raw = torch.load(local_file)
    averaged = {key: value + 1 for key, value in raw.items()}
    content = {"state_dict": raw, "state_dict_ema": {**averaged, "val_acc.n": torch.tensor(3)}}
    torch.save(content, tmp_path / "both.pth")
    with pytest.raises(InputError, match="--weights-key state_dict or --weights-key state_dict_"):
        load_pretrained(SMALL, str(tmp_path / "both.pth"))
    found = load_pretrained(SMALL, str(tmp_path / "both.pth"), weights_key="state_dict_ema")
    assert (found.source, found.weights_key) == ("both.pth[state_dict_ema]", "state_dict_ema")
    assert found.notes == ("left out beside the network: val_acc.n",)
    assert torch.equal(found.model.state_dict()["fc.bias"], averaged["fc.bias"])
    plain = load_pretrained(SMALL, str(local_file))
    assert (plain.weights_key, plain.notes) == (None, ())


def test_a_key_beside_a_name_of_torchvisions_is_refused() -> None:
    with pytest.raises(InputError, match="--weights-key: expected it with a file, found DEFAULT"):
        load_pretrained(Architecture.RESNET18, "DEFAULT", weights_key="model")


def test_the_network_is_of_float32_whatever_the_default_is(local_file: Path) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        model = load_pretrained(SMALL, str(local_file)).model
    finally:
        torch.set_default_dtype(torch.float32)
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in model.buffers()} == {torch.float32, torch.int64}


def test_labels_and_preprocessing_can_be_given_whole_or_in_part(local_file: Path) -> None:
    whole = Preprocessing(resize=40, crop=36, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    labels = ("a", "b", "c", "d")
    found = load_pretrained(SMALL, str(local_file), labels=labels, preprocessing=whole)
    assert (found.spec.labels, found.spec.preprocessing) == (labels, whole)
    found = load_pretrained(SMALL, str(local_file), resize=36, std=(1.0, 1.0, 1.0))
    expected = Preprocessing(resize=36, crop=32, std=(1.0, 1.0, 1.0))
    assert found.spec.preprocessing == expected
    found = load_pretrained(SMALL, str(local_file), preprocessing=whole, crop=8)
    assert found.spec.preprocessing == whole.model_copy(update={"crop": 8})


@pytest.mark.parametrize(
    ("known", "crop", "resize"),
    [
        ((256, 224), (224, 320), (256, 366)),
        ((256, 224), (96, 160), (110, 183)),
        ((32, 32), (24, 48), (24, 48)),
        ((20, 32), (24, 48), (24, 48)),  # not black around, as that of a square would be
        (((256, 366), (224, 320)), 224, 256),
        (((256, 366), (224, 320)), (112, 160), (128, 183)),
    ],
)
def test_a_crop_that_is_no_square_lies_within_the_resized_image(
    known: tuple[Size, Size], crop: Size, resize: Size
) -> None:
    """With the room around it that the known crop has."""
    nothing = (None,) * 5
    given = Preprocessing(resize=known[0], crop=known[1])
    found = changed(given, None, crop, *nothing)
    assert (found.resize, found.crop) == (resize, crop)
    assert changed(given, 40, crop, *nothing).resize == 40
    assert changed(given, None, given.crop, *nothing) == given
    for width, height in ((5, 3), (3, 5), (1, 1)):
        white = Image.new("RGB", (width, height), "white")
        assert cropped_pixels(white, found).min() == 255


def test_a_square_crop_leaves_the_resize_of_a_square_as_it_is() -> None:
    assert changed(Preprocessing(), None, 96, *(None,) * 5) == Preprocessing(resize=256, crop=96)
    assert changed(Preprocessing(), None, (8000, 100), *(None,) * 5).resize == (8192, 114)


def test_a_recorded_preprocessing_is_taken_as_it_is(local_file: Path) -> None:
    recorded = Preprocessing(resize=32, crop=32, mean=(123.675, 116.28, 103.53))
    found = load_pretrained(SMALL, str(local_file), preprocessing=recorded)
    assert found.spec.preprocessing == recorded


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ("a", "b")}, "expected 4 names, one per class, found 2"),
        ({"crop": 0}, "preprocessing: crop: .*found 0"),
        ({"crop": (4, 0)}, "preprocessing: crop: .*greater than or equal to 1, found 0"),
        ({"resize": (4, 9999)}, "preprocessing: resize: .*less than or equal to 8192, found 9999"),
        ({"std": (0.1, 0.0, 0.1)}, "preprocessing: std"),
        (
            {"mean": (123.675, 116.28, 103.53)},
            r"mean: expected at most 1, .*found 123.675.*; divide by 255: 0.485 0.456 0.406",
        ),
        (
            {"std": (58.395, 57.12, 57.375)},
            r"std: expected at most 1, .*found 58.395.*; divide by 255: 0.229 0.224 0.225",
        ),
    ],
)
def test_arguments_that_do_not_suit_the_weights_are_refused(
    arguments: dict[str, Any], message: str, local_file: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_pretrained(SMALL, str(local_file), **arguments)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_a_classifier_is_refused(tmp_path: Path) -> None:
    torch.save(build_model(SMALL, include_top=False).state_dict(), tmp_path / "x.pth")
    with pytest.raises(InputError, match="expected a classifier"):
        load_pretrained(SMALL, str(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("architecture", "weights", "message"),
    [
        (SMALL, "DEFAULT", "torchvision has no weights.*found 'DEFAULT'"),
        (Architecture.RESNET18, "IMAGENET1K_V9", "expected IMAGENET1K_V1, DEFAULT or the path"),
        (Architecture.RESNET18, "default", "expected IMAGENET1K_V1"),
        (Architecture.RESNET18, "ResNet50_Weights.IMAGENET1K_V1", "expected IMAGENET1K_V1"),
        (Architecture.RESNET18, "", "expected IMAGENET1K_V1"),
        (Architecture.RESNET18, "nowhere.pth", "nowhere.pth: .*no such file"),
        (Architecture.RESNET18, "./IMAGENET1K_V1", "IMAGENET1K_V1: .*no such file"),
    ],
)
def test_weights_that_do_not_exist_are_refused_with_those_that_do(
    architecture: Architecture, weights: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_pretrained(architecture, weights)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", [a for a in Architecture if not a.is_cifar])
def test_all_of_torchvisions_weights_are_such_as_our_preprocessing_does(
    architecture: Architecture,
) -> None:
    named = _named_weights(architecture)
    assert "DEFAULT" in named
    for entry in named.values():
        preset = entry.transforms()
        assert preset.interpolation.value == "bilinear"
        assert preset.antialias is True
        assert len(preset.resize_size) == len(preset.crop_size) == 1
        assert len(entry.meta["categories"]) == 1000
        assert re.search(r"-[0-9a-f]{8}\.pth$", entry.url)


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1", "ResNet18_Weights.IMAGENET1K_V1"])
def test_named_weights_are_downloaded_once_and_described_by_torchvision(
    weights: str,
    server: str,
    resnet18_file: Path,
    cache: Path,
    set_url: Callable[[str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    set_url(f"{server}/{resnet18_file.name}")
    found = load_pretrained(Architecture.RESNET18, weights)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "100" in captured.err  # a percentage, of tqdm's bar or of torch's own
    assert [path.name for path in cache.iterdir()] == [resnet18_file.name]
    assert found.source == "ResNet18_Weights.IMAGENET1K_V1"
    assert found.spec.preprocessing == Preprocessing(resize=256, crop=224)
    assert found.spec.labels is not None
    assert found.spec.labels[:2] == ("tench", "goldfish")
    assert found.weights_sha256.startswith(resnet18_file.stem.split("-")[1])
    set_url(f"http://127.0.0.1:9/{resnet18_file.name}")  # from now on nobody answers
    again = load_pretrained(Architecture.RESNET18, weights, progress=False)
    assert again.weights_sha256 == found.weights_sha256
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_torchvisions_own_is_recognised_by_its_digest(
    resnet18_file: Path, tmp_path: Path, set_url: Callable[[str], None]
) -> None:
    set_url(f"http://127.0.0.1:9/{resnet18_file.name}")
    shutil.copy(resnet18_file, tmp_path / "renamed.pth")
    found = load_pretrained(Architecture.RESNET18, str(tmp_path / "renamed.pth"))
    assert found.source == "ResNet18_Weights.IMAGENET1K_V1"
    assert found.spec.labels is not None


def test_version_two_weights_have_their_own_preprocessing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {
        key: torch.zeros(value.shape, dtype=value.dtype)
        for key, value in build_model(Architecture.RESNET50).state_dict().items()
    }
    torch.save(state, tmp_path / "x.pth")
    digest = hashlib.sha256((tmp_path / "x.pth").read_bytes()).hexdigest()
    entry = models.ResNet50_Weights.IMAGENET1K_V2
    monkeypatch.setattr(entry.value, "url", f"https://nowhere.invalid/resnet50-{digest[:8]}.pth")
    found = load_pretrained(Architecture.RESNET50, str(tmp_path / "x.pth"))
    assert found.spec.preprocessing == Preprocessing(resize=232, crop=224)


@pytest.mark.parametrize("name", ["resnet18-0123abcd.pth", "missing-0123abcd.pth"])
def test_a_failed_download_says_what_to_put_where_and_leaves_nothing(
    name: str, server: str, resnet18_file: Path, cache: Path, set_url: Callable[[str], None]
) -> None:
    if name.startswith("resnet18"):  # served, with another hash than its name promises
        shutil.copy(resnet18_file, resnet18_file.parent / name)
    set_url(f"{server}/{name}")
    reason = "invalid hash" if name.startswith("resnet18") else "404"
    expected = f"cannot be downloaded.*{reason}.*put {name} into {cache}, or give the path"
    with pytest.raises(InputError, match=expected) as caught:
        load_pretrained(Architecture.RESNET18, "DEFAULT", progress=False)
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_without_a_network_the_message_is_one_line(
    cache: Path, set_url: Callable[[str], None]
) -> None:
    set_url("http://127.0.0.1:9/resnet18-0123abcd.pth")
    with pytest.raises(InputError, match=f"refused.*put resnet18-0123abcd.pth into {cache}"):
        load_pretrained(Architecture.RESNET18, "DEFAULT")


def test_a_damaged_file_in_the_cache_is_named(
    resnet18_file: Path, cache: Path, set_url: Callable[[str], None]
) -> None:
    cache.mkdir(parents=True)
    shutil.copy(resnet18_file, cache / "resnet18-0123abcd.pth")
    set_url("http://127.0.0.1:9/resnet18-0123abcd.pth")
    with pytest.raises(InputError, match=r"resnet18-0123abcd\.pth: expected SHA-256.*delete"):
        load_pretrained(Architecture.RESNET18, "DEFAULT")
