"""A network without its top goes through the stages as well."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eightbit.benchmarks import ArtifactMetadata, Precision
from eightbit.calibration import collect
from eightbit.models import Architecture, InputError, Pretrained, build_model
from eightbit.quantize import (
    Mode,
    QuantConfig,
    export_onnx,
    export_torchscript,
    fuse,
    make_recipe,
    observe,
)

SIDE = 64


@pytest.fixture(scope="module")
def features(noise_images: Callable[..., np.ndarray]) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(Architecture.RESNET18, include_top=False)
    with torch.no_grad():
        model.train()(torch.from_numpy(noise_images(8, SIDE)))
    return fuse(model.eval())


def test_its_onnx_graph_gives_the_feature_map(
    features: nn.Module,
    random_network: Callable[..., Pretrained],
    noise_images: Callable[..., np.ndarray],
    tmp_path: Path,
) -> None:
    import onnxruntime as ort

    spec = random_network(Architecture.RESNET18)
    observed = observe(features, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(8, SIDE))
    recipe = make_recipe(features, collected, spec, QuantConfig())
    metadata = ArtifactMetadata(
        precision=Precision.INT8, spec=spec.spec, recipe_sha256=recipe.sha256
    )
    export_onnx(features, metadata, recipe, tmp_path / "features.onnx")
    session = ort.InferenceSession(tmp_path / "features.onnx", providers=["CPUExecutionProvider"])
    x = noise_images(3, SIDE, seed=5)
    (found,) = session.run(None, {"input": x})
    with torch.inference_mode():
        expected = features(torch.from_numpy(x)).numpy()
    assert found.shape == (3, 512, SIDE // 32, SIDE // 32)
    noise = np.square(expected - found).sum() / np.square(expected).sum()
    assert 10 * np.log10(1 / noise) > 20
    with pytest.raises(InputError, match="only ONNX"):
        export_torchscript(features, metadata, recipe, tmp_path / "features.pt")
