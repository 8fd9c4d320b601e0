"""The programs of examples/cpp, compiled once, and artefacts for them."""

import fcntl
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.calibration import collect
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import Mode, QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.artifacts.write import write_float_onnx, write_onnx, write_torchscript
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "examples" / "cpp"
SIDE = 32
LABELS = ("Kater", "Zürich", "東京", *(f"class {index}" for index in range(3, 10)))

# Where `make cpp` puts ONNX Runtime's headers, and where Debian's package does.
HEADERS = (ROOT / "build/onnxruntime-headers/include", Path("/usr/include/onnxruntime"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs; of several processes that test, one compiles."""
    missing = [tool for tool in ("cmake", "c++", "make") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: install them, or run `make cpp`")
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cpp"
    with (folder.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "compiled").exists():
            _configure(folder)
            _run("cmake", "--build", folder, "--parallel", "2")
            (folder / "compiled").touch()
    return folder


def _configure(folder: Path) -> None:
    """As the page says, but warnings are errors, and optimised for little time to compile."""
    headers = [path for path in HEADERS if (path / "onnxruntime_cxx_api.h").is_file()]
    said = _run(
        *("cmake", "-S", SOURCE, "-B", folder, "-DCMAKE_CXX_FLAGS=-Werror"),
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
        f"-DCMAKE_PREFIX_PATH={sysconfig.get_path('platlib')}",
        *(f"-DOnnxRuntime_INCLUDE_DIR={path}" for path in headers[:1]),
        allowed="nlohmann_json",
    )
    if said:
        pytest.skip("no nlohmann-json: install nlohmann-json3-dev, or run `make cpp`")


def _run(*command: object, allowed: str | None = None) -> str | None:
    """Run a command; returns what it complained of if it failed for the one reason allowed."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    if allowed is not None and allowed in done.stderr:
        return done.stderr
    pytest.fail(done.stdout + done.stderr)


@pytest.fixture(scope="session")
def program(built: Path) -> Callable[[str], Path]:
    """Find a program; the one for ONNX Runtime skips where there were no headers to build it."""

    def find(name: str) -> Path:
        path = built / name
        if name == "classify_onnxruntime" and not path.is_file():
            pytest.skip("no headers of ONNX Runtime: run `make cpp`")
        return path

    return find


@pytest.fixture(scope="session")
def network(
    random_network: Callable[..., Pretrained], noise_images: Callable[..., np.ndarray]
) -> tuple[Network, Recipe]:
    """A fused network with class names, and its recipe."""
    made = random_network(Architecture.CIFAR_RESNET20, side=SIDE)
    pretrained = replace(made, spec=made.spec.model_copy(update={"labels": LABELS}))
    fused = fuse(pretrained)
    observed = observe(fused, Mode.EAGER)
    collected = collect(observed.module, observed.observers, noise_images(8, SIDE))
    return fused, make_recipe(fused, collected, pretrained, QuantConfig(mode=Mode.EAGER))


@pytest.fixture(scope="session")
def artefact(
    network: tuple[Network, Recipe], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Write an artefact that takes some input, once."""
    fused, recipe = network
    folder = tmp_path_factory.mktemp("artefacts")
    writers = {"int8.onnx": write_onnx, "int8.pt": write_torchscript, "fp32.onnx": write_float_onnx}

    def write(kind: str, taken: InputFormat = InputFormat.FLOAT32) -> Path:
        path = folder / f"{taken}.{kind}"
        if not path.is_file():
            config = recipe.config.model_copy(update={"input": taken})
            taking = recipe.model_copy(update={"config": config})
            writers[kind](Quantized(network=fused, recipe=taking), path)
        return path

    return write
