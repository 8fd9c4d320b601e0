"""A user's own network through the command line, and rebuilt from its recipe."""

from pathlib import Path

import torch
from tests.quantize.conftest import Eightbit
from torch import nn

from eightbit.models import Preprocessing, Pretrained, from_module
from eightbit.quantize import Delivery, QuantConfig, bundle, quantize

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU6())
        self.branch = nn.Conv2d(8, 8, 1)
        self.gate = nn.Conv2d(16, 16, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([x, self.branch(x)], 1)
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.fc(x.mean((2, 3)))
"""


def test_code_and_a_file_of_weights_become_a_bundle_that_its_recipe_rebuilds(
    eightbit: Eightbit, photos: Path, tmp_path: Path
) -> None:
    code, weights = tmp_path / "own_network_of_a_test.py", tmp_path / "weights.pth"
    code.write_text(CODE)
    space: dict[str, type[nn.Module]] = {}
    exec(CODE, space)
    torch.save({"state_dict": space["Net"]().state_dict()}, weights)
    source = (f"{code}:Net", "--weights", weights, "--threads", 1)
    made = eightbit(
        *("quantize", *source, "--calibrate", photos, "--out", tmp_path / "made"),
        *("--resize", 32, "--crop", 32, "--samples", 8, "--formats", "onnx"),
    )
    assert made.code in (0, 1), made.err
    assert "differs by" not in made.err
    again = eightbit(
        *("quantize", *source, "--recipe", tmp_path / "made" / bundle.RECIPE),
        *("--out", tmp_path / "again", "--formats", "onnx"),
    )
    assert again.code in (0, 1), again.err
    for name in (bundle.RECIPE, bundle.ONNX, bundle.FLOAT_ONNX):
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    refused = eightbit(
        *("quantize", "--weights", weights, "--recipe", tmp_path / "made" / bundle.RECIPE),
        *("--out", tmp_path / "none"),
    )
    assert "expected SOURCE beside this recipe" in refused.error
    code.unlink()
    verified = eightbit("verify", tmp_path / "made", "--images", photos, "--samples", 4)
    assert verified.code in (0, 1), verified.err
    assert "everything computes in integers" not in verified.err


def test_any_module_is_quantized_from_python(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.Hardswish(), nn.AvgPool2d(3, 2), nn.Flatten(), nn.Linear(392, 10)
    )
    pretrained: Pretrained = from_module(network, preprocessing=Preprocessing(resize=32, crop=32))
    delivery = Delivery(out=tmp_path / "out", formats=("onnx",), threads=1)
    report = quantize(pretrained, photos, delivery, QuantConfig(samples=8))
    assert report.coverage is not None
    assert all(kind.as_meant for kind in report.coverage.kinds.values())
    assert report.coverage.integer_multiplications == 1
