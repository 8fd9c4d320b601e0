"""A TorchScript archive that torch refuses: one sentence with what to do."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.benchmarks.refused_models import (
    ChangeMember,
    archive_version,
    change_torchscript,
    code,
    refusal,
)

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT, Runtime
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.refusals import torchscript_refusal

WriteModel = Callable[..., Path]


@pytest.fixture
def torchscript_file(
    write_model: WriteModel, small_metadata: ArtifactMetadata, tmp_path: Path
) -> Path:
    return write_model(TORCHSCRIPT.runtime, tmp_path, small_metadata.to_json())


def torch_sentence(path: Path) -> str:
    return refusal(path).replace(f"torch {torch.__version__}", "TORCH")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            archive_version(b"99\n"),
            (
                "expected version N or lower of TorchScript's archive, as TORCH reads it, "
                "found 99; install the torch that wrote it, 2.99.0, or use the ONNX artefact"
            ),
        ),
        (
            archive_version(b"0\n"),
            (
                "expected version N or higher of TorchScript's archive, as TORCH reads it, "
                "found 0; quantize again, or use the ONNX artefact"
            ),
        ),
        (
            archive_version(b"newest\n"),
            (
                "expected a number as the version of TorchScript's archive, found 'newest'; "
                "quantize again, or use the ONNX artefact"
            ),
        ),
        (
            code(b"torch.mean(", b"torch.newer_mean("),
            (
                "expected operators that TORCH knows, found aten::newer_mean; "
                "install the torch that wrote it, 2.99.0, or use the ONNX artefact"
            ),
        ),
        (
            code(b"torch.mean(", b"torch.mean(1, 2, 3, "),
            (
                "expected operators as TORCH knows them, found another call of aten::mean; "
                "install the torch that wrote it, 2.99.0, or use the ONNX artefact"
            ),
        ),
        (
            code(b" Tensor", b" __torch__.torch.classes.quantized.NewerParams"),
            (
                "expected classes that TORCH knows, found "
                "__torch__.torch.classes.quantized.NewerParams; "
                "install the torch that wrote it, 2.99.0, or use the ONNX artefact"
            ),
        ),
        (
            code(b" Tensor", b" __torch__.torchvision.Lost"),
            (
                "expected a whole TorchScript archive, found one without all of its code; "
                "copy it again, or quantize again"
            ),
        ),
    ],
    ids=["newer", "older", "no number", "operator", "arguments", "class", "lost"],
)
def test_torch_says_it_in_one_sentence(
    change: ChangeMember,
    expected: str,
    write_model: WriteModel,
    small_metadata: ArtifactMetadata,
    tmp_path: Path,
) -> None:
    newer = small_metadata.model_copy(update={"versions": {"torch": "2.99.0"}})
    path = write_model(TORCHSCRIPT.runtime, tmp_path, newer.to_json())
    found = torch_sentence(change_torchscript(path, change))
    assert re.sub(r"version \d+ or", "version N or", found) == expected


def test_a_torch_as_new_as_the_writer_is_not_told_to_be_the_writer(torchscript_file: Path) -> None:
    path = change_torchscript(torchscript_file, code(b"torch.mean(", b"torch.newer_mean("))
    metadata = {"torch": str(torch.__version__)}
    sentence = str(torchscript_refusal("what", "x.pt", version=metadata["torch"], wrote="2.13"))
    assert "install the torch that wrote it, 2.13" in sentence
    for wrote in (None, metadata["torch"]):
        told = torchscript_refusal("what", "x.pt", version=metadata["torch"], wrote=wrote)
        assert str(told).endswith("pip install -U torch, or use the ONNX artefact")
    assert torch_sentence(path).startswith("expected operators that TORCH knows")


def test_half_a_torchscript_file_is_told_as_such(torchscript_file: Path) -> None:
    torchscript_file.write_bytes(torchscript_file.read_bytes()[:-200])
    assert refusal(torchscript_file) == (
        "expected a TorchScript archive, found a damaged zip archive "
        "(File is not a zip file); copy it again, or quantize again"
    )


def test_an_engine_that_this_build_lacks_is_named_with_those_there_are(
    write_model: WriteModel,
    small_metadata: ArtifactMetadata,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = torch.backends.quantized
    monkeypatch.setattr(type(backend), "supported_engines", ["onednn", "x86"], raising=False)
    arm = small_metadata.model_copy(update={"engine": "qnnpack"})
    path = write_model(TORCHSCRIPT.runtime, tmp_path, arm.to_json())
    assert torch_sentence(path) == (
        "needs torch's quantized engine qnnpack, which TORCH lacks on this CPU; there are: "
        "onednn, x86; use the ONNX artefact, or quantize again on this machine"
    )


@pytest.mark.parametrize("runtime", [ONNX.runtime, TORCHSCRIPT.runtime])
def test_metadata_of_a_newer_version_are_refused(
    runtime: Runtime, write_model: WriteModel, small_metadata: ArtifactMetadata, tmp_path: Path
) -> None:
    newer = small_metadata.to_json().replace('"format_version":1', '"format_version":2')
    assert refusal(write_model(runtime, tmp_path, newer)) == (
        "eightbit metadata: expected format_version 1 or lower, found 2; "
        "a newer eightbit wrote it: upgrade eightbit"
    )
