"""Fixtures for every room: real files, which lie outside the repository, and synthetic networks."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from eightbit.models import Architecture, ModelSpec, Preprocessing, Pretrained, build_model

# A file runs on one core: the other would wait in the end for one that takes long and comes late.
FIRST = "tests/quantize/test_pipeline.py"

# How long an example takes is the machine's: other processes share its cores.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Otherwise in the order of the folders."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(FIRST))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small tensors and shared cores: a second thread would mostly wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or any that is called so, once per process; without one the test skips."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium: install it to open the pages (Debian: apt-get install chromium)")
    arguments = (
        *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    )
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], Path]:
    """Find a real input by its name; where it is absent, the test skips and says which."""
    default = Path(__file__).resolve().parents[2] / "shared"
    root = Path(os.environ.get("EIGHTBIT_SHARED", default))

    def find(name: str) -> Path:
        path = root / name
        if not path.is_file():
            pytest.skip(f"real file absent: {name}")
        return path

    return find


@pytest.fixture(scope="session")
def noise_images() -> Callable[..., np.ndarray]:
    """Make preprocessed images of noise: float32, shape (count, 3, side, side)."""

    def make(count: int, side: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng((seed, side))
        return rng.standard_normal((count, 3, side, side)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def random_network(noise_images: Callable[..., np.ndarray]) -> Callable[..., Pretrained]:
    """Make a network with random weights whose BatchNorm statistics are those of a forward pass.

    So its activations have the scales of a trained network's. Whatever changes its structure is
    passed on: narrow bottlenecks are many times faster.
    """

    def make(
        architecture: Architecture, *, side: int = 64, num_classes: int = 10, **structure: Any
    ) -> Pretrained:
        torch.manual_seed(0)
        model = build_model(architecture, num_classes=num_classes, **structure)
        model.train()
        with torch.no_grad():
            model(torch.from_numpy(noise_images(8, side, seed=1)))
        return Pretrained(
            model=model.eval(),
            spec=ModelSpec(
                architecture=architecture,
                num_classes=num_classes,
                preprocessing=Preprocessing(resize=side, crop=side),
            ),
            weights_sha256="0" * 64,
            source="random",
        )

    return make


@pytest.fixture
def onednn() -> Iterator[None]:
    """Run torch's quantized operators in oneDNN."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "onednn"
    yield
    torch.backends.quantized.engine = before
