"""Layers that a recipe leaves in float: both artefacts obey, and the gate knows how many."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from rich.console import Console

from eightbit.benchmarks import ArtifactMetadata, OnnxRunner, Precision, open_runner
from eightbit.benchmarks.accuracy.fidelity import ParityMeter
from eightbit.calibration import collect
from eightbit.models import Architecture, InputError, Pretrained
from eightbit.quantize import (
    Mode,
    QuantConfig,
    Recipe,
    export_onnx,
    export_torchscript,
    fuse,
    make_recipe,
    observe,
    read_recipe,
)
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.artifacts.torchscript_worker import scripted
from eightbit.quantize.cli.inspection import describe
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import float_candidates
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import leave_float
from eightbit.quantize.verify.verification import audit_artifact

SIDE = 64
Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]

CHOICES = {
    "the first conv": ("conv1",),
    "a conv in the middle of a block": ("layer2.0.conv1",),
    "a conv without a ReLU": ("layer2.0.conv2",),
    "an add": ("layer2.0.skip_add",),
    "a conv and the add behind it": ("layer2.0.conv2", "layer2.0.skip_add"),
    "the classifier": ("fc",),
    "both ends": ("conv1", "layer1.0.conv1", "layer1.0.skip_add", "layer3.0.skip_add", "fc"),
}


@dataclass
class Line:
    fused: Network
    recipes: dict[Mode, Recipe]

    def recipe(self, names: Sequence[str], mode: Mode = Mode.FX) -> Recipe:
        return leave_float(self.recipes[mode], self.fused, names)

    @property
    def candidates(self) -> tuple[str, ...]:
        return float_candidates(self.fused.graph)

    def export(self, recipe: Recipe, path: Path) -> Path:
        export_onnx(Quantized(network=self.fused, recipe=recipe), metadata(recipe), path)
        return path


def metadata(recipe: Recipe, engine: str | None = None) -> ArtifactMetadata:
    return ArtifactMetadata(
        precision=Precision.INT8, spec=recipe.spec, recipe_sha256=recipe.sha256, engine=engine
    )


# What ResNet-18 has beyond CIFAR-ResNet-20: a max pool behind the stem, convolutions as shortcuts.
PLACES = [
    *((Architecture.CIFAR_RESNET20, choice) for choice in CHOICES),
    (Architecture.RESNET18, "a conv and the add behind it"),
    (Architecture.RESNET18, "both ends"),
]
placed = pytest.mark.parametrize(
    ("line", "names"),
    [(architecture, CHOICES[choice]) for architecture, choice in PLACES],
    indirect=["line"],
    ids=[f"{architecture}-{choice}" for architecture, choice in PLACES],
)


@pytest.fixture(scope="module", params=[Architecture.CIFAR_RESNET20, Architecture.RESNET18])
def line(request: pytest.FixtureRequest, random_network: Networks, noise_images: Images) -> Line:
    pretrained = random_network(request.param)
    fused = fuse(pretrained)
    recipes = {}
    for mode in Mode:
        observed = observe(fused, mode)
        collected = collect(observed.module, observed.observers, noise_images(8, SIDE))
        recipes[mode] = make_recipe(fused, collected, pretrained, QuantConfig(mode=mode))
    return Line(fused, recipes)


def logits(line: Line, recipe: Recipe, x: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        answer: torch.Tensor = quantized_module(Quantized(network=line.fused, recipe=recipe))(
            torch.from_numpy(x)
        )
    return answer


@placed
def test_both_front_ends_and_the_script_give_the_same_logits_bit_for_bit(
    line: Line, names: tuple[str, ...], noise_images: Images, onednn: None
) -> None:
    x = noise_images(4, SIDE, seed=2)
    fx, eager = (logits(line, line.recipe(names, mode), x) for mode in Mode)
    assert torch.equal(fx, eager)
    for mode in Mode:
        script = scripted(
            quantized_module(Quantized(network=line.fused, recipe=line.recipe(names, mode)))
        )
        with torch.inference_mode():
            assert torch.equal(script(torch.from_numpy(x)), fx)


@placed
def test_the_onnx_artefact_computes_them_in_float_and_nothing_else(
    line: Line, names: tuple[str, ...], noise_images: Images, onednn: None, tmp_path: Path
) -> None:
    recipe = line.recipe(names)
    path = line.export(recipe, tmp_path / "mixed.onnx")
    coverage = audit_artifact(Quantized(network=line.fused, recipe=recipe), path)
    assert all(kind.as_meant for kind in coverage.kinds.values())
    convolutions = sum("conv" in name for name in names)
    assert coverage.conv.total - coverage.conv.quantized == convolutions
    assert coverage.linear.quantized == (0 if "fc" in names else 1)
    x = noise_images(4, SIDE, seed=2)
    meter = ParityMeter(recipe.output_scale)
    meter.update(logits(line, recipe, x).numpy(), OnnxRunner(path, threads=1)(x))
    assert meter.result().max_lsb <= 8


def test_everything_in_float_is_the_float_network(
    line: Line, noise_images: Images, onednn: None, tmp_path: Path
) -> None:
    recipe = line.recipe(line.candidates)
    assert not recipe.activations
    assert not recipe.layers
    x = noise_images(4, SIDE, seed=2)
    with torch.inference_mode():
        expected = line.fused.module(torch.from_numpy(x)).numpy()
    path = line.export(recipe, tmp_path / "float.onnx")
    eager = logits(line, line.recipe(line.candidates, Mode.EAGER), x).numpy()
    for found in (logits(line, recipe, x).numpy(), eager, OnnxRunner(path, threads=1)(x)):
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    coverage = audit_artifact(Quantized(network=line.fused, recipe=recipe), path)
    assert coverage.conv.quantized == coverage.add.quantized == coverage.linear.quantized == 0
    assert all(kind.as_meant for kind in coverage.kinds.values())


def test_everything_but_one_stage_comes_nearer_to_float(
    line: Line, noise_images: Images, onednn: None
) -> None:
    x = noise_images(4, SIDE, seed=2)
    outside = [name for name in line.candidates if not name.startswith("layer3")]
    with torch.inference_mode():
        expected = line.fused.module(torch.from_numpy(x))
    noise = [
        float((logits(line, line.recipe(names), x) - expected).square().sum())
        for names in ((), outside)
    ]
    assert noise[1] < 0.8 * noise[0]


def test_a_float_layer_keeps_its_own_weights(line: Line, onednn: None, tmp_path: Path) -> None:
    recipe = line.recipe(["layer2.0.conv1"])
    assert "layer2.0.conv1" not in recipe.layers
    path = line.export(recipe, tmp_path / "mixed.onnx")
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    own = line.fused.layers["layer2.0.conv1"].weight.detach().numpy()
    assert np.array_equal(stored["layer2.0.conv1.weight"], own)
    for mode in Mode:
        network = quantized_module(
            Quantized(network=line.fused, recipe=line.recipe(["layer2.0.conv1"], mode))
        )
        placed = network.get_submodule("layer2.0.conv1.1.0").weight.detach().numpy()
        assert np.array_equal(placed, own)


def test_the_torchscript_archive_obeys_as_well(
    random_network: Networks, noise_images: Images, onednn: None, tmp_path: Path
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=32)
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(8, 32))
    whole = make_recipe(fused, collected, pretrained, QuantConfig())
    recipe = leave_float(
        whole, fused, ["conv1", "layer2.0.conv2", "layer2.0.skip_add", "layer3.2.conv1"]
    )
    path = tmp_path / "mixed.pt"
    export_torchscript(
        Quantized(network=fused, recipe=recipe), metadata(recipe, engine="onednn"), path
    )
    x = noise_images(3, 32, seed=2)
    expected = logits(Line(fused, {}), recipe, x).numpy()
    assert np.array_equal(open_runner(path, threads=1)(x), expected)
    coverage = audit(path)
    assert (coverage.conv.quantized, coverage.conv.total) == (16, 19)
    assert (coverage.add.quantized, coverage.add.total) == (8, 9)
    assert (coverage.linear.quantized, coverage.linear.total) == (1, 1)


def test_an_operation_that_the_network_does_not_have_is_refused(line: Line) -> None:
    for name in ("layer9.0.conv1", "avgpool", "input"):
        with pytest.raises(InputError, match=f"float_layers: expected .* found {name}"):
            Quantized(network=line.fused, recipe=line.recipe([name]))


def test_a_float_layer_with_integers_is_refused(line: Line, tmp_path: Path) -> None:
    recipe = line.recipe([]).model_copy(update={"float_layers": ("conv1",)})
    path = tmp_path / "recipe.json"
    path.write_text(recipe.to_json())
    with pytest.raises(InputError, match="float_layers: conv1: expected no integers"):
        read_recipe(path)


def test_a_tensor_between_float_layers_that_has_parameters_is_refused(line: Line) -> None:
    recipe = line.recipe(["conv1"])
    activations = {**recipe.activations, "input": recipe.activations["conv1"]}
    strange = recipe.model_copy(update={"activations": activations})
    with pytest.raises(InputError, match="activations: input: expected none"):
        Quantized(network=line.fused, recipe=strange)


def test_inspect_names_them(line: Line, tmp_path: Path) -> None:
    for names, shown in (((), "none"), (("conv1", "fc"), "conv1, fc")):
        path = tmp_path / "recipe.json"
        path.write_text(line.recipe(names).to_json())
        printed = io.StringIO()
        Console(file=printed, width=200).print(describe(path))
        (row,) = (text for text in printed.getvalue().splitlines() if "in float" in text)
        assert row.split("float", 1)[1].strip() == shown


def test_the_order_of_the_names_does_not_matter(line: Line) -> None:
    assert line.recipe(["fc", "conv1"]) == line.recipe(["conv1", "fc"])
    again = leave_float(line.recipe(["fc"]), line.fused, ["conv1"])
    assert again == line.recipe(["conv1", "fc"])
