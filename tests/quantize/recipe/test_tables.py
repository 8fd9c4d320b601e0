"""recipe.safetensors: what scales do not determine, the same bytes, refused if it is not that."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.calibration import collect
from eightbit.calibration.saturation import channels_at_risk
from eightbit.models import Architecture, InputError, Pretrained
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import QuantConfig, Recipe, bundle, fuse, make_recipe, observe, read_recipe
from eightbit.quantize.artifacts.torchscript_export import export_torchscript
from eightbit.quantize.config import Mode
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import leave_float, with_tables, write_recipe
from eightbit.quantize.recipe.tables import Int8Table, Tables, parse_tables

LAYER = "layer1.0.conv1"
OTHER = "layer2.1.conv2"


@pytest.fixture(scope="module")
def pretrained(random_network: Callable[..., Pretrained]) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=32)


@pytest.fixture(scope="module")
def plain(pretrained: Pretrained, noise_images: Callable[..., np.ndarray]) -> Recipe:
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(4, 32))
    return make_recipe(fused, collected, pretrained, QuantConfig())


@pytest.fixture(scope="module")
def tables(pretrained: Pretrained, plain: Recipe) -> Tables:
    """Towards zero by one where the nearest integer is odd: so none leaves its range."""
    layers = fuse(pretrained).layers
    rounding = {}
    for name in (LAYER, OTHER):
        nearest = weight_integers(layers[name], plain.layers[name])
        rounding[name] = Int8Table(np.where(nearest % 2, -np.sign(nearest), 0).astype(np.int8))
    exponents = {LAYER: Int8Table(np.arange(-8, 8, dtype=np.int8))}
    return Tables(rounding=rounding, exponents=exponents)


@pytest.fixture
def recipe(plain: Recipe, tables: Tables) -> Recipe:
    return with_tables(plain, tables)


def test_a_recipe_without_tables_has_no_file(plain: Recipe, tmp_path: Path) -> None:
    write_recipe(plain, tmp_path)
    assert plain.tables_sha256 is None
    assert [path.name for path in tmp_path.iterdir()] == [bundle.RECIPE]


def test_tables_survive_the_disk(recipe: Recipe, tables: Tables, tmp_path: Path) -> None:
    write_recipe(recipe, tmp_path)
    again = read_recipe(tmp_path / bundle.RECIPE)
    assert again == recipe
    assert again.sha256 == recipe.sha256
    assert again.tables == tables


def test_other_tables_are_another_recipe(recipe: Recipe, tables: Tables) -> None:
    changed = dict(tables.rounding)
    changed[LAYER] = Int8Table(-tables.rounding[LAYER].values)
    other = with_tables(recipe, Tables(rounding=changed, exponents=tables.exponents))
    assert other != recipe
    assert other.sha256 != recipe.sha256


def test_the_same_tables_are_the_same_bytes_in_whatever_order(tables: Tables) -> None:
    backwards = Tables(
        rounding=dict(reversed(list(tables.rounding.items()))),
        exponents=dict(reversed(list(tables.exponents.items()))),
    )
    assert backwards.content == tables.content
    assert parse_tables(tables.content, where="here").content == tables.content


def test_the_rounding_is_in_the_weights_of_the_quantized_network(
    pretrained: Pretrained, plain: Recipe, recipe: Recipe, tables: Tables, onednn: None
) -> None:
    fused = fuse(pretrained)
    layer = fused.layers[LAYER]
    expected = weight_integers(layer, plain.layers[LAYER]) + tables.rounding[LAYER].values
    stored = (
        quantized_module(Quantized(network=fused, recipe=recipe))
        .get_submodule(LAYER)
        .weight()
        .int_repr()
        .numpy()
    )
    assert np.array_equal(stored, expected)


def test_the_process_that_builds_torchscript_is_handed_the_tables(
    pretrained: Pretrained,
    recipe: Recipe,
    noise_images: Callable[..., np.ndarray],
    onednn: None,
    tmp_path: Path,
) -> None:
    fused = fuse(pretrained)
    metadata = ArtifactMetadata(
        precision=Precision.INT8,
        spec=recipe.spec,
        recipe_sha256=recipe.sha256,
        engine="onednn",
        versions={"torch": "0"},
    )
    export_torchscript(Quantized(network=fused, recipe=recipe), metadata, tmp_path / "model.pt")
    images = torch.from_numpy(noise_images(2, 32))
    with expected_deprecations(), torch.inference_mode():
        built = torch.jit.load(tmp_path / "model.pt")(images)
        assert torch.equal(built, quantized_module(Quantized(network=fused, recipe=recipe))(images))


def test_a_layer_left_in_float_takes_its_rounding_along(
    pretrained: Pretrained, recipe: Recipe, tmp_path: Path
) -> None:
    partial = leave_float(recipe, fuse(pretrained), [LAYER])
    assert set(partial.tables.rounding) == {OTHER}
    write_recipe(partial, tmp_path)
    assert read_recipe(tmp_path / bundle.RECIPE) == partial


def test_a_digest_that_is_not_that_of_the_tables_is_a_bug(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use with_tables"):
        write_recipe(recipe.model_copy(update={"exponents": {}}), tmp_path)


def test_the_file_must_lie_beside_the_recipe(recipe: Recipe, tmp_path: Path) -> None:
    write_recipe(recipe, tmp_path)
    (tmp_path / bundle.TABLES).unlink()
    with pytest.raises(InputError, match=r"recipe.safetensors: expected the tables of the recipe"):
        read_recipe(tmp_path / bundle.RECIPE)


def test_another_file_is_refused(recipe: Recipe, tables: Tables, tmp_path: Path) -> None:
    write_recipe(recipe, tmp_path)
    other = Tables(exponents=tables.exponents)
    (tmp_path / bundle.TABLES).write_bytes(other.content)
    with pytest.raises(InputError, match=r"recipe.safetensors: .* copy both files together"):
        read_recipe(tmp_path / bundle.RECIPE)


def test_a_layer_that_the_recipe_does_not_have_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    stray = Tables(rounding={"stray": Int8Table(np.zeros((2, 2), dtype=np.int8))})
    named = recipe.model_copy(update={"tables_sha256": stray.sha256})
    (tmp_path / bundle.RECIPE).write_text(named.to_json())
    (tmp_path / bundle.TABLES).write_bytes(stray.content)
    with pytest.raises(InputError, match=r"rounding.stray: expected a layer of the recipe"):
        read_recipe(tmp_path / bundle.RECIPE)


@pytest.mark.parametrize("key", ["rounding", "exponents"])
def test_tables_in_the_json_are_refused(plain: Recipe, tmp_path: Path, key: str) -> None:
    content = json.loads(plain.to_json())
    place = content if key == "exponents" else content["layers"][LAYER]
    place[key] = {LAYER: [1]}
    (tmp_path / bundle.RECIPE).write_text(json.dumps(content))
    with pytest.raises(InputError, match=key):
        read_recipe(tmp_path / bundle.RECIPE)


def test_another_shape_than_the_weights_is_refused(pretrained: Pretrained, recipe: Recipe) -> None:
    turned = recipe.tables.rounding[LAYER].values.transpose(1, 0, 2, 3)[:, :8]
    wrong = with_tables(recipe, Tables(rounding={LAYER: Int8Table(turned)}))
    with pytest.raises(InputError, match=rf"{LAYER}: expected shape \(16, 16, 3, 3\), found"):
        Quantized(network=fuse(pretrained), recipe=wrong)


def test_a_weight_beyond_int8_is_refused(pretrained: Pretrained, recipe: Recipe) -> None:
    up = Int8Table(np.ones((16, 16, 3, 3), dtype=np.int8))
    with pytest.raises(InputError, match=rf"{LAYER}: expected integers up to 127, found 128"):
        Quantized(
            network=fuse(pretrained), recipe=with_tables(recipe, Tables(rounding={LAYER: up}))
        )


def test_a_rounding_that_breaks_the_bound_is_refused(pretrained: Pretrained, plain: Recipe) -> None:
    fused = fuse(pretrained)
    layer = fused.layers[LAYER]
    nearest = weight_integers(layer, plain.layers[LAYER])
    # Away from zero wherever int8 has room: in some pair two large weights of one sign move.
    outwards = Int8Table(np.where(np.abs(nearest) < 127, np.sign(nearest), 0).astype(np.int8))
    broken = with_tables(plain, Tables(rounding={LAYER: outwards}))
    at_risk = int(channels_at_risk(weight_integers(layer, broken.layers[LAYER])).sum())
    assert at_risk > 0
    with pytest.raises(InputError, match=rf"{LAYER}: .* found {at_risk} of 16 channels that may"):
        Quantized(network=fused, recipe=broken)
    promising_nothing = broken.layers[LAYER].model_copy(update={"protected": False})
    if np.abs(weight_integers(layer, promising_nothing)).max() <= 127:
        # Where the recipe promises nothing, nothing is broken.
        layers = {**broken.layers, LAYER: promising_nothing}
        Quantized(network=fused, recipe=broken.model_copy(update={"layers": layers}))


def _header(content: bytes, **changes: object) -> bytes:
    """The file with another header; its tensors stay."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.dumps({**json.loads(content[8 : 8 + length]), **changes}).encode()
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a safetensors file"),
        (b"\xff" * 64, "expected a safetensors file"),
        (save({"rounding.a": np.ones(3, np.int8)})[:-1], "expected a safetensors file"),
        (save({"rounding.a": np.full(3, 2, np.int8)}), "rounding.a: expected -1..1, found 2..2"),
        (save({"exponents.a": np.full(3, -128, np.int8)}), "exponents.a: expected -32..32"),
        (save({"rounding.a": np.ones(3, np.float32)}), "rounding.a: expected int8, found F32"),
        (save({"a\x1b[2J": np.ones(3, np.int8)}), r"found a\\x1b\[2J"),
        (save({}), "expected tables as eightbit writes them"),
        (save({"rounding.a": np.ones(3, np.int8)}, {"note": "hello"}), "found another form"),
        (_header(save({"rounding.a": np.ones(3, np.int8)})), "found another form"),
    ],
    ids=[
        "empty",
        "noise",
        "cut off",
        "rounding by two",
        "exponent out of range",
        "float32",
        "unknown name",
        "no tables",
        "metadata",
        "other spaces in the header",
    ],
)
def test_a_strange_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        parse_tables(content, where="here")
    assert str(refusal.value).startswith("here: ")
    assert str(refusal.value).isprintable()
