"""The network as a torch.export program: the recipe's integers, and nothing else inside."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eightbit.benchmarks import ArtifactMetadata, Precision, open_artifact
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.runners import program_kernels
from eightbit.benchmarks.runtimes.runners.program_kernels import with_int8_kernels
from eightbit.benchmarks.runtimes.runners.program_runner import ProgramRunner, load_program
from eightbit.calibration import QuantDType, QuantParams, collect
from eightbit.models import Architecture, InputError, Pretrained
from eightbit.quantize import QuantConfig, Quantized, examine_file, fuse, make_recipe
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.config import Target
from eightbit.quantize.front_ends.observed import observed_directly
from eightbit.quantize.program.arithmetic import IntegerLayer, ProgramModule
from eightbit.quantize.program.export import export_program
from eightbit.quantize.recipe.recipe import LayerParams, leave_float
from eightbit.quantize.verify.reference import reference_logits

SIDE = 32
Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]

NETWORKS = {
    "basic blocks": (Architecture.RESNET18, {}),
    "groups": (Architecture.RESNET50, {"groups": 4, "width_per_group": 4}),
    "option A": (Architecture.CIFAR_RESNET20, {}),
    "features": (Architecture.CIFAR_RESNET20, {"include_top": False}),
}


def quantized(
    pretrained: Pretrained, images: np.ndarray, target: Target = Target.PORTABLE
) -> Quantized:
    network = fuse(pretrained)
    observed = observed_directly(network)
    collected = collect(observed.module, observed.observers, images)
    recipe = make_recipe(network, collected, pretrained, QuantConfig(target=target))
    return Quantized(network=network, recipe=recipe)


def exported(line: Quantized, path: Path) -> Path:
    metadata = ArtifactMetadata(
        precision=Precision.INT8, spec=line.recipe.spec, recipe_sha256=line.recipe.sha256
    )
    export_program(ProgramModule(line), metadata, path)
    return path


@pytest.mark.parametrize(("architecture", "structure"), NETWORKS.values(), ids=NETWORKS)
def test_it_computes_the_reference_bit_for_bit(
    architecture: Architecture,
    structure: dict[str, int],
    random_network: Networks,
    noise_images: Images,
) -> None:
    pretrained = random_network(architecture, side=SIDE, **structure)
    line = quantized(pretrained, noise_images(8, SIDE))
    x = noise_images(3, SIDE, seed=2)
    with torch.inference_mode():
        found = ProgramModule(line)(torch.from_numpy(x)).numpy()
    assert np.array_equal(found, reference_logits(line, x))


@pytest.fixture(scope="module")
def line(random_network: Networks, noise_images: Images) -> Quantized:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=SIDE)
    return quantized(pretrained, noise_images(8, SIDE))


@pytest.fixture(scope="module")
def program(line: Quantized, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(line, tmp_path_factory.mktemp("program") / "model.int8.pt2")


def test_layers_left_in_float_keep_their_weights(line: Quantized, noise_images: Images) -> None:
    names = ("conv1", "layer2.0.conv2", "layer2.0.skip_add", "fc")
    recipe = leave_float(line.recipe, line.network, names)
    mixed = Quantized(network=line.network, recipe=recipe)
    x = noise_images(3, SIDE, seed=2)
    with torch.inference_mode():
        found = ProgramModule(mixed)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, reference_logits(mixed, x), rtol=0, atol=1e-6)


def test_sums_that_float32_does_not_hold_are_taken_in_parts() -> None:
    torch.manual_seed(0)
    channels = 700
    layer = nn.Conv2d(channels, 2, 3, padding=1)
    with torch.no_grad():
        layer.weight.copy_(torch.randint(120, 128, layer.weight.shape))
    source = QuantParams(dtype=QuantDType.UINT8, scale=(1.0,), zero_point=(3,))
    weight = QuantParams(dtype=QuantDType.INT8, scale=(1.0, 1.0), zero_point=(0, 0), axis=0)
    integers = IntegerLayer(
        layer, LayerParams(weight=weight, bias=(1, -1), protected=False), source, None
    )
    steps = torch.randint(100, 253, (1, channels, 5, 5))
    exact = nn.functional.conv2d(steps.double(), layer.weight.double(), padding=1)
    exact += torch.tensor([1.0, -1.0]).reshape(-1, 1, 1)
    assert exact.max() > 2**26
    assert torch.equal(integers(steps.float()), exact)


def test_it_loads_with_torch_alone_and_takes_any_batch(
    line: Quantized, program: Path, noise_images: Images, tmp_path: Path
) -> None:
    x = noise_images(5, SIDE, seed=3)
    np.save(tmp_path / "x.npy", x)
    code = """
import sys, numpy, torch
module = torch.export.load(sys.argv[1]).module()
x = torch.from_numpy(numpy.load("x.npy"))
parts = [module(part).numpy() for part in (x[:1], x[1:3], x[3:])]
numpy.save("y.npy", numpy.concatenate(parts))
assert not [name for name in sys.modules if name.startswith("eightbit.")]
"""
    command = [sys.executable, "-I", "-c", code, str(program)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(tmp_path / "y.npy"), reference_logits(line, x))


def test_it_holds_integers_and_neither_examples_nor_traces_of_the_machine(
    line: Quantized, program: Path
) -> None:
    with zipfile.ZipFile(program) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    weights = sum(len(content) for name, content in members.items() if "/weight_" in name)
    integers = sum(layer.weight.numel() for layer in line.network.layers.values())
    channels = sum(len(layer.weight) for layer in line.network.layers.values())
    assert weights == integers + 8 * channels  # a bias and a multiplier each
    assert len(members["data/sample_inputs/model.pt"]) < 4000  # a batch of zeros is 24 kB
    graph = members["models/model.json"].decode()
    assert not any(word in graph for word in ("stack_trace", "File ", ".py", "eightbit", "/home"))
    (batch,) = json.loads(graph)["range_constraints"].values()
    assert batch == {"min_val": 1, "max_val": None}


def test_the_same_bytes_come_out_again(line: Quantized, program: Path, tmp_path: Path) -> None:
    assert exported(line, tmp_path / "again.pt2").read_bytes() == program.read_bytes()


def test_it_says_what_it_is_and_what_computes_it(
    line: Quantized, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = open_artifact(program)
    assert artifact.metadata is not None
    assert artifact.metadata.recipe_sha256 == line.recipe.sha256
    coverage = audit(program)
    assert coverage is not None
    assert (coverage.conv.quantized, coverage.conv.total) == (19, 19)
    assert (coverage.linear.quantized, coverage.linear.total) == (0, 1)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    coverage = audit(program)
    assert coverage is not None
    assert (coverage.conv.quantized, coverage.conv.total) == (0, 19)


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"features"}))
def test_int8_kernels_compute_every_convolution_bit_for_bit(
    name: str, random_network: Networks, noise_images: Images, tmp_path: Path
) -> None:
    architecture, structure = NETWORKS[name]
    line = quantized(random_network(architecture, side=SIDE, **structure), noise_images(8, SIDE))
    path = exported(line, tmp_path / "model.int8.pt2")
    convolutions = sum(isinstance(one, nn.Conv2d) for one in line.network.layers.values())
    assert with_int8_kernels(load_program(path)) == convolutions
    coverage = audit(path)  # nothing of what was replaced is computed as well
    assert coverage is not None
    assert (coverage.conv.quantized, coverage.conv.total) == (convolutions, convolutions)
    x = noise_images(3, SIDE, seed=2)
    expected = reference_logits(line, x)
    for optimize in (True, False):
        assert np.array_equal(ProgramRunner(path, 1, optimize=optimize)(x), expected)


def test_convolutions_whose_sums_would_saturate_stay_as_they_are_written(
    random_network: Networks, noise_images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=SIDE)
    taken = {}
    images = noise_images(8, SIDE)
    for target in (Target.PORTABLE, Target.X86_VNNI):
        line = quantized(pretrained, images, target)
        path = exported(line, tmp_path / f"{target}.int8.pt2")
        for cpu, instructions in (("newer", ("avx2", "avx512_vnni")), ("older", ("avx2",))):
            features = CpuFeatures(
                name=cpu,
                architecture="x86_64",
                instructions=instructions,
                logical_cores=1,
                usable_logical=1,
                usable_physical=1,
            )
            monkeypatch.setattr(program_kernels, "read_cpu_features", lambda seen=features: seen)
            taken[target, cpu] = with_int8_kernels(load_program(path))
    before_vnni = taken.pop((Target.X86_VNNI, "older"))
    assert set(taken.values()) == {19}
    assert before_vnni < 19


def test_the_doctor_says_who_looks_at_it(program: Path) -> None:
    with pytest.raises(InputError, match=r"found one of torch\.export; eightbit inspect counts"):
        examine_file(program)


def test_another_size_is_refused_in_one_line(program: Path, noise_images: Images) -> None:
    with pytest.raises(InputError, match="expected float32 of shape"):
        ProgramRunner(program, threads=1)(noise_images(1, SIDE + 1))
