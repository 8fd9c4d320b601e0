"""A tiny network, a few dozen pictures, and what the command line makes of them, all offline."""

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.latency import launches
from eightbit.benchmarks.latency.launches import Effort
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.models import Architecture, build_model, default_preprocessing, preprocess
from eightbit.quantize import bundle, pipeline
from eightbit.quantize.cli import entry
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.verify import verification

# The models that a run leaves where nobody says what to write.
DELIVERED = (
    *(format.file() for format in FORMATS.values() if format.by_default),
    bundle.FLOAT_ONNX,
)

CLASSES = 10
IMAGES_PER_CLASS = 4
ARCHITECTURE = "cifar_resnet20"


@dataclass(frozen=True)
class Outcome:
    """What a run of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a refusal; whatever is not just that fails the test."""
        assert self.code == 2, self
        (line,) = self.err.splitlines()
        assert line.startswith("eightbit: ")
        assert len(line) > len("eightbit: ")
        return line


Eightbit = Callable[..., Outcome]


def _no_latency(*_: object, **__: object) -> Timing:
    """Latency takes half a minute and says nothing about these tests."""
    return Timing()


def _no_others(*_: object, **__: object) -> Availability:
    """No execution but each artefact's own: every other one is a process that loads a runtime."""
    return Availability()


def _run(*arguments: object) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    typed = [str(argument) for argument in arguments]
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["eightbit", *typed])
        patch.setattr(pipeline, "time_bundle", _no_latency)
        patch.setattr(verification, "executions", _no_others)
        code = entry.main(typed)
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def eightbit() -> Eightbit:
    """Run the command line in this process.

    `quantize` measures no latency and executes each artefact in its own runtime alone: the real
    command of `test_pipeline` does everything.
    """
    return _run


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> Effort:
    """The least that can be measured; processes do not warm up."""
    monkeypatch.setattr(launches, "_WARM_UP_SECONDS", 0.0)
    return Effort(launches=1, rounds=1, seconds=0.05)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors and shared cores: a second thread would mostly wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache, in which evaluations keep their answers; Matplotlib's stays where it is."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(usual / "matplotlib")))
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


def write_checkpoint(path: Path, seed: int = 0) -> Path:
    """A network with random weights that knows the class of every picture in `photos`.

    Its BatchNorm statistics come from a forward pass, its classifier from least squares.
    """
    torch.manual_seed(seed)
    model = build_model(Architecture(ARCHITECTURE), num_classes=CLASSES).train()
    with torch.no_grad():
        model(torch.randn(32, 3, 32, 32))
        _fit_classifier(model.eval())
    torch.save(model.state_dict(), path)
    return path


def _fit_classifier(model: torch.nn.Module) -> None:
    pictures = [
        preprocess(picture(_seed(index, number)), default_preprocessing(Architecture(ARCHITECTURE)))
        for index in range(CLASSES)
        for number in range(IMAGES_PER_CLASS)
    ]
    found: list[torch.Tensor] = []
    hook = model.fc.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    model(torch.from_numpy(np.stack(pictures)))
    hook.remove()
    features = torch.cat([found[0], torch.ones(len(pictures), 1)], dim=1)
    wanted = 10 * torch.eye(CLASSES).repeat_interleave(IMAGES_PER_CLASS, dim=0)
    solved = torch.linalg.lstsq(features, wanted).solution
    model.fc.weight.copy_(solved[:-1].T)
    model.fc.bias.copy_(solved[-1])


def _seed(index: int, number: int) -> int:
    return 100 * index + number


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Path]:
    """Write the checkpoint of a tiny network; see `write_checkpoint`."""
    return write_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.pth")


def picture(seed: int) -> Image.Image:
    """A few coloured blobs; not quite square, so that the crop has something to do."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return coarse.resize((38, 32), Image.Resampling.BICUBIC)


def like_known(index: int, seed: int) -> Image.Image:
    """A new picture of a class, so close to a known one that the network is sure of it."""
    known = picture(_seed(index, seed % IMAGES_PER_CLASS))
    return Image.blend(known, picture(seed), 0.05)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders "0" to "9"."""
    root = tmp_path_factory.mktemp("images") / "photos"
    for index in range(CLASSES):
        folder = root / str(index)
        folder.mkdir(parents=True)
        for number in range(IMAGES_PER_CLASS):
            picture(_seed(index, number)).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def flat_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures without class folders, none of them among `photos`, but close: no close calls."""
    root = tmp_path_factory.mktemp("images") / "flat"
    root.mkdir()
    for number in range(12):
        like_known(number % CLASSES, 5000 + number).save(root / f"{number}.png")
    return root


@pytest.fixture(scope="session")
def whole_run(
    eightbit: Eightbit, checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """A bundle, evaluated on the very images that calibrated it, and what the run printed."""
    out = tmp_path_factory.mktemp("run") / "bundle"
    command = ("quantize", ARCHITECTURE, "--weights", checkpoint, "--threads", 1)
    outcome = eightbit(*command, "--calibrate", photos, "--evaluate", photos, "--out", out)
    assert outcome.code == 0, outcome
    return out, outcome


@pytest.fixture(scope="session")
def bundle_folder(whole_run: tuple[Path, Outcome]) -> Path:
    """To be read only: copy it to change it."""
    return whole_run[0]


@pytest.fixture(scope="session")
def onnx_bundle(
    eightbit: Eightbit, checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same without TorchScript, to be read only: its processes start in a third of the time."""
    out = tmp_path_factory.mktemp("onnx") / "bundle"
    command = ("quantize", ARCHITECTURE, "--weights", checkpoint, "--threads", 1)
    options = ("--calibrate", photos, "--evaluate", photos, "--formats", "onnx", "--out", out)
    outcome = eightbit(*command, *options)
    assert outcome.code == 0, outcome
    return out


@pytest.fixture(scope="session")
def without_digests() -> Callable[[Path], Path]:
    """Let files of a bundle be exchanged: its report does not say which they were."""

    def forget(folder: Path) -> Path:
        path = folder / "report.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "sha256": {}}))
        return folder

    return forget


@pytest.fixture(scope="session")
def packed(bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive for other machines, to be read only; how fast it starts is not measured."""
    from eightbit.benchmarks import read_report
    from eightbit.quantize.artifacts.open_bundle import open_bundle
    from eightbit.quantize.deploy.archive import archive_of, bundle_files

    out = tmp_path_factory.mktemp("packed") / "model.zip"
    report = read_report(bundle_folder / "report.json")
    out.write_bytes(archive_of(bundle_files(open_bundle(bundle_folder), report)))
    return out


@pytest.fixture
def unpacked(packed: Path, tmp_path: Path) -> Path:
    """The files of that archive, to be changed at will."""
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG file, larger than what any model takes."""
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((120, 150), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="session")
def quick(checkpoint: Path, photos: Path) -> tuple[object, ...]:
    """A valid `quantize` without --out that writes the ONNX artefacts alone: the fastest."""
    return (
        *("quantize", ARCHITECTURE, "--weights", checkpoint, "--calibrate", photos),
        *("--formats", "onnx", "--threads", 1, "--samples", 8),
    )


@pytest.fixture
def broken_onnx(bundle_folder: Path, tmp_path: Path) -> Path:
    """The float artefact with a NaN in the classifier's bias: one of ten logits is NaN."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(bundle_folder / "model.fp32.onnx")
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "fc.bias")
    values = numpy_helper.to_array(bias).copy()
    values[3] = np.nan
    bias.CopyFrom(numpy_helper.from_array(values, "fc.bias"))
    onnx.save(model, tmp_path / "broken.onnx")
    return tmp_path / "broken.onnx"
