"""A handful of refusals by the installed command, in a process of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.quantize.cli import test_bad_bundle, test_bad_input, test_bad_recipe
from tests.quantize.cli.refusal import Case, Place, on_disk, title

COMMAND = Path(sys.executable).parent / "eightbit"


def _run(*arguments: object, **environment: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


SAID = {**test_bad_input.CASES, **test_bad_recipe.CASES, **test_bad_bundle.CASES}


@pytest.mark.parametrize(
    "case",
    [
        test_bad_input._unknown_architecture,
        test_bad_input._pickle_with_code,
        test_bad_input._only_unusable_images,
        test_bad_recipe._recipe_without_an_activation,
        test_bad_bundle._inspect_for_another_engine,
    ],
    ids=title,
)
def test_the_installed_command_refuses_it_too(case: Case, place: Place) -> None:
    command = case(place)
    before = on_disk(place.root)
    code, lines = _run(*command)
    assert code == 2
    (line,) = lines
    assert line.startswith("eightbit: ")
    for words in SAID[case]:
        assert words in line
    assert on_disk(place.root) == before


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine on which nobody listens, kept from others."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_without_a_network_it_says_which_file_goes_where(place: Place, closed_port: int) -> None:
    nowhere = f"http://127.0.0.1:{closed_port}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    cache = place.root / "cache"
    code, lines = _run(
        *place.quantize(architecture="resnet18", weights="IMAGENET1K_V1"),
        **{**proxies, "no_proxy": "", "NO_PROXY": "", "TORCH_HOME": str(cache)},
    )
    assert code == 2
    (line,) = lines
    assert line.startswith("eightbit: ResNet18_Weights.IMAGENET1K_V1: cannot be downloaded from ")
    assert f"put resnet18-f37072fd.pth into {cache / 'hub' / 'checkpoints'}" in line
    assert "or give the path of a local file" in line
    assert not place.out.exists()
    assert not list(place.root.glob(".*"))
