"""What a caller has set stays as it was, and what is computed does not depend on it."""

import inspect
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.synthetic_reports.costs import edge

import eightbit.quantize
from eightbit.benchmarks import ArtifactMetadata, Precision
from eightbit.calibration import collect
from eightbit.models import (
    Architecture,
    InputError,
    Pretrained,
    load_into,
    load_pretrained,
    read_checkpoint,
)
from eightbit.models.torch_state import own_state
from eightbit.quantize import (
    Delivery,
    Mode,
    QuantConfig,
    Quantized,
    Stages,
    classify,
    correct_biases,
    diagnose,
    equalize,
    examine_file,
    examine_host,
    export_float_onnx,
    export_onnx,
    export_torchscript,
    fuse,
    make_recipe,
    observe,
    pipeline,
    quantize,
    quantized_module,
    read_recipe,
    rebuild,
    round_adaptively,
    write_bundle,
)
from eightbit.quantize.deploy import archive
from eightbit.quantize.measure.latency import Timing

SIDE = 32


def _state() -> dict[str, Any]:
    """Everything that a caller may have set."""
    onednn: Any = torch.backends.mkldnn
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": [part.tolist() if isinstance(part, np.ndarray) else part for part in _numpy()],
        "python": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "engine": torch.backends.quantized.engine,
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "onednn": (onednn.enabled, onednn.conv.fp32_precision, onednn.matmul.fp32_precision),
        "floating point errors": np.geterr(),
        "warnings": list(warnings.filters),
    }


def _numpy() -> tuple[Any, ...]:
    return np.random.get_state()  # noqa: NPY002 - what a caller of old code uses


@contextmanager
def _unusual() -> Iterator[None]:
    """A caller who has set nearly everything otherwise."""
    onednn: Any = torch.backends.mkldnn
    precision = onednn.matmul.fp32_precision
    with ExitStack() as stack:
        stack.enter_context(np.errstate(all="raise"))
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "a filter of the caller")
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        stack.enter_context(torch.device("meta"))
        try:
            torch.set_default_dtype(torch.float64)
            torch.use_deterministic_algorithms(True, warn_only=True)
            onednn.matmul.fp32_precision = "bf16"
            onednn.enabled = False
            yield
        finally:
            onednn.enabled = True
            onednn.matmul.fp32_precision = precision
            torch.use_deterministic_algorithms(False)
            torch.set_default_dtype(torch.float32)


@contextmanager
def _unchanged() -> Iterator[None]:
    before = _state()
    yield
    after = _state()
    assert {name for name in before if before[name] != after[name]} == set()


class _Parts:
    """What the public functions take, made once in an ordinary process."""

    def __init__(self, checkpoint: Path, bundle: Path, photos: Path, photo: Path) -> None:
        self.checkpoint, self.bundle, self.photos, self.photo = checkpoint, bundle, photos, photo
        self.pretrained = self.load()
        self.network = fuse(self.pretrained)
        images = np.random.default_rng(0).standard_normal((8, 3, SIDE, SIDE)).astype(np.float32)
        self.images = torch.from_numpy(images)
        observed = observe(self.network, Mode.FX)
        self.collected = collect(observed.module, observed.observers, images)
        self.recipe = make_recipe(self.network, self.collected, self.pretrained, QuantConfig())
        self.quantized = Quantized(network=self.network, recipe=self.recipe)

    def load(self) -> Pretrained:
        return load_pretrained(Architecture.CIFAR_RESNET20, str(self.checkpoint))

    def metadata(self, precision: Precision, **more: Any) -> ArtifactMetadata:
        digest = self.recipe.sha256 if precision is Precision.INT8 else None
        return ArtifactMetadata(
            precision=precision, spec=self.recipe.spec, recipe_sha256=digest, **more
        )


@pytest.fixture(scope="module")
def parts(checkpoint: Path, bundle_folder: Path, photos: Path, photo: Path) -> _Parts:
    return _Parts(checkpoint, bundle_folder, photos, photo)


Call = Callable[[_Parts, Path], Any]
"""Calls one public function, and gives what can be compared of its result."""


def _weights(module: torch.nn.Module) -> dict[str, list[Any]]:
    with own_state():
        return {
            name: [tensor.dtype, tensor.detach().dequantize().tolist()]
            for name, tensor in module.state_dict().items()
            if isinstance(tensor, torch.Tensor)
        }


def _written(path: Path, write: Callable[[Path], Any]) -> bytes:
    write(path)
    return path.read_bytes()


CALLS: dict[str, Call] = {
    "load_pretrained": lambda p, _: _weights(p.load().model),
    "read_checkpoint": lambda p, _: (
        read_checkpoint(p.checkpoint, Architecture.CIFAR_RESNET20).sha256
    ),
    "load_into": lambda p, _: load_into(
        p.pretrained.model, read_checkpoint(p.checkpoint, Architecture.CIFAR_RESNET20)
    ),
    "fuse": lambda p, _: _weights(fuse(p.pretrained).module),
    "equalize": lambda p, _: _weights(equalize(p.network, QuantConfig().equalize).network.module),
    "observe": lambda p, _: sorted(observe(p.network, Mode.EAGER).observers),
    "make_recipe": lambda p, _: make_recipe(
        p.network, p.collected, p.pretrained, QuantConfig()
    ).to_json(),
    "round_adaptively": lambda p, _: round_adaptively(p.network, p.recipe, p.images).to_json(),
    "correct_biases": lambda p, _: correct_biases(p.network, p.recipe, p.images).to_json(),
    "quantized_module": lambda p, _: sorted(quantized_module(p.quantized).state_dict()),
    "diagnose": lambda p, _: diagnose(p.quantized, p.images),
    "export_float_onnx": lambda p, out: _written(
        out / "a.onnx",
        lambda path: export_float_onnx(p.network, p.metadata(Precision.FP32), path),
    ),
    "export_onnx": lambda p, out: _written(
        out / "b.onnx",
        lambda path: export_onnx(p.quantized, p.metadata(Precision.INT8), path),
    ),
    "export_torchscript": lambda p, out: _written(
        out / "c.pt",
        lambda path: export_torchscript(
            p.quantized, p.metadata(Precision.INT8, engine="onednn"), path
        ),
    ),
    "classify": lambda p, _: list(classify(p.bundle / "model.int8.pt", [p.photo], threads=1)),
    "examine_file": lambda p, _: examine_file(p.bundle / "model.int8.pt"),
    "examine_host": lambda *_: examine_host(),
    "write_bundle": lambda p, out: _written(
        out / "model.zip",
        lambda path: write_bundle(shutil.copytree(p.bundle, out / "bundle"), path, Stages()),
    ),
}


@pytest.fixture
def no_cold_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast a packed program starts is measured in processes of its own."""
    start = edge().cold_start
    monkeypatch.setattr(archive, "measure_cold_start", lambda *_, **__: start)


@pytest.mark.usefixtures("no_cold_start")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_public_function_neither_changes_what_is_set_nor_depends_on_it(
    parts: _Parts, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "usual").mkdir()
    (tmp_path / "unusual").mkdir()
    with _unchanged():
        usual = call(parts, tmp_path / "usual")
    with _unusual(), _unchanged():
        unusual = call(parts, tmp_path / "unusual")
    assert usual == unusual


def test_every_public_function_is_looked_at() -> None:
    functions = {
        name
        for name in dir(eightbit.quantize)
        if inspect.isfunction(getattr(eightbit.quantize, name))
    }
    below = {"quantize", "rebuild"}
    # These take what another machine answered, or end in `quantize`; or compute nothing in torch.
    wrapped = {"compare_self_tests", "run_demo"}
    assert functions - CALLS.keys() == below | wrapped | {"failed_gates", "read_recipe"}
    assert all(hasattr(getattr(eightbit.quantize, name), "__wrapped__") for name in wrapped)


@pytest.fixture
def _no_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())


@pytest.mark.usefixtures("_no_latency")
def test_quantize_and_rebuild_write_the_same_bytes_whatever_is_set(
    parts: _Parts, tmp_path: Path
) -> None:
    def delivery(name: str) -> Delivery:
        return Delivery(out=tmp_path / name, formats=("onnx",), threads=1)

    with _unusual(), _unchanged():
        quantize(parts.load(), parts.photos, delivery("again"))
        rebuild(parts.load(), read_recipe(tmp_path / "again" / "recipe.json"), delivery("rebuilt"))
    for name in ("model.int8.onnx", "model.fp32.onnx", "recipe.json", "recipe.safetensors"):
        expected = (parts.bundle / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == expected
        assert (tmp_path / "rebuilt" / name).read_bytes() == expected


@pytest.mark.usefixtures("_no_latency")
def test_after_a_refusal_and_after_a_bug_everything_is_as_it_was(
    parts: _Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = Delivery(out=tmp_path / "out", formats=("onnx",), threads=3)
    with _unusual(), _unchanged(), pytest.raises(InputError):
        quantize(parts.pretrained, tmp_path / "nowhere", delivery)

    def broken(*_: object) -> None:
        torch.set_default_dtype(torch.float16)
        torch.manual_seed(99)
        random.seed(99)
        np.random.seed(99)  # noqa: NPY002
        warnings.simplefilter("ignore")
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "fuse", broken)
    for around in (ExitStack(), _unusual()):
        with around, _unchanged(), pytest.raises(ZeroDivisionError):
            quantize(parts.pretrained, parts.photos, delivery)


def test_every_setting_is_that_of_a_fresh_process_inside() -> None:
    fresh = {"dtype", "device", "inference", "autocast", "deterministic", "onednn"}
    with own_state():
        usual = _state()
    with _unusual(), own_state():
        unusual = _state()
        assert not torch.zeros(1).is_inference()
        assert torch.zeros(1).device.type == "cpu"
    assert {name: unusual[name] for name in fresh} == {name: usual[name] for name in fresh}
    assert usual["dtype"] == torch.float32
    assert unusual["floating point errors"] == usual["floating point errors"]
