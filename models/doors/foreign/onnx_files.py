"""Float classifiers in ONNX files, whatever wrote them."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from eightbit.models.doors.foreign.modules import from_module
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.onnx_graphs.comparing import check_same
from eightbit.models.doors.onnx_graphs.endings import Ending, without_ending
from eightbit.models.doors.onnx_graphs.graphs import Graph
from eightbit.models.doors.onnx_graphs.module import OnnxNetwork
from eightbit.models.doors.onnx_graphs.patterns import simplified
from eightbit.models.doors.onnx_graphs.reading import read_onnx_graph
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import (
    EVEN,
    MAX_SIDE,
    ModelSpec,
    Preprocessing,
    Size,
    Task,
    height_and_width,
    of_sides,
    size_text,
)
from eightbit.models.torch_state import own_state

_COLOURS: Final = 3
_MAPS: Final = 4
_MOST_IMAGES: Final = 256

# ImageNet's usual pair of sizes; images of less are usually not cropped.
_RESIZED: Final = (256, 224)
_SMALL: Final = 112

# The entry in which our own artefacts say what they are.
_OWN: Final = "eightbit"
_LABELS: Final = ("names", "id2label", "labels", "classes")


@own_state()
def from_onnx(path: Path, wanted: Wanted) -> Pretrained:
    """The network of an ONNX file.

    Raises:
        InputError: The file holds no float classifier of images that can be computed here.
    """
    if wanted.weights_key is not None:
        raise InputError(
            "--weights-key: expected none beside an ONNX file, found one; leave it out"
        )
    file = read_onnx_graph(path)
    try:
        size, channels_last = _images(file.graph, wanted)
        is_decision = wanted.task is not Task.REGRESSION
        graph, ending = without_ending(file.graph) if is_decision else (file.graph, None)
        module = OnnxNetwork(simplified(graph), channels_last=channels_last).eval()
        classes = module.outputs(size)
        check_same(file.model, graph, module, size, channels_last=channels_last)
        own = _own(file.graph.metadata, size, classes)
    except InputError as exc:
        raise InputError(f"{one_line(path, 120)}: {exc}") from exc
    cut = () if ending is None else (_CUT[ending],)
    if own is None:
        preprocessing, notes = _prepared(size, wanted)
        labels, named = _labels(graph.metadata, classes)
        task, threshold = _task(ending, classes), EVEN
    else:
        preprocessing, notes, named = wanted.prepared(own.preprocessing), (), ()
        labels, task, threshold = own.labels, own.task, own.threshold
    return from_module(
        module,
        preprocessing=preprocessing,
        num_classes=classes,
        labels=wanted.labels or labels,
        task=wanted.task or task,
        threshold=threshold if wanted.threshold == EVEN else wanted.threshold,
        name=f"onnx:{path.stem}",
        weights_sha256=file.sha256,
        source=one_line(path.name, 200),
        notes=(*cut, *notes, *named),
    )


def _images(graph: Graph, wanted: Wanted) -> tuple[Size, bool]:
    """Size in pixels of the images that a graph takes, and whether their channels stand last."""
    shape = graph.shape
    if len(shape) != _MAPS:
        raise InputError(
            f"expected images (N, 3, H, W) or (N, H, W, 3), found shape {_text(shape)}"
        )
    if (shape[0] or 1) > _MOST_IMAGES:
        raise InputError(
            f"expected any number of images at a time, or {_MOST_IMAGES} at most, found shape "
            f"{_text(shape)}"
        )
    channels_last = _has_channels_last(graph)
    channels, *sides = (shape[3], *shape[1:3]) if channels_last else shape[1:]
    if channels not in (_COLOURS, None):
        raise InputError(f"expected RGB images of 3 channels, found shape {_text(shape)}")
    return _size((sides[0], sides[1]), shape, wanted), channels_last


def _size(
    sides: tuple[int | None, int | None], shape: tuple[int | None, ...], wanted: Wanted
) -> Size:
    """Size of the images: what is free of height and width is said by an option, or the other."""
    fixed = [side for side in sides if side is not None]
    asked = wanted.crop or getattr(wanted.preprocessing, "crop", None) or next(iter(fixed), None)
    if asked is None:
        raise InputError(
            f"expected images of one size, found shape {_text(shape)}; give --crop, the side in "
            "pixels that it was trained for, or height and width as HxW"
        )
    height, width = (side or own for side, own in zip(sides, height_and_width(asked), strict=True))
    size = of_sides(height, width)
    if wanted.crop not in (size, None) or max(height, width) > MAX_SIDE:
        largest = of_sides(min(height, MAX_SIDE), min(width, MAX_SIDE))
        which = "side" if isinstance(size, int) else "height and width"
        raise InputError(
            f"--crop: expected {size_text(largest)}, the {which} of the images that the graph "
            f"takes, found {size_text(wanted.crop or size)}"
        )
    return size


def _has_channels_last(graph: Graph) -> bool:
    _, second, _, last = graph.shape
    if _COLOURS in (second, last) and second != last:
        return last == _COLOURS
    # Sizes do not tell: what is done first does.
    first = next((node for node in graph.nodes if graph.input in node.inputs), None)
    return (
        first is not None
        and first.op == "Transpose"
        and list(first.get("perm", ())) == [0, 3, 1, 2]
    )


def _text(shape: tuple[int | None, ...]) -> str:
    return str(tuple("any" if size is None else size for size in shape)).replace("'", "")


def _prepared(size: Size, wanted: Wanted) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing, as far as options say it, and a note of what was taken for granted."""
    large, small = _RESIZED
    sides = height_and_width(size)
    is_cut = min(sides) >= _SMALL
    resize = of_sides(*(round(side * large / small) if is_cut else side for side in sides))
    if wanted.preprocessing is not None:
        return wanted.prepared(Preprocessing()), ()
    known = wanted.prepared(Preprocessing(resize=resize, crop=size))
    missing = [name for name in ("resize", "mean", "std") if getattr(wanted, name) is None]
    if not missing:
        return known, ()
    note = (
        f"an ONNX file does not say how images are prepared: {known.resized}, "
        f"centre {size_text(size)} px, mean {_numbers(known.mean)} and standard deviation "
        f"{_numbers(known.std)} taken for granted, where no option says otherwise"
    )
    return known, (note,)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


_CUT: Final[Mapping[Ending, str]] = {
    ending: f"the final {ending} was cut off: the network gives logits" for ending in Ending
}


def _task(ending: Ending | None, classes: int) -> Task | None:
    """The task that an activation at the end says; None where none does."""
    if ending is not Ending.SIGMOID:
        return None
    return Task.BINARY if classes == 1 else Task.MULTI_LABEL


def _own(metadata: Mapping[str, str], size: Size, classes: int) -> ModelSpec | None:
    """What a float model of ours says of itself; None for a file of others.

    Raises:
        InputError: It is damaged, or of another graph.
    """
    if _OWN not in metadata:
        return None
    try:
        spec = ModelSpec.model_validate_json(json.dumps(json.loads(metadata[_OWN])["spec"]))
    except (LookupError, TypeError, ValueError, RecursionError) as exc:
        raise InputError(
            f"eightbit metadata: expected what eightbit writes, found {one_line(str(exc), 120)}; "
            "do not trust this file"
        ) from exc
    if (spec.preprocessing.crop, spec.num_classes) != (size, classes):
        raise InputError(
            f"eightbit metadata: expected {size_text(size)} px and {classes} outputs, as the graph "
            f"has, found {size_text(spec.preprocessing.crop)} px and {spec.num_classes}; do not "
            "trust this file"
        )
    return spec


def _labels(
    metadata: Mapping[str, str], classes: int
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Names of the classes in the metadata, as Ultralytics writes them and others; and a note."""
    found = {key: _names(metadata[key]) for key in _LABELS if key in metadata}
    fitting = {names for names in found.values() if names is not None and len(names) == classes}
    if len(fitting) == 1:
        return next(iter(fitting)), ()
    if not found:
        return None, ()
    keys = ", ".join(found)
    return None, (f"metadata {keys}: not one name for each of {classes} outputs, left out",)


def _names(text: str) -> tuple[str, ...] | None:
    """Names by index or in a list, in JSON or as Python writes them; None for anything else."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    if isinstance(value, dict):
        by_index = {str(key): name for key, name in value.items()}
        value = [by_index.get(str(place)) for place in range(len(by_index))]
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        return None
    return tuple(value)
