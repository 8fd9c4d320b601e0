from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from eightbit.models.doors.checkpoints import Checkpoint, load_into
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

SMALL = Architecture.CIFAR_RESNET20

Read = Callable[..., Checkpoint]
State = dict[str, Tensor]


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def logits(checkpoint: Checkpoint) -> Tensor:
    model = build_model(SMALL, num_classes=checkpoint.num_classes)
    load_into(model, checkpoint)
    torch.manual_seed(0)
    with torch.inference_mode():
        return model.eval()(torch.rand(2, 3, 32, 32))


# The classifier's name beside features under a prefix, and what is taken for granted of it.
CLASSIFIERS = {
    ("", "classifier"): "",
    ("", "linear"): "",
    ("", "last_linear"): "",
    ("", "head"): "",
    ("", "fc.1"): "classifier fc.1: layers without weights",
    ("", "fc.0"): "classifier fc.0: layers without weights",
    ("backbone.", "classifier"): "",
    ("backbone.", "backbone.fc"): "",
    ("backbone.", "head.fc"): "classifier head.fc: layers without weights",
    ("model.backbone.", "model.cls_head.fc"): "classifier model.cls_head.fc: layers",
    ("student.body.", "student.logits"): "",
    ("0.", "2"): "",
}


@pytest.mark.parametrize(("prefix", "name"), CLASSIFIERS)
def test_a_classifier_is_found_under_any_of_its_usual_names(
    prefix: str, name: str, state: State, features: State, read: Read
) -> None:
    head = {f"{name}.weight": state["fc.weight"], f"{name}.bias": state["fc.bias"]}
    found = read({**under(prefix, features), **head})
    assert all(torch.equal(found.state_dict[key], value) for key, value in state.items())
    expected = CLASSIFIERS[prefix, name]
    assert "".join(found.notes).startswith(expected)
    assert bool(found.notes) == bool(expected)


def test_a_classifier_without_bias_answers_as_it_did(
    state: State, features: State, read: Read
) -> None:
    found = read({**features, "fc.weight": state["fc.weight"]})
    with_zeros = read({**state, "fc.bias": torch.zeros(10)})
    assert found.notes == ("classifier fc: without bias, read as zeros",)
    assert torch.equal(logits(found), logits(with_zeros))


def test_a_convolution_of_one_pixel_is_the_linear_layer_that_it_is(
    state: State, features: State, read: Read
) -> None:
    head = {"head.weight": state["fc.weight"][:, :, None, None], "head.bias": state["fc.bias"]}
    found = read({**features, **head})
    assert found.notes == (
        "classifier head: a 1x1 convolution, read as a linear layer behind the pooling",
    )
    assert torch.equal(logits(found), logits(read(state)))


# Classifiers that are another network's, and what the message names.
OTHER_CLASSIFIERS: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "a hidden layer": (
        {"fc.0.weight": (32, 64), "fc.0.bias": (32,), "fc.3.weight": (10, 32), "fc.3.bias": (10,)},
        r"fc\.0\.weight and fc\.3\.weight: expected a classifier of one linear layer",
    ),
    "a hidden layer of its own name": (
        {"fc1.weight": (32, 64), "fc2.weight": (10, 32)},
        r"fc1\.weight and fc2\.weight: expected a classifier of one linear layer",
    ),
    "BatchNorm": (
        {"fc.0.weight": (64,), "fc.0.bias": (64,), "fc.1.weight": (10, 64)},
        r"fc\.1\.weight and fc\.0\.weight: expected a classifier of one",
    ),
    "a scale": ({"fc.weight": (10, 64), "fc.scale": ()}, r"fc\.weight and fc\.scale: expected"),
    "two": ({"fc.weight": (10, 64), "head.weight": (5, 64)}, r"fc\.weight and head\.weight"),
    "one behind the other": (
        {"fc.weight": (10, 64), "head.weight": (5, 10)},
        r"fc\.weight and head\.weight: expected a classifier of one linear layer",
    ),
    "no pooling": ({"fc.weight": (10, 4096)}, r"fc\.weight: expected .*\(classes, 64\), found"),
    "another bias": (
        {"fc.weight": (10, 64), "fc.bias": (9,)},
        r"fc\.bias: expected one bias per class, \(10,\), found \(9,\)",
    ),
    "a projection": ({"projector.weight": (10, 64)}, r"projector\.weight: it could be the class"),
}


@pytest.mark.parametrize("case", OTHER_CLASSIFIERS)
def test_a_classifier_of_another_network_is_refused_by_its_keys(
    case: str, features: State, read: Read
) -> None:
    shapes, message = OTHER_CLASSIFIERS[case]
    with pytest.raises(InputError, match=message):
        read({**features, **{key: torch.ones(shape) for key, shape in shapes.items()}})


# Beside the network, and without effect on what it answers.
STRANGERS: dict[str, object] = {
    "criterion.weight": torch.ones(10),
    "ce.weight": torch.ones(10),
    "loss_fn.pos_weight": torch.ones(10),
    "class_weights": torch.ones(10),
    "center_loss.centers": torch.ones(10, 64),
    "val_acc.tp": torch.zeros(10, dtype=torch.long),
    "train_metrics.f1.state": torch.ones(10),
    "val_f1.tp": torch.ones(10),
    "step": torch.tensor(3),
    "mask": torch.ones(3, dtype=torch.bool),
    "empty.weight": torch.ones(0),
    "total_ops": torch.ones(1, dtype=torch.float64),
    "layer1.0.conv1.total_ops": torch.ones(1, dtype=torch.float64),
    "fc.total_params": torch.ones(1, dtype=torch.float64),
    "teacher.fc.weight": torch.ones(10, 64),
    "teacher.head.weight": torch.ones(10, 64),
    "n_averaged": torch.tensor(3),
    "best": np.float64(0.5),
    "epoch": 3,
    "name": "mine",
    "nothing": None,
    "lr": 0.1,
}


@pytest.mark.parametrize("prefix", ["", "net."])
def test_what_stands_beside_the_network_is_left_out_and_named(
    prefix: str, state: State, read: Read
) -> None:
    for key, value in STRANGERS.items():
        inside = key.startswith(("layer", "fc"))
        full = f"{prefix}{key}" if inside else key
        found = read({**under(prefix, state), full: value})
        assert found.notes == (f"left out beside the network: {full}",)
        assert torch.equal(found.state_dict["fc.weight"], state["fc.weight"])
    assert read({**under(prefix, state), **STRANGERS}).notes[0].endswith(" more")


# Beside the network or in it, and perhaps a part of what it computes.
INTRUDERS: dict[str, object] = {
    "layer1.0.se.fc.weight": torch.ones(4, 16),
    "layer1.0.relu1.weight": torch.ones(1),
    "layer1.0.conv1.bias": torch.ones(16),
    "layer1.0.mask": torch.ones(3, dtype=torch.long),
    "layer1.0.bn1.momentum": 0.1,
    "layer9.conv.weight": torch.ones(2),
    "relu.weight": torch.ones(1),
    "normalize.mean": torch.ones(1, 3, 1, 1),
    "mean": torch.ones(3),
    "neck.weight": torch.ones(64),
    "temperature": torch.ones(1),
    "avg_pool.p": torch.ones(1),
    "ema.gn.weight": torch.ones(8),
    "ema.conv1.weight": torch.ones(8, 8, 1, 1),
    "shadow_removal.conv.weight": torch.ones(3, 3, 1, 1),
    "scaler.mean": torch.ones(3),
    "attention.out_proj.weight": torch.ones(10, 10),
}


@pytest.mark.parametrize("key", INTRUDERS)
@pytest.mark.parametrize("prefix", ["", "student.", "ema_model."])
def test_what_may_be_a_part_of_the_network_is_refused_by_name(
    key: str, prefix: str, state: State, read: Read
) -> None:
    with pytest.raises(InputError, match=f"{prefix}{key}") as caught:
        read({**under(prefix, state), f"{prefix}{key}": INTRUDERS[key]})
    assert str(caught.value).isprintable()


def test_a_stranger_that_is_none_of_the_networks_is_left_out_on_demand(
    state: State, read: Read
) -> None:
    content = {"state_dict": {**under("net.", state), "decoder.weight": torch.ones(10, 10)}}
    with pytest.raises(InputError, match=r"decoder\.weight.*--weights-key state_dict/net"):
        read(content)
    found = read(content, "state_dict/net")
    assert (found.key, found.notes) == ("state_dict/net", ())


def _pruned(layer: nn.Module) -> None:
    prune.l1_unstructured(layer, "weight", 0.5)


TRAINED_IN_PARTS = {
    "pruned": (_pruned, r"weight_(orig|mask).*torch\.nn\.utils\.prune\.remove\(module, 'weight'\)"),
    "weight-normed by a hook": (weight_norm, r"weight_g.*torch\.nn\.utils\.remove_weight_norm"),
    "weight-normed": (
        parametrizations.weight_norm,
        r"parametrizations\.weight\.original0.*remove_parametrizations\(module, 'weight'\)",
    ),
    "spectrally normed by a hook": (spectral_norm, r"weight_(orig|u).*remove_spectral_norm"),
    "spectrally normed": (
        parametrizations.spectral_norm,
        r"parametrizations\.weight\.original: .*remove_parametrizations",
    ),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize("layer", ["layer2.1.conv2", "conv1", "fc"])
@pytest.mark.parametrize("case", TRAINED_IN_PARTS)
def test_weights_in_parts_are_named_with_the_call_that_makes_them_plain(
    case: str, layer: str, read: Read
) -> None:
    change, message = TRAINED_IN_PARTS[case]
    model = build_model(SMALL)
    change(model.get_submodule(layer))
    with pytest.raises(InputError, match=rf"{layer}\.{message}"):
        read({"state_dict": under("net.", dict(model.state_dict()))})


def test_a_stem_for_grey_photos_says_the_exact_way_out(state: State, read: Read) -> None:
    grey = state["conv1.weight"][:, :1]
    with pytest.raises(InputError, match="a first layer for grey photos") as caught:
        read({**state, "conv1.weight": grey})
    assert len(str(caught.value)) < 480
    # What the message says, on a photo with R = G = B.
    w = torch.zeros(16, 3, 3, 3)
    w[:, :1] = grey
    assert repr(tuple(w.shape)) in str(caught.value)
    photo = torch.rand(1, 1, 8, 8)
    expected = nn.functional.conv2d(photo, grey)
    assert torch.allclose(nn.functional.conv2d(photo.expand(1, 3, 8, 8), w), expected, atol=1e-6)
    assert torch.equal(
        nn.functional.conv2d(photo.double().expand(1, 3, 8, 8), w.double()),
        nn.functional.conv2d(photo.double(), grey.double()),
    )


def test_a_stem_for_other_images_is_named(state: State, read: Read) -> None:
    with pytest.raises(InputError, match=r"conv1\.weight: found a first layer for 4 channels"):
        read({**state, "conv1.weight": torch.ones(16, 4, 3, 3)})


def test_many_networks_are_refused_without_looking_at_each(state: State, read: Read) -> None:
    slim = {key: value for key, value in state.items() if "num_batches" not in key}
    content = {key: v for index in range(20) for key, v in under(f"{index}.", slim).items()}
    with pytest.raises(InputError, match="found 20; name one of them, such as --weights-key 0"):
        read(content)
