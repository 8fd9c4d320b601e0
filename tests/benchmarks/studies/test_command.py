from pathlib import Path

import pytest

from eightbit.benchmarks.studies.command import Network, parse_network


def test_a_network_as_it_is_typed():
    expected = Network(architecture="resnet18", weights=Path("some/r18.pth"), side="64")
    assert parse_network("resnet18:some/r18.pth:64") == expected


@pytest.mark.parametrize(
    "text", ["resnet18", "resnet18:r18.pth", "resnet18:r18.pth:big", "a:b:1:2"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="ARCHITECTURE:WEIGHTS:SIDE"):
        parse_network(text)
