"""The network as a LiteRT file: the recipe's integers, in int8 kernels, and what it says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from eightbit.benchmarks import ArtifactMetadata, Precision, open_artifact
from eightbit.benchmarks.artifact.model_input import InputFormat, ModelInput
from eightbit.benchmarks.runtimes.runners.litert_runner import LiteRtRunner
from eightbit.calibration import collect
from eightbit.models import (
    Architecture,
    InputError,
    Preprocessing,
    Pretrained,
    from_module,
)
from eightbit.models.images.preprocessing import normalised_images
from eightbit.quantize import QuantConfig, Quantized, examine_file, fuse, make_recipe
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.artifacts.write import refuse_unwritable
from eightbit.quantize.front_ends.observed import observed_directly
from eightbit.quantize.litert.export import export_litert
from eightbit.quantize.recipe.recipe import leave_float
from eightbit.quantize.verify.reference import reference_logits

SIDE = 32
Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]

NETWORKS = {
    "basic blocks": (Architecture.RESNET18, {}),
    "groups": (Architecture.RESNET50, {"groups": 4, "width_per_group": 4}),
    "option A": (Architecture.CIFAR_RESNET20, {}),
}


def quantized(pretrained: Pretrained, images: np.ndarray) -> Quantized:
    network = fuse(pretrained)
    observed = observed_directly(network)
    collected = collect(observed.module, observed.observers, images)
    recipe = make_recipe(network, collected, pretrained, QuantConfig())
    return Quantized(network=network, recipe=recipe)


def exported(line: Quantized, path: Path, taken: InputFormat = InputFormat.FLOAT32) -> Path:
    metadata = ArtifactMetadata(
        precision=Precision.INT8,
        spec=line.recipe.spec,
        input=ModelInput.of(taken),
        recipe_sha256=line.recipe.sha256,
    )
    export_litert(line, metadata, path)
    return path


def steps(found: np.ndarray, line: Quantized, x: np.ndarray) -> float:
    """The largest difference from the reference, in last bits of the output."""
    expected = reference_logits(line, x)
    return float(np.abs(found - expected).max()) / line.recipe.output_scale


@pytest.mark.parametrize(("architecture", "structure"), NETWORKS.values(), ids=NETWORKS)
def test_xnnpack_computes_the_reference_and_litert_alone_comes_near(
    architecture: Architecture,
    structure: dict[str, int],
    random_network: Networks,
    noise_images: Images,
    tmp_path: Path,
) -> None:
    pretrained = random_network(architecture, side=SIDE, **structure)
    line = quantized(pretrained, noise_images(8, SIDE))
    path = exported(line, tmp_path / "model.int8.tflite")
    x = noise_images(3, SIDE, seed=2)
    assert steps(LiteRtRunner(path, 1)(x), line, x) < 1e-3
    # Its own kernels round twice: of a convolution's results about one in a thousand is one more.
    assert steps(LiteRtRunner(path, 1, optimize=False)(x), line, x) < 8


@pytest.fixture(scope="module")
def line(random_network: Networks, noise_images: Images) -> Quantized:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=SIDE)
    return quantized(pretrained, noise_images(8, SIDE))


@pytest.fixture(scope="module")
def file(line: Quantized, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(line, tmp_path_factory.mktemp("litert") / "model.int8.tflite")


def test_any_number_of_images_gives_the_same_logits(
    line: Quantized, file: Path, noise_images: Images
) -> None:
    runner = LiteRtRunner(file, 2)
    x = noise_images(5, SIDE, seed=3)
    apart = np.concatenate([runner(x[:1]), runner(x[1:3]), runner(x[3:])])
    assert np.array_equal(apart, runner(x))


def test_features_are_the_integers_of_their_grid(
    random_network: Networks, noise_images: Images, tmp_path: Path
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=SIDE, include_top=False)
    line = quantized(pretrained, noise_images(8, SIDE))
    path = exported(line, tmp_path / "features.tflite")
    interpreter = LiteRtRunner(path, 1)._interpreter
    x = noise_images(1, SIDE, seed=2)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.transpose(0, 2, 3, 1))
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert np.array_equal(found.transpose(0, 3, 1, 2), reference_logits(line, x))


@pytest.mark.parametrize("taken", [InputFormat.UINT8, InputFormat.UINT8_NHWC])
def test_pixels_are_normalised_inside(
    line: Quantized, noise_images: Images, tmp_path: Path, taken: InputFormat
) -> None:
    path = exported(line, tmp_path / "pixels.tflite", taken)
    runner = LiteRtRunner(path, 1)
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    x = normalised_images(pixels, line.recipe.spec.preprocessing)
    assert steps(runner(x), line, x) < 1e-3


def test_layers_left_in_float_keep_their_weights(
    line: Quantized, noise_images: Images, tmp_path: Path
) -> None:
    names = ("conv1", "layer2.0.conv2", "layer2.0.skip_add", "fc")
    mixed = Quantized(network=line.network, recipe=leave_float(line.recipe, line.network, names))
    path = exported(mixed, tmp_path / "mixed.tflite")
    x = noise_images(3, SIDE, seed=2)
    assert steps(LiteRtRunner(path, 1)(x), mixed, x) < 1e-3
    coverage = audit(path)
    assert coverage is not None
    assert (coverage.conv.quantized, coverage.conv.total) == (17, 19)
    assert (coverage.linear.quantized, coverage.linear.total) == (0, 1)


def test_every_layer_is_an_integer_kernel(file: Path) -> None:
    coverage = audit(file)
    assert coverage is not None
    assert (coverage.conv.quantized, coverage.conv.total) == (19, 19)
    assert (coverage.linear.quantized, coverage.linear.total) == (0, 1)  # logits are real sums
    assert (coverage.add.quantized, coverage.add.total) == (9, 9)
    assert coverage.pool.quantized == coverage.pool.total == 3  # two of them pick every other pixel


def test_the_same_bytes_come_out_again(line: Quantized, file: Path, tmp_path: Path) -> None:
    assert exported(line, tmp_path / "again.tflite").read_bytes() == file.read_bytes()


def test_data_lies_where_kernels_may_read_vectors(file: Path) -> None:
    content = file.read_bytes()
    model = schema.Model.GetRootAs(content)
    checked = 0
    for number in range(model.BuffersLength()):
        data = model.Buffers(number).DataAsNumpy()
        if not isinstance(data, int):
            address = data.__array_interface__["data"][0]
            start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
            assert (address - start) % 16 == 0
            checked += 1
    assert checked > 40


def test_it_says_what_it_is(line: Quantized, file: Path) -> None:
    artifact = open_artifact(file)
    assert artifact.metadata is not None
    assert artifact.metadata.recipe_sha256 == line.recipe.sha256
    with pytest.raises(InputError, match="found one of LiteRT; eightbit inspect counts"):
        examine_file(file)


class Normed(nn.Module):
    """A classifier with a layer norm, which LiteRT has not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.norm(self.conv(x).mean((2, 3))))


def test_a_network_that_litert_lacks_is_refused_before_any_work(line: Quantized) -> None:
    config = line.recipe.config
    refuse_unwritable(line.network, line.recipe.spec, config, ("litert",))
    pretrained = from_module(Normed(), preprocessing=Preprocessing(resize=16, crop=16))
    network = fuse(pretrained)
    refuse_unwritable(network, pretrained.spec, config, ("onnx",))
    with pytest.raises(InputError, match=r"^norm\.weight: expected weights of layers alone"):
        refuse_unwritable(network, pretrained.spec, config, ("onnx", "litert"))


def test_without_litert_the_message_names_the_extra(
    line: Quantized, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--formats litert: .*pip install 'eightbit\[litert\]'"):
        refuse_unwritable(line.network, line.recipe.spec, line.recipe.config, ("litert",))


def test_images_may_be_wider_than_high(noise_images: Images, tmp_path: Path) -> None:
    module = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(8, 5)),
    )
    preprocessing = Preprocessing(resize=(16, 24), crop=(16, 24))
    pretrained = from_module(module.eval(), preprocessing=preprocessing)
    x = np.random.default_rng(0).standard_normal((4, 3, 16, 24), np.float32)
    line = quantized(pretrained, x)
    path = exported(line, tmp_path / "wide.tflite")
    assert steps(LiteRtRunner(path, 1)(x), line, x) < 1e-3
