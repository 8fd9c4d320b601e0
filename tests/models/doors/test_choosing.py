import re
import shlex
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from eightbit.models.doors.checkpoints import Checkpoint
from eightbit.models.errors import InputError
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

Read = Callable[..., Checkpoint]
State = dict[str, Tensor]


def under(prefix: str, state: State) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


def parameters(state: State) -> State:
    return {key: value for key, value in state.items() if key.endswith(("weight", "bias"))}


def averaged_model(state: State) -> dict[str, object]:
    return {"n_averaged": torch.tensor(5), **under("module.", state)}


def is_same(checkpoint: Checkpoint, state: State) -> bool:
    return all(torch.equal(checkpoint.state_dict[key], value) for key, value in state.items())


# What a file holds, made of two networks, and the keys by which the one and the other are taken.
SEVERAL: dict[str, tuple[Callable[[State, State], object], str, str]] = {
    "timm's": (lambda s, o: {"state_dict": s, "state_dict_ema": o}, "state_dict", "state_dict_ema"),
    "torchvision's references": (
        lambda s, o: {"model": s, "model_ema": averaged_model(o)},
        "model",
        "model_ema",
    ),
    "mmengine's": (
        lambda s, o: {"state_dict": s, "ema_state_dict": under("module.", o)},
        "state_dict",
        "ema_state_dict",
    ),
    "a nest": (lambda s, o: {"model": {"raw": s, "ema": o}}, "model/raw", "model/ema"),
    "Lightning's weight averaging": (
        lambda s, o: {"current_model_state": under("net.", s), "state_dict": under("net.", o)},
        "current_model_state",
        "state_dict",
    ),
    "Lightning's callbacks": (
        lambda s, o: {
            "state_dict": under("model.", s),
            "callbacks": {"SWA{'lr': 0.1}": {"average_model_state": under("model.", o)}},
        },
        "state_dict",
        "callbacks/SWA{'lr': 0.1}/average_model_state",
    ),
    "a key with a slash": (lambda s, o: {"a/b": s, "a": {"b/c": o}}, "a/b", "a/b/c"),
    "two prefixes": (
        lambda s, o: {"state_dict": {**under("teacher.", s), **under("student.", o)}},
        "state_dict/teacher",
        "state_dict/student",
    ),
    "a prefix beside none": (lambda s, o: {**s, **under("teacher.", o)}, "/", "teacher"),
    "one within the other": (
        lambda s, o: {**under("a.", s), **under("a.b.", o)},
        "a",
        "a.b",
    ),
    "momentum contrast": (
        lambda s, o: {
            **under("encoder_q.", s),
            **under("encoder_k.", o),
            "queue": torch.zeros(10, 64),
        },
        "encoder_q",
        "encoder_k",
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_of_several_networks_none_is_taken_unasked_and_each_by_its_key(
    case: str, state: State, other: State, read: Read
) -> None:
    make, key, other_key = SEVERAL[case]
    content = make(state, other)
    with pytest.raises(InputError, match="expected weights of one cifar_resnet20") as caught:
        read(content)
    said = str(caught.value)
    for one, expected in ((key, state), (other_key, other)):
        assert f"--weights-key {shlex.quote(one)}" in said
        found = read(content, one)
        assert found.key == one
        assert is_same(found, expected)
    assert said.isprintable()
    assert len(said) < 400


def test_averaged_weights_are_called_so(state: State, other: State, read: Read) -> None:
    with pytest.raises(
        InputError, match=re.escape("state_dict_ema (named as averaged); say which: --we")
    ):
        read({"state_dict": state, "state_dict_ema": other})


def test_a_key_may_be_longer_or_shorter_than_it_needs_to_be(
    state: State, other: State, read: Read
) -> None:
    content = {"model": {"raw": state, "average": averaged_model(other)}}
    for key in ("model/average", "model/average/module", "/model/average/"):
        assert is_same(read(content, key), other)
    with pytest.raises(InputError, match="found 2: model/raw, model/average"):
        read(content, "model")


@pytest.mark.parametrize("key", ["ema", "state_dict/ema", "state_dict/conv1", "epoch"])
def test_a_key_that_leads_nowhere_is_refused_with_those_that_lead_somewhere(
    key: str, state: State, other: State, read: Read
) -> None:
    content = {"state_dict": state, "state_dict_ema": other, "epoch": 3}
    expected = f"found none that is '{key}'; there are tensors under state_dict, state_dict_ema"
    if key in ("state_dict/conv1", "epoch"):
        expected = f"{key}: expected "
    with pytest.raises(InputError, match=expected) as caught:
        read(content, key)
    assert str(caught.value).isprintable()


# Averaged weights from which no network can be made, beside one that can, and its key.
INCOMPLETE: dict[str, tuple[Callable[[State, State], object], str]] = {
    "no statistics": (lambda s, o: {"model": s, "ema": parameters(o)}, "model"),
    "a list": (
        lambda s, o: {"model": s, "ema": {"shadow_params": [*parameters(o).values()]}},
        "model",
    ),
    "an optimizer's": (
        lambda s, o: {"model": s, "optimizer_states": [{"ema": (*parameters(o).values(),)}]},
        "model",
    ),
    "mmcv's hook": (
        lambda s, o: {
            "state_dict": {
                **s,
                **{f"ema_{key.replace('.', '_')}": value for key, value in parameters(o).items()},
            }
        },
        "state_dict",
    ),
    "a prefix": (lambda s, o: {**under("net.", s), **under("net_ema.", parameters(o))}, "net"),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_averaged_weights_that_cannot_be_taken_are_not_passed_over(
    case: str, state: State, other: State, read: Read
) -> None:
    make, key = INCOMPLETE[case]
    content = make(state, other)
    with pytest.raises(InputError, match=f"averaged weights, .*--weights-key {key}, or"):
        read(content)
    assert is_same(read(content, key), state)


def test_what_is_no_other_network_asks_nothing(state: State, other: State, read: Read) -> None:
    adam = {
        index: {"step": torch.zeros(()), "exp_avg": value, "exp_avg_sq": value}
        for index, value in enumerate(parameters(other).values())
    }
    larger = dict(build_model(Architecture.CIFAR_RESNET56).state_dict())
    content = {
        "model": {**under("student.", state), **under("teacher.", larger)},
        "optimizer": {"state": adam, "param_groups": [{"lr": 0.1}]},
        "discriminator": {"main.0.weight": torch.zeros(64, 3, 4, 4)},
    }
    found = read(content)
    assert is_same(found, state)
    assert found.notes[0].startswith("left out beside the network: teacher.conv1.weight")
    assert len(found.notes[0]) < 200


def test_only_averaged_weights_are_taken(state: State, read: Read) -> None:
    assert is_same(read({"epoch": 3, "ema_state_dict": under("module.", state)}), state)


def test_features_and_classifier_may_be_apart(state: State, features: State, read: Read) -> None:
    head = {"weight": state["fc.weight"], "bias": state["fc.bias"]}
    assert is_same(read({"backbone": features, "head": head}), state)
    assert is_same(read({"nets": {"backbone": features, "classifier": {"1": head}}}), state)


def test_a_classifier_apart_is_not_passed_over(state: State, read: Read) -> None:
    content = {"backbone": state, "classifier": {"weight": torch.zeros(5, 64)}}
    with pytest.raises(InputError, match=r"classifier: found weight there.*--weights-key backbone"):
        read(content)
    assert is_same(read(content, "backbone"), state)
