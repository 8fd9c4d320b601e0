"""A file that is too new, or says what is not so: every command that meets it ends in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from tests.benchmarks.refused_models import (
    ChangeMember,
    ChangeModel,
    archive_version,
    change_onnx,
    change_torchscript,
    code,
    external,
    fixed,
    operator,
    opset,
)

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT, Precision
from eightbit.benchmarks.latency.launches import Candidate, Effort
from eightbit.benchmarks.runtimes.available import Availability, torchscript_executions
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.quantize import bundle
from eightbit.quantize.commands import benchmark, verify
from eightbit.quantize.measure import latency

Eightbit = Callable[..., Any]


@pytest.fixture
def folder(bundle_folder: Path, without_digests: Callable[[Path], Path], tmp_path: Path) -> Path:
    return without_digests(Path(shutil.copytree(bundle_folder, tmp_path / "bundle")))


@pytest.fixture
def photo(photos: Path) -> Path:
    return photos / "0" / "0.png"


@pytest.fixture(autouse=True)
def quickest_executions(brief: Effort, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` executes each artefact as its own runtime does, and not in other ways."""
    plain = (Execution(runtime=ONNX.runtime), Execution(runtime=TORCHSCRIPT.runtime))
    monkeypatch.setattr(verify, "executions", lambda *_, **__: Availability(possible=plain))
    # `benchmark` times the float models first, to choose the fastest.
    monkeypatch.setattr(latency, "_float_torchscript", lambda *_: ())
    monkeypatch.setattr(latency, "_shipped", _int8_onnx)
    monkeypatch.setattr(benchmark, "THOROUGH", brief)


def _int8_onnx(folder: Path) -> list[Candidate]:
    path = folder / bundle.ONNX
    what = {"label": path.name, "runtime": ONNX.runtime, "precision": Precision.INT8}
    return [Candidate(path=path, **what)]


def command(name: str, folder: Path, file: str, photo: Path) -> tuple[object, ...]:
    """What is typed: about a file, or about the bundle that it lies in."""
    typed: dict[str, tuple[object, ...]] = {
        "classify": (folder / file, photo, "--threads", 1),
        "inspect": (folder / file,),
        "evaluate": (folder, "--data", photo.parents[1], "--threads", 1),
        "benchmark": (folder, "--threads", 1),
        "verify": (folder, "--samples", 1, "--threads", 1),
        "diagnose": (folder, "--data", photo.parents[1], "--samples", 1, "--threads", 1),
        "report": (folder,),
    }
    return (name, *typed[name])


@pytest.mark.parametrize("name", ["classify", "inspect", "evaluate", "benchmark", "verify"])
def test_an_onnx_file_that_is_too_new_ends_every_command(
    name: str, eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    change_onnx(folder / bundle.ONNX, opset(99))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    error = eightbit(*command(name, folder, bundle.ONNX, photo)).error
    assert f"{bundle.ONNX}: expected ONNX opset " in error
    assert error.endswith("found 99; pip install -U onnxruntime, or export the model again")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["classify", "inspect", "verify"])
def test_a_torchscript_file_with_operators_of_another_torch_ends_every_command(
    name: str, eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    newer = code(b"ops.quantized.conv2d(", b"ops.quantized.conv2d_newer(")
    change_torchscript(folder / TORCHSCRIPT.file(), newer)
    error = eightbit(*command(name, folder, TORCHSCRIPT.file(), photo)).error
    assert f"{TORCHSCRIPT.file()}: expected operators that torch {torch.__version__} knows" in error
    assert "found quantized::conv2d_newer; " in error


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (operator("ai.onnx.contrib", "Gelu"), "found ai.onnx.contrib:Gelu; "),
        (external, "found tensor 'conv1.weight' in another one; "),
        (fixed(None, 64), "found one for 64 px; "),
        (fixed(2, None), "found one for 2 at once; "),
    ],
    ids=["domain", "external", "side", "batch"],
)
def test_an_onnx_file_that_does_not_run_here_says_why(
    change: ChangeModel, expected: str, eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    change_onnx(folder / bundle.ONNX, change)
    assert expected in eightbit("classify", folder / bundle.ONNX, photo).error


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (archive_version(b"99\n"), "found 99; "),
        (archive_version(b"0\n"), "found 0; quantize again, or use the ONNX artefact"),
        (
            code(b"Conv2dPackedParamsBase", b"Conv2dPackedNewerBase"),
            "found __torch__.torch.classes.quantized.Conv2dPackedNewerBase; ",
        ),
    ],
    ids=["newer", "older", "class"],
)
def test_a_torchscript_file_of_another_torch_says_so(
    change: ChangeMember, expected: str, eightbit: Eightbit, folder: Path
) -> None:
    path = change_torchscript(folder / TORCHSCRIPT.file(), change)
    for name in ("inspect", "doctor"):
        assert expected in eightbit(name, path).error


@pytest.mark.parametrize("name", ["diagnose", "verify"])
@pytest.mark.parametrize("spoil", ["external", "half"])
def test_float_weights_that_are_not_whole_are_refused(
    name: str, spoil: str, eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    path = folder / bundle.FLOAT_ONNX
    if spoil == "external":
        change_onnx(path, external)
        expected = "found tensor 'conv1.weight' in another one"
    else:
        path.write_bytes(path.read_bytes()[:1000])
        expected = f"{bundle.FLOAT_ONNX}: expected an ONNX model, found"
    assert expected in eightbit(*command(name, folder, bundle.FLOAT_ONNX, photo)).error


def change_metadata(**update: object) -> tuple[ChangeModel, ChangeMember]:
    """Other metadata in an ONNX file, or in an archive; a dictionary updates one."""

    def changed(text: str | bytes) -> str:
        document = json.loads(text)
        for key, value in update.items():
            document[key] = document[key] | value if isinstance(value, dict) else value
        return json.dumps(document)

    def in_onnx(model: onnx.ModelProto) -> None:
        (entry,) = (entry for entry in model.metadata_props if entry.key == "eightbit")
        entry.value = changed(entry.value)

    def in_archive(name: str, content: bytes) -> bytes:
        return changed(content).encode() if name.endswith("eightbit.json") else content

    return in_onnx, in_archive


@pytest.mark.parametrize("name", ["evaluate", "benchmark", "verify", "diagnose"])
@pytest.mark.parametrize(
    "update",
    [
        {"spec": {"num_classes": 12}},
        {"spec": {"preprocessing": {"resize": 64, "crop": 64}}},
        {"input": {"name": "uint8", "dtype": "uint8", "layout": "NCHW"}},
    ],
    ids=["classes", "crop", "input"],
)
def test_an_artefact_that_contradicts_its_recipe_is_refused(
    name: str, update: dict[str, Any], eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    change_onnx(folder / bundle.ONNX, change_metadata(**update)[0])
    error = eightbit(*command(name, folder, bundle.ONNX, photo)).error
    assert f"{bundle.ONNX}: expected the preprocessing, the classes and the input of" in error


def test_an_engine_that_the_recipe_is_not_for_is_refused(eightbit: Eightbit, folder: Path) -> None:
    change_torchscript(folder / TORCHSCRIPT.file(), change_metadata(engine="nonesuch")[1])
    error = eightbit("verify", folder).error
    assert "expected torch's quantized engine onednn or qnnpack, as its recipe is for por" in error
    assert error.endswith("found nonesuch; quantize again")
    assert (
        "needs torch's quantized engine nonesuch"
        in eightbit("inspect", folder / TORCHSCRIPT.file()).error
    )


def test_an_engine_that_this_build_lacks_is_told_by_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ONNX artefact beside it can still be verified."""
    backend = torch.backends.quantized
    monkeypatch.setattr(type(backend), "supported_engines", ["onednn"], raising=False)
    found = torchscript_executions(engine="qnnpack", all_engines=True)
    assert "torchscript" not in {execution.name for execution in found.possible}
    assert found.missing["torchscript"] == (
        f"the file needs torch's quantized engine qnnpack, which torch {torch.__version__} lacks "
        "on this CPU; use the ONNX artefact"
    )


@pytest.mark.parametrize("name", ["inspect", "evaluate", "verify", "benchmark", "diagnose"])
def test_a_newer_recipe_ends_every_command(
    name: str, eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    _newer(folder / bundle.RECIPE)
    error = eightbit(*command(name, folder, bundle.RECIPE, photo)).error
    assert error.endswith(
        f"{bundle.RECIPE}: expected format_version 1 or lower, found 2; "
        "a newer eightbit wrote it: upgrade eightbit"
    )


def test_nothing_is_rebuilt_from_a_newer_recipe(
    eightbit: Eightbit, folder: Path, checkpoint: Path, tmp_path: Path
) -> None:
    _newer(folder / bundle.RECIPE)
    out = tmp_path / "again"
    typed = ("quantize", "cifar_resnet20", "--weights", checkpoint, "--out", out)
    error = eightbit(*typed, "--recipe", folder / bundle.RECIPE).error
    assert error.endswith("a newer eightbit wrote it: upgrade eightbit")
    assert not out.exists()


@pytest.mark.parametrize("name", ["report", "evaluate", "verify", "benchmark"])
def test_a_newer_report_ends_every_command_that_reads_it(
    name: str, eightbit: Eightbit, folder: Path, photo: Path
) -> None:
    _newer(folder / bundle.REPORT_JSON)
    error = eightbit(*command(name, folder, bundle.REPORT_JSON, photo)).error
    assert "report.json: expected format_version 1 or lower, found 2; a newer eight" in error


def _newer(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"format_version": 2}))
