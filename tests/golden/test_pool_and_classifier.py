"""Global average pooling and the classifier, on numbers that can be checked with pencil and paper.

Both artefacts are asked: torch's modules, and the ONNX graph in ONNX Runtime.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tests.golden.recipes import quantized_by_hand, recipe_by_hand
from torch import nn

from eightbit.benchmarks import ArtifactMetadata, Precision
from eightbit.calibration import QuantDType, QuantParams
from eightbit.models import Architecture, Pretrained
from eightbit.models.networks.quantizable import DeQuantStub, QuantStub
from eightbit.quantize import Mode, QuantConfig, Recipe, export_onnx
from eightbit.quantize.config import Target
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.recipe.recipe import LayerParams

Networks = Callable[..., Pretrained]

# Input: step 1/2, zero point 2. Pool: step 1/4, zero point 2. Even zero points, since torch adds
# them before it rounds: a tie to even is the same tie then.
INPUT = QuantParams(dtype=QuantDType.UINT8, scale=(0.5,), zero_point=(2,))
POOL = QuantParams(dtype=QuantDType.UINT8, scale=(0.25,), zero_point=(2,))


class Head(nn.Module):
    """What every classifier ends with, here with three features."""

    def __init__(self, classifier: list[list[float]]) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(3, len(classifier))
        self.dequant = DeQuantStub()
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor(classifier))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.dequant(self.fc(torch.flatten(self.avgpool(self.quant(x)), 1)))
        return out


IDENTITY = Head([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).eval()
STEPS_OF_ONE = LayerParams(
    weight=QuantParams(dtype=QuantDType.INT8, scale=(1.0,) * 3, zero_point=(0,) * 3, axis=0),
    bias=(0, 0, 0),
)


def recipe_of(
    random_network: Networks, classifier: LayerParams, mode: Mode, side: int = 2
) -> Recipe:
    return recipe_by_hand(
        spec=random_network(Architecture.CIFAR_RESNET20, side=side).spec,
        config=QuantConfig(mode=mode, target=Target.X86_VNNI),
        activations={"input": INPUT, "avgpool": POOL},
        layers={"fc": classifier},
        output="fc",
    )


def answers(network: nn.Module, recipe: Recipe, x: np.ndarray, folder: Path) -> list[np.ndarray]:
    """Of torch and of ONNX Runtime."""
    path = folder / "head.onnx"
    metadata = ArtifactMetadata(
        precision=Precision.INT8, spec=recipe.spec, recipe_sha256=recipe.sha256
    )
    export_onnx(quantized_by_hand(network, recipe), metadata, path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        torchs = quantized_module(quantized_by_hand(network, recipe))(torch.from_numpy(x)).numpy()
    return [torchs, *session.run(None, {"input": x})]


def pixels(*channels: list[int]) -> np.ndarray:
    """One image of 2x2 pixels that are the given integers of the input's grid."""
    integers = np.array(channels, np.float32).reshape(1, len(channels), 2, 2)
    return (integers - 2) * np.float32(0.5)


@pytest.mark.parametrize("mode", Mode)
def test_the_pool_rounds_the_mean_to_a_grid_of_its_own(
    mode: Mode, random_network: Networks, onednn: None, tmp_path: Path
) -> None:
    # Without the zero point 0, 2, 5, 7: sum 14, mean 3.5 steps of 1/2 or 7 steps of 1/4.
    # Sum 15: 7.5 steps, to even 8. Sum 13: 6.5 steps, to even 6.
    x = pixels([2, 4, 7, 9], [2, 4, 7, 10], [2, 4, 7, 8])
    recipe = recipe_of(random_network, STEPS_OF_ONE, mode)
    for answer in answers(IDENTITY, recipe, x, tmp_path):
        assert answer.tolist() == [[7 / 4, 8 / 4, 6 / 4]]


@pytest.mark.parametrize("mode", Mode)
def test_the_pool_clamps_to_its_grid(
    mode: Mode, random_network: Networks, onednn: None, tmp_path: Path
) -> None:
    # The mean 253 steps of 1/2 is 506 of 1/4, but 253 is the largest; -2 steps of 1/2 are -4, but
    # -2 is the smallest.
    x = pixels([255] * 4, [0] * 4, [2] * 4)
    recipe = recipe_of(random_network, STEPS_OF_ONE, mode)
    for answer in answers(IDENTITY, recipe, x, tmp_path):
        assert answer.tolist() == [[253 / 4, -2 / 4, 0.0]]


@pytest.mark.parametrize("mode", Mode)
def test_the_classifier_gives_its_sums_unrounded(
    mode: Mode, random_network: Networks, onednn: None, tmp_path: Path
) -> None:
    # The pool gives 9, 10 and 8, less its zero point 7, 8 and 6 (see above).
    # Class 0: 7 * 4 - 8 * 127 + 6 * 1 + 1000 = 18 steps of 1/4 * 1/4.
    # Class 1: 7 * 0 + 8 * 3 - 6 * 127 - 3 = -741 steps of 1/4 * 1/8.
    x = pixels([2, 4, 7, 9], [2, 4, 7, 10], [2, 4, 7, 8])
    weight = QuantParams(dtype=QuantDType.INT8, scale=(0.25, 0.125), zero_point=(0, 0), axis=0)
    head = Head([[1.0, -127 / 4, 0.25], [0.0, 3 / 8, -127 / 8]]).eval()
    recipe = recipe_of(random_network, LayerParams(weight=weight, bias=(1000, -3)), mode)
    for answer in answers(head, recipe, x, tmp_path):
        assert answer.dtype == np.float32
        assert answer.tolist() == [[18 / 16, -741 / 32]]


@pytest.mark.parametrize("mode", Mode)
def test_both_pool_any_integers_as_exact_arithmetic_does(
    mode: Mode, random_network: Networks, onednn: None, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    integers = rng.integers(0, 256, (200, 3, 7, 7))
    x = ((integers - 2) * 0.5).astype(np.float32)
    # The mean is a multiple of 1/49 of a step of 1/2: no ties, 49 being odd.
    steps = np.rint((integers - 2).sum((2, 3)) * 2 / 49)
    expected = np.clip(steps, -2, 253) / 4
    recipe = recipe_of(random_network, STEPS_OF_ONE, mode, side=7)
    for answer in answers(IDENTITY, recipe, x, tmp_path):
        assert np.array_equal(answer, expected)
