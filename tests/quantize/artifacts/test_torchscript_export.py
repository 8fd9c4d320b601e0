"""The TorchScript artefact: the recipe's integers, the same bytes whenever it is built."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eightbit.benchmarks import ArtifactMetadata, IsolatedRunner, Precision, read_metadata
from eightbit.benchmarks.accuracy.fidelity import ParityMeter
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.calibration import collect
from eightbit.models import Architecture, InputError, Pretrained, build_model
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import (
    Mode,
    QuantConfig,
    Recipe,
    export_onnx,
    export_torchscript,
    fuse,
    make_recipe,
    observe,
)
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.artifacts.torchscript_worker import archive_bytes, scripted
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import read_recipe, write_recipe

SIDE = 32
NARROW = 8  # channels of a bottleneck, for each 64 of the network's own

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


@dataclass
class Exported:
    fused: Network
    recipe: Recipe
    path: Path


@pytest.fixture(scope="module", params=Mode)
def exported(
    request: pytest.FixtureRequest,
    random_network: Networks,
    noise_images: Images,
    tmp_path_factory: pytest.TempPathFactory,
) -> Exported:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=SIDE)
    fused = fuse(pretrained)
    observed = observe(fused, request.param)
    collected = collect(observed.module, observed.observers, noise_images(16, SIDE))
    recipe = make_recipe(fused, collected, pretrained, QuantConfig(mode=request.param))
    path = tmp_path_factory.mktemp("torchscript") / "model.int8.pt"
    export_torchscript(Quantized(network=fused, recipe=recipe), metadata(recipe), path)
    return Exported(fused, recipe, path)


def metadata(recipe: Recipe) -> ArtifactMetadata:
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=recipe.spec,
        recipe_sha256=recipe.sha256,
        engine="onednn",
    )


def test_it_computes_what_torchs_own_conversion_computes(
    exported: Exported, noise_images: Images, onednn: None
) -> None:
    x = noise_images(6, SIDE, seed=2)
    with torch.inference_mode():
        expected = quantized_module(Quantized(network=exported.fused, recipe=exported.recipe))(
            torch.from_numpy(x)
        ).numpy()
    with IsolatedRunner(exported.path, threads=1) as runner:
        assert np.array_equal(runner(x), expected)
        assert np.array_equal(runner(x[:1]), expected[:1])


def test_another_file_name_and_a_busy_process_give_the_same_bytes(
    exported: Exported, tmp_path: Path
) -> None:
    again = tmp_path / "another name.pt"
    export_torchscript(
        Quantized(network=exported.fused, recipe=exported.recipe), metadata(exported.recipe), again
    )
    assert again.read_bytes() == exported.path.read_bytes()


def test_the_archive_holds_no_debug_records_and_no_paths(exported: Exported) -> None:
    with zipfile.ZipFile(exported.path) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".debug_pkl")]
        assert {name.split("/")[0] for name in archive.namelist()} == {"archive"}
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"site-packages" not in content
    assert str(Path.home()).encode() not in content


def test_the_archive_carries_its_metadata(exported: Exported) -> None:
    assert read_metadata(exported.path) == metadata(exported.recipe)


def test_everything_computes_in_integers(exported: Exported) -> None:
    coverage = audit(exported.path)
    assert (coverage.conv.quantized, coverage.conv.total) == (19, 19)
    assert (coverage.add.quantized, coverage.add.total) == (9, 9)
    assert (coverage.linear.quantized, coverage.linear.total) == (1, 1)


def test_its_logits_are_within_few_last_bits_of_the_onnx_artefact(
    exported: Exported, noise_images: Images, tmp_path: Path
) -> None:
    onnx_path = tmp_path / "model.int8.onnx"
    without_engine = metadata(exported.recipe).model_copy(update={"engine": None})
    export_onnx(
        Quantized(network=exported.fused, recipe=exported.recipe), without_engine, onnx_path
    )
    x = noise_images(64, SIDE, seed=3)
    meter = ParityMeter(exported.recipe.output_scale)
    meter.update(open_runner(exported.path, threads=1)(x), open_runner(onnx_path, threads=1)(x))
    assert meter.result().within_one_lsb_fraction >= 0.9
    assert meter.result().max_lsb <= 6


def test_pooling_downsampling_and_groups_go_the_same_way(
    random_network: Networks, noise_images: Images, onednn: None, tmp_path: Path
) -> None:
    pretrained = random_network(Architecture.RESNET50, groups=4, width_per_group=4)
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(8, 64))
    recipe = make_recipe(fused, collected, pretrained, QuantConfig())
    export_torchscript(
        Quantized(network=fused, recipe=recipe), metadata(recipe), tmp_path / "model.int8.pt"
    )
    x = noise_images(3, 64, seed=2)
    with torch.inference_mode():
        expected = quantized_module(Quantized(network=fused, recipe=recipe))(
            torch.from_numpy(x)
        ).numpy()
    assert np.array_equal(open_runner(tmp_path / "model.int8.pt", threads=1)(x), expected)


@pytest.fixture(scope="module")
def dilated(random_network: Networks) -> tuple[Network, Pretrained]:
    """A network that has an architecture's weights, but not its operations."""
    described = random_network(Architecture.RESNET50, side=SIDE, width_per_group=NARROW)
    model = build_model(
        Architecture.RESNET50,
        num_classes=10,
        width_per_group=NARROW,
        replace_stride_with_dilation=(False, True, True),
    )
    model.load_state_dict(described.model.state_dict())
    return fuse(replace(described, model=model.eval())), described


def quantize_dilated(
    dilated: tuple[Network, Pretrained], noise_images: Images, mode: Mode
) -> Quantized:
    network, described = dilated
    observed = observe(network, mode)
    collected = collect(observed.module, observed.observers, noise_images(2, SIDE))
    recipe = make_recipe(network, collected, described, QuantConfig(mode=mode))
    return Quantized(network=network, recipe=recipe)


def test_a_network_that_no_name_describes_is_built_again_from_its_skeleton(
    dilated: tuple[Network, Pretrained], noise_images: Images, onednn: None, tmp_path: Path
) -> None:
    quantized = quantize_dilated(dilated, noise_images, Mode.FX)
    write_recipe(quantized.recipe, tmp_path)
    assert read_recipe(tmp_path / "recipe.json").skeleton == quantized.network.skeleton
    export_torchscript(quantized, metadata(quantized.recipe), tmp_path / "model.int8.pt")
    x = noise_images(3, SIDE, seed=2)
    with torch.inference_mode():
        expected = quantized_module(quantized)(torch.from_numpy(x)).numpy()
    assert np.array_equal(open_runner(tmp_path / "model.int8.pt", threads=1)(x), expected)


def test_eager_mode_refuses_a_network_that_no_name_describes(
    dilated: tuple[Network, Pretrained], noise_images: Images, tmp_path: Path
) -> None:
    quantized = quantize_dilated(dilated, noise_images, Mode.EAGER)
    with pytest.raises(InputError, match="resnet50: expected the network as it is built"):
        export_torchscript(quantized, metadata(quantized.recipe), tmp_path / "model.int8.pt")
    assert not (tmp_path / "model.int8.pt").exists()


def test_a_recipe_of_a_network_with_other_strides_is_refused(
    dilated: tuple[Network, Pretrained], noise_images: Images
) -> None:
    recipe = quantize_dilated(dilated, noise_images, Mode.FX).recipe
    with pytest.raises(InputError, match="recipe: skeleton: expected the operations"):
        Quantized(network=fuse(dilated[1]), recipe=recipe)


class _TanhGelu(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(x, approximate="tanh")


def test_an_archive_says_in_which_version_its_operators_are() -> None:
    script = scripted(_TanhGelu())
    x = torch.linspace(-3, 3, 7)
    with expected_deprecations():
        loaded = torch.jit.load(io.BytesIO(archive_bytes(script, "{}")))
    torch.testing.assert_close(loaded(x), script(x), rtol=0, atol=0)
