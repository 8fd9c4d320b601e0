"""A network without its top goes through the stages as well."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from eightbit.benchmarks import ArtifactMetadata, Precision
from eightbit.benchmarks.runtimes.runners.torchscript_runner import load_module
from eightbit.calibration import collect
from eightbit.models import Architecture, Pretrained, build_model
from eightbit.models.networks.fusable import fold
from eightbit.quantize import (
    Mode,
    QuantConfig,
    export_onnx,
    export_torchscript,
    make_recipe,
    observe,
)
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized

SIDE = 64


@pytest.fixture(scope="module")
def features(
    random_network: Callable[..., Pretrained], noise_images: Callable[..., np.ndarray]
) -> Network:
    torch.manual_seed(0)
    model = build_model(Architecture.RESNET18, include_top=False)
    with torch.no_grad():
        model.train()(torch.from_numpy(noise_images(8, SIDE)))
    spec = random_network(Architecture.RESNET18).spec
    return Network(module=fold(model.eval()), spec=spec)


def test_both_artefacts_give_the_feature_map(
    features: Network,
    random_network: Callable[..., Pretrained],
    noise_images: Callable[..., np.ndarray],
    onednn: None,
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
    export_onnx(Quantized(network=features, recipe=recipe), metadata, tmp_path / "features.onnx")
    session = ort.InferenceSession(tmp_path / "features.onnx", providers=["CPUExecutionProvider"])
    x = noise_images(3, SIDE, seed=5)
    (found,) = session.run(None, {"input": x})
    with torch.inference_mode():
        expected = features.module(torch.from_numpy(x)).numpy()
    assert found.shape == (3, 512, SIDE // 32, SIDE // 32)
    noise = np.square(expected - found).sum() / np.square(expected).sum()
    assert 10 * np.log10(1 / noise) > 20
    described = metadata.model_copy(update={"engine": "onednn"})
    path = tmp_path / "features.int8.pt"
    quantized = Quantized(network=features, recipe=recipe)
    export_torchscript(quantized, described, path)
    with torch.inference_mode():
        scripted = load_module(path)[0](torch.from_numpy(x))
        assert torch.equal(scripted, quantized_module(quantized)(torch.from_numpy(x)))
