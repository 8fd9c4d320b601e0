"""Damaged models: ONNX by its messages, TorchScript by its members, and skeletons of recipes."""

import io
import random
import zipfile
from pathlib import Path
from typing import Any, Final

import onnx
from onnx import TensorProto
from tests.hostile.inputs.damage import TEXTS, damaged_bytes, garbage


def bad(good: Path, rng: random.Random) -> bytes:
    if rng.random() < 0.15:
        return garbage(rng)
    content = good.read_bytes()
    if rng.random() < 0.25:
        # A few bytes of a weight would be another weight.
        return content[: rng.randrange(len(content) - 100)]
    return _onnx(content, rng) if good.suffix == ".onnx" else _torchscript(content, rng)


def _onnx(content: bytes, rng: random.Random) -> bytes:
    model = onnx.ModelProto.FromString(content)
    graph = model.graph
    node = rng.choice(graph.node)
    tensor = rng.choice(graph.initializer)
    kind = rng.randrange(12)
    text = rng.choice(TEXTS)
    if kind == 0:
        node.op_type = text or "None"
    elif kind == 1:
        node.domain = text or "none"
    elif kind == 2:
        tensor.dims[:] = [rng.choice((-1, 2**40, 2**62)) for _ in range(rng.choice((1, 4, 100)))]
    elif kind == 3:
        tensor.data_type = rng.choice((0, 77, TensorProto.STRING))
    elif kind == 4:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=text or "/etc/hostname")
    elif kind == 5:
        node.input[:] = [node.output[0] if node.output else "x"]
    elif kind == 6:
        graph.input[0].type.tensor_type.elem_type = rng.choice((0, 8, 99))
    elif kind == 7:
        del graph.node[rng.randrange(len(graph.node)) :]
    elif kind == 8:
        entry = model.metadata_props[rng.randrange(len(model.metadata_props))]
        entry.value = damaged_bytes(entry.value.encode(), rng).decode("utf-8", "replace")
    elif kind == 9:
        model.metadata_props.add(key="eightbit", value=text)
    elif kind == 10:
        model.opset_import[0].version = rng.choice((0, 99, 2**60, -1))
    else:
        graph.output.add().name = text
    return model.SerializeToString()


_CODE: Final = (
    b'torch.save(1, "written")',
    b'torch.from_file("/etc/hostname", False, 3)',
    b"ops.prim.nonesuch(1)",
    b"print(1)",
    b"import os",
    b"lambda: 1",
    b"(((((",
    b"# -*- coding: utf-7 -*-",
    b"x = '''",
    b"\xff\xfe",
    b"torch = 1",
    b"__torch__.torch.classes.dist_c10d.FileStore(1)",
)


def _torchscript(content: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    root = members[0][0].partition("/")[0]
    kind = rng.randrange(5)
    for index, (name, value) in enumerate(members):
        if kind == 0 and name.endswith(".py"):
            lines = value.splitlines(keepends=True)
            lines.insert(rng.randrange(len(lines) + 1), b"    " + rng.choice(_CODE) + b"\n")
            members[index] = name, b"".join(lines)
        elif (kind == 1 and name.endswith((".pkl", "version"))) or (
            kind == 2 and name.endswith("eightbit.json")
        ):
            members[index] = name, damaged_bytes(value, rng)
    if kind == 3:
        members.append((f"{root}/{rng.choice(TEXTS)[:99]}", garbage(rng)))
    elif kind == 4:
        del members[rng.randrange(len(members))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, value in members:
            archive.writestr(name, value)
    return buffer.getvalue()


_OPERATORS: Final = (
    *("placeholder", "output", "quantize", "dequantize", "conv", "conv_relu", "linear", "max_pool"),
    *("global_average_pool", "option_a_shortcut", "add", "relu", "flatten", "__class__", ""),
)
_NAMES: Final = (
    "a",
    "a.b",
    "a.b.c",
    "forward",
    "__dict__",
    "_modules",
    "training",
    "x\x1b[31m",
    "",
    "1",
)


def skeleton(rng: random.Random) -> dict[str, Any]:
    """Steps of a network that is none: sizes beyond all memory, circles, Python's own names."""

    def size() -> int:
        return rng.choice((0, 1, 3, 2**16, 2**31 - 1, 2**31, -1, 10**9))

    def step() -> dict[str, Any]:
        sizes = ("in_channels", "out_channels", "groups", "bias", "in_features", "out_features")
        pairs = ("kernel_size", "stride", "padding", "dilation")
        options: dict[str, Any] = {name: size() for name in sizes if rng.random() < 0.6}
        options |= {name: [size(), size()] for name in pairs if rng.random() < 0.6}
        return {
            "operator": rng.choice(_OPERATORS),
            "name": rng.choice(_NAMES),
            "reads": [rng.choice((0, 1, 2, 5, 10**6)) for _ in range(rng.randrange(3))],
            "options": options,
        }

    return {"steps": [step() for _ in range(rng.choice((1, 5, 40)))]}
