import functools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import (
    _BUILDERS,
    build_from_spec,
    build_model,
    default_num_classes,
    default_preprocessing,
    parameter_count,
)
from eightbit.models.networks.cifar import CifarResNet
from eightbit.models.networks.resnet import BasicBlock, Bottleneck, ResNet
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing
from eightbit.models.torch_warnings import expected_deprecations

TORCHVISION = [architecture for architecture in Architecture if not architecture.is_cifar]
torchvision_models = import_torchvision().models


def randomise_batch_norms(model: nn.Module) -> None:
    """Statistics and scales as training leaves them: with defaults a swapped BN goes unseen."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)


def draw_weights(model: nn.Module) -> None:
    """Give a network on the meta device storage, He's initialisation and lived-in BatchNorms."""
    model.to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan_out = parameter.shape[0] * parameter[0, 0].numel() if parameter.ndim == 4 else 100
        parameter.data.normal_(std=(2 / fan_out) ** 0.5, generator=generator)
    randomise_batch_norms(model)


def relative_error(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    assert torch.isfinite(expected).all()
    return ((found - expected).abs().max() / expected.abs().max()).item()


def with_weights_of(reference: nn.Module, model: nn.Module) -> nn.Module:
    randomise_batch_norms(reference)
    model.load_state_dict(reference.state_dict(), strict=True)
    reference.eval()
    return model.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("architecture", TORCHVISION)
def test_logits_and_keys_equal_those_of_torchvision(
    architecture: Architecture, images: Tensor
) -> None:
    with torch.device("meta"):  # torch's own initialisation takes longer than all else here
        reference = torchvision_models.get_model(architecture.value, num_classes=7)
        model = build_model(architecture, num_classes=7)
    draw_weights(reference)
    model.load_state_dict(reference.state_dict(), strict=True, assign=True)
    model.eval()
    assert list(model.state_dict()) == list(reference.state_dict())
    with torch.inference_mode():
        assert relative_error(model(images), reference(images)) <= 1e-5


@pytest.mark.parametrize(
    "arguments",
    [
        {"replace_stride_with_dilation": [False, True, True]},
        {"replace_stride_with_dilation": [True, False, True]},
        {"groups": 2, "width_per_group": 48},
        {"norm_layer": nn.BatchNorm2d},
    ],
    ids=str,
)
def test_constructor_arguments_mean_what_they_mean_in_torchvision(
    arguments: dict[str, object], images: Tensor
) -> None:
    torch.manual_seed(0)
    reference = torchvision_models.resnet50(num_classes=5, **arguments)
    model = with_weights_of(
        reference, build_model(Architecture.RESNET50, num_classes=5, **arguments)
    )
    with torch.inference_mode():
        assert relative_error(model(images), reference(images)) <= 1e-5


@pytest.mark.parametrize("architecture", [Architecture.RESNET18, Architecture.RESNET50])
def test_without_its_top_a_network_gives_the_features_of_the_last_stage(
    architecture: Architecture, images: Tensor
) -> None:
    torch.manual_seed(0)
    reference = torchvision_models.get_model(architecture.value)
    randomise_batch_norms(reference)
    features: list[Tensor] = []
    reference.layer4.register_forward_hook(lambda _module, _input, output: features.append(output))
    model = build_model(architecture, include_top=False).eval()
    assert not hasattr(model, "fc")
    assert not hasattr(model, "avgpool")
    state = reference.state_dict()
    model.load_state_dict({key: value for key, value in state.items() if key[:3] != "fc."})
    with torch.inference_mode():
        reference.eval()(images)
        found = model(images)
    assert found.shape[2:] == (2, 2)
    assert relative_error(found, features[0]) <= 1e-5


@pytest.mark.parametrize("architecture", [Architecture.RESNET18, Architecture.RESNET50])
def test_zero_init_residual_zeroes_the_batch_norms_that_torchvision_zeroes(
    architecture: Architecture,
) -> None:
    def zeroed(model: nn.Module) -> set[str]:
        return {
            key
            for key, value in model.state_dict().items()
            if key.endswith("weight") and not value.any()
        }

    expected = zeroed(torchvision_models.get_model(architecture.value, zero_init_residual=True))
    assert expected
    assert zeroed(build_model(architecture, zero_init_residual=True)) == expected
    assert not zeroed(build_model(architecture))


def test_random_weights_are_distributed_as_torchvisions() -> None:
    torch.manual_seed(0)
    weight = build_model(Architecture.RESNET18).state_dict()["layer4.0.conv1.weight"]
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: build_model(Architecture.RESNET18, norm_layer=nn.GroupNorm), "GroupNorm"),
        (lambda: build_model(Architecture.RESNET18, width_per_group=128), "basic blocks"),
        (lambda: build_model(Architecture.RESNET34, groups=2), "basic blocks"),
        (
            lambda: build_model(
                Architecture.RESNET18, replace_stride_with_dilation=[False, False, True]
            ),
            "dilation 2",
        ),
        (
            lambda: build_model(Architecture.RESNET50, replace_stride_with_dilation=[True]),
            "three flags",
        ),
        (lambda: build_model(Architecture.RESNET50, num_classes=0), "num_classes"),
        (lambda: build_model(Architecture.RESNET50, colour=3), "colour"),
        (lambda: build_model(Architecture.RESNEXT50_32X4D, groups=1), "groups cannot be given"),
        (lambda: build_model(Architecture.CIFAR_RESNET20, norm_layer=None), "norm_layer"),
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(
    build: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_every_architecture_has_its_builder_and_no_other_has() -> None:
    assert list(_BUILDERS) == list(Architecture)


@pytest.mark.parametrize("architecture", TORCHVISION)
def test_parameters_are_as_many_as_torchvision_documents(architecture: Architecture) -> None:
    weights = torchvision_models.get_model_weights(architecture.value).DEFAULT
    assert parameter_count(architecture) == weights.meta["num_params"]


def test_the_cifar_networks_have_the_papers_number_of_parameters() -> None:
    # Table 6 of arXiv:1512.03385: 0.27M, 0.46M, 0.66M, 0.85M, 1.7M.
    counts = [parameter_count(a) / 1e6 for a in Architecture if a.is_cifar]
    assert counts == pytest.approx([0.27, 0.46, 0.66, 0.85, 1.73], abs=0.01)


def test_defaults_are_those_of_the_architectures_data_set() -> None:
    assert default_num_classes(Architecture.RESNET50) == 1000
    assert default_num_classes(Architecture.CIFAR_RESNET56) == 10
    assert default_preprocessing(Architecture.RESNET50) == Preprocessing(resize=256, crop=224)
    assert default_preprocessing(Architecture.CIFAR_RESNET20) == Preprocessing(resize=32, crop=32)


def test_a_spec_builds_its_network() -> None:
    spec = ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=17)
    assert build_from_spec(spec)(torch.zeros(2, 3, 32, 32)).shape == (2, 17)


@pytest.mark.parametrize("architecture", list(Architecture))
def test_fusion_groups_are_every_convolution_with_its_batch_norm(
    architecture: Architecture,
) -> None:
    with torch.device("meta"):
        model = build_model(architecture)
    groups = model.fusion_groups()
    kinds = {name: type(module) for name, module in model.named_modules()}
    convolutions = [name for name, kind in kinds.items() if kind is nn.Conv2d]
    assert [group[0] for group in groups] == convolutions
    patterns = {tuple(kinds[name] for name in group) for group in groups}
    assert patterns == {
        (nn.Conv2d, nn.BatchNorm2d),
        (nn.Conv2d, nn.BatchNorm2d, nn.ReLU),
    }
    # Every ReLU follows a convolution; the one after the sum is part of skip_add.
    relus = [name for name, kind in kinds.items() if kind is nn.ReLU]
    assert [group[2] for group in groups if len(group) == 3] == relus


def test_fusion_groups_name_modules_as_torch_does() -> None:
    groups = build_model(Architecture.RESNET18).fusion_groups()
    assert groups[:3] == [
        ["conv1", "bn1", "relu"],
        ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu1"],
        ["layer1.0.conv2", "layer1.0.bn2"],
    ]
    assert ["layer2.0.downsample.0", "layer2.0.downsample.1"] in groups


@pytest.mark.parametrize(
    "architecture",
    [Architecture.RESNET18, Architecture.RESNET50, Architecture.CIFAR_RESNET20],
)
def test_fusing_the_groups_leaves_no_batch_norm_and_the_same_logits(
    architecture: Architecture,
) -> None:
    model = build_model(architecture, num_classes=3)
    randomise_batch_norms(model)
    model.eval()
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = model(x)
        torch.ao.quantization.fuse_modules(model, model.fusion_groups(), inplace=True)
        assert relative_error(model(x), expected) <= 1e-4
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert model.fusion_groups() == []


@pytest.mark.parametrize("include_top", [True, False])
@pytest.mark.parametrize(
    "build",
    [
        functools.partial(ResNet, Bottleneck, (1, 1, 1, 1)),
        functools.partial(ResNet, BasicBlock, (1, 1, 1, 1)),
        functools.partial(CifarResNet, 8),
    ],
    ids=["bottlenecks", "basic blocks", "cifar"],
)
def test_networks_trace_and_script_for_any_batch_size(
    build: Callable[..., nn.Module], include_top: bool
) -> None:
    model = build(num_classes=3, include_top=include_top).eval()
    traced = torch.fx.symbolic_trace(model)
    with expected_deprecations():
        scripted = torch.jit.script(model)
    for batch in (1, 3):
        x = torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            expected = model(x)
            torch.testing.assert_close(traced(x), expected, rtol=0, atol=0)
            torch.testing.assert_close(scripted(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", list(Architecture))
def test_no_module_runs_twice_in_one_forward(architecture: Architecture) -> None:
    with torch.device("meta"):
        model = build_model(architecture)
    graph = torch.fx.symbolic_trace(model).graph
    called = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    assert len(called) == len(set(called))


def test_the_layers_argument_needs_four_stages() -> None:
    with pytest.raises(InputError, match="four"):
        ResNet(BasicBlock, (1, 1, 1))
