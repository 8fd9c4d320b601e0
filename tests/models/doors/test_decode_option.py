from pathlib import Path

import pytest
import torch

from eightbit.models import Decode, Preprocessing, Wanted, build_model, load_pretrained, load_source
from eightbit.models.spec import Architecture

SMALL = Architecture.CIFAR_RESNET20


@pytest.mark.parametrize("decode", [None, *Decode])
def test_how_photos_are_decoded_is_part_of_the_preprocessing(
    decode: Decode | None, tmp_path: Path
) -> None:
    path = tmp_path / "small.pth"
    torch.save(build_model(SMALL, num_classes=4).state_dict(), path)
    wanted = Wanted(weights=str(path), decode=decode)
    for found in (load_pretrained(SMALL, str(path), decode=decode), load_source(SMALL, wanted)):
        assert found.spec.preprocessing.decode is (decode or Decode.EXACT)


def test_a_given_preprocessing_keeps_its_decoding() -> None:
    known = Preprocessing(decode=Decode.SCALED)
    assert Wanted(preprocessing=known, resize=300).prepared(known).decode is Decode.SCALED
    assert Wanted(decode=Decode.EXACT).prepared(known).decode is Decode.EXACT
