"""Networks of timm, by the name that it gives them."""

import math
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from torch import nn

from eightbit.models.doors.foreign.fitting import classes_of, fit_weights
from eightbit.models.doors.foreign.modules import from_module
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import Interpolation, Preprocessing, of_sides

# In place of a file: what timm's hub has for the network.
_FROM_HUB: Final = "DEFAULT"

_IMAGENET: Final = 1000


def from_timm(name: str, wanted: Wanted) -> Pretrained:
    """A network of timm's with weights of a file, or of its hub (`DEFAULT`).

    Its configuration says the preprocessing; labels are ImageNet's for 1,000 classes of its.

    Raises:
        InputError: timm is not installed, has no such network, or the weights do not fit.
    """
    timm = _timm()
    if wanted.weights is None:
        raise InputError(f"timm:{one_line(name, 60)}: expected --weights: a file, or {_FROM_HUB}")
    from_hub = wanted.weights == _FROM_HUB
    classes = None if from_hub else _classes(timm, name, Path(wanted.weights), wanted.weights_key)
    module = _created(timm, name, pretrained=from_hub, num_classes=classes)
    fitted = None
    if not from_hub:
        fitted = fit_weights(module, Path(wanted.weights), wanted.weights_key)
    called = f"timm:{name}"
    return from_module(
        module,
        preprocessing=wanted.prepared(
            wanted.preprocessing or _preprocessing(timm, module, called, wanted)
        ),
        labels=wanted.labels or _labels(module),
        task=wanted.task,
        threshold=wanted.threshold,
        name=called,
        weights_sha256=fitted.sha256 if fitted else None,
        source=fitted.source(wanted.weights_key) if fitted else called,
        weights_key=fitted.key if fitted and wanted.weights_key is not None else None,
        notes=fitted.notes if fitted else (),
    )


def _timm() -> ModuleType:
    import_torchvision()  # which timm imports, and which may need help
    try:
        import timm
        import timm.data
    except ImportError as exc:
        raise InputError(
            "timm: expected the library to be installed, found none; pip install 'eightbit[timm]'"
        ) from exc
    found: ModuleType = timm
    return found


def _created(timm: Any, name: str, *, pretrained: bool, num_classes: int | None) -> nn.Module:
    known = {} if num_classes is None else {"num_classes": num_classes}
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.partition('.')[0][:8]}*")[:4])
        advice = f"; near it are {near}" if near and name.isascii() else ""
        raise InputError(
            f"timm: expected a network that timm has, found {one_line(repr(name), 60)}{advice}"
        )
    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **known)
    except Exception as exc:  # of the hub's client, and of timm's
        raise InputError(
            f"timm:{name}: expected a network with {'weights of its hub' if pretrained else name}, "
            f"found {type(exc).__name__}: {one_line(exc)}; give --weights FILE"
        ) from exc
    return module


def _classes(timm: Any, name: str, path: Path, weights_key: str | None) -> int | None:
    """Width of the classifier in a file, None where the network has none of a name."""
    module = _created(timm, name, pretrained=False, num_classes=None)
    classifier = module.pretrained_cfg.get("classifier")  # type: ignore[union-attr, operator]
    if not isinstance(classifier, str):
        return None
    return classes_of(path, f"{classifier}.weight", weights_key)


def _preprocessing(timm: Any, module: nn.Module, where: str, wanted: Wanted) -> Preprocessing:
    """What timm's own evaluation does, from the configuration of its weights.

    What cannot be done here is refused, unless options say what to do in its place.
    """
    config = timm.data.resolve_data_config({}, model=module)
    channels, height, width = config["input_size"]
    if channels != 3:
        raise InputError(f"{where}: expected RGB images, found {config['input_size']}")
    mode = config.get("crop_mode", "center")
    if mode not in ("center", "squash") and None in (wanted.resize, wanted.crop):
        raise InputError(
            f"{where}: expected images whose centre is cut out, found crop_mode "
            f"{printable(str(mode))}; give --resize and --crop"
        )
    interpolation = wanted.interpolation or config["interpolation"]
    if interpolation not in tuple(Interpolation):
        raise InputError(
            f"{where}: expected bilinear or bicubic interpolation, found "
            f"{printable(str(interpolation))}; give --interpolation"
        )
    return Preprocessing(
        resize=of_sides(*(math.floor(side / config["crop_pct"]) for side in (height, width))),
        crop=of_sides(height, width),
        squash=mode == "squash",
        mean=_triple(config["mean"]),
        std=_triple(config["std"]),
        interpolation=Interpolation(interpolation),
    )


def _triple(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _labels(module: nn.Module) -> tuple[str, ...] | None:
    """ImageNet's names for 1,000 classes of weights that timm trained on it."""
    config: Any = module.pretrained_cfg
    if config.get("num_classes") != _IMAGENET or getattr(module, "num_classes", 0) != _IMAGENET:
        return None
    weights = import_torchvision().models.ResNet18_Weights.IMAGENET1K_V1
    return tuple(weights.meta["categories"])
