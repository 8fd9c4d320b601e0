"""What the words in a key of a checkpoint say of what it names."""

import re
from collections.abc import Iterator
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_AVERAGED: Final = frozenset({"average", "averaged", "averages", "averaging", "avg"})
_AVERAGED_ALONE: Final = frozenset({"ema", "polyak", "shadow", "swa"})
_CLASSIFIER: Final = frozenset(
    {"classif", "classification", "classifier", "clf", "cls", "dense", "fc", "final", "head"}
    | {"heads", "last", "lin", "linear", "logit", "logits", "out", "output", "pred", "prediction"}
    | {"predictor", "probe", "top"}
)
_TRAINING: Final = frozenset(
    {"acc", "accuracy", "auc", "auroc", "confmat", "confusion", "criteria", "criterion"}
    | {"criterions", "discriminator", "ece", "iou", "kappa", "loss", "losses", "mae", "meter"}
    | {"meters", "metric", "metrics", "mse", "optimizer", "perplexity"}
    | {"precision", "queue", "recall", "student", "teacher"}
)
# Class weights; the F1 score; what profilers leave in every module.
_TRAINING_SEGMENT: Final = re.compile(
    r"(?i)(.*_)?(class|cls|pos|ce)_?weights?|(.*_)?f1(_?score)?|total_(ops|params)"
)


def _words(key: str) -> Iterator[str]:
    """The words of a key, in lower case; capitals begin one, as `_` and `.` do."""
    return (word.lower() for word in _WORD.findall(key[:1000]))


def names_average(key: str) -> bool:
    """Whether it is an average over training: `model_ema`, `swa_model`, `averageModelState`.

    An optimizer's `exp_avg` is none of weights.
    """
    words = set(_words(key))
    return bool(words & _AVERAGED_ALONE) or bool(words & _AVERAGED and "exp" not in words)


def names_training(key: str) -> bool:
    """Whether it is of what stands beside a network in training: a loss, a metric, a teacher."""
    return any(word in _TRAINING for word in _words(key)) or any(
        _TRAINING_SEGMENT.fullmatch(segment) for segment in key[:1000].split(".")
    )


def names_classifier(module: str) -> bool:
    """Whether a module is called as classifiers are, `fc`, `head.fc`, `classifier.1`.

    Or has no name but its place, as in an `nn.Sequential`.
    """
    return module.replace(".", "").isdecimal() or not _CLASSIFIER.isdisjoint(_words(module))
