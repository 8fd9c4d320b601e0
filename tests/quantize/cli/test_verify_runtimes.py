"""`eightbit verify --runtimes`: runtimes that no artefact was written for, tried for real."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eightbit.benchmarks import read_report
from eightbit.benchmarks.accuracy.parity import Verdict
from eightbit.benchmarks.artifact.formats import FORMATS, ONNX
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.quantize import bundle
from eightbit.quantize.commands import verify

Eightbit = Callable[..., Any]

INSTALLED = [runtime for runtime in ONNX.others if runtime.is_installed]


@pytest.fixture
def folder(onnx_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of which ONNX Runtime stands for every promised execution."""
    available = Availability(possible=(Execution(runtime=FORMATS["onnx"].runtime),))
    monkeypatch.setattr(verify, "executions", lambda *_, **__: available)
    return Path(shutil.copytree(onnx_bundle, tmp_path / "bundle"))


def test_what_is_installed_is_tried_with_one_image_and_with_four(
    eightbit: Eightbit, folder: Path, photos: Path
) -> None:
    command = ("verify", folder, "--runtimes", "--images", photos, "--samples", 6, "--threads", 2)
    outcome = eightbit(*command)
    assert outcome.code == 0, outcome
    assert "Other runtimes" in outcome.out
    report = read_report(folder / bundle.REPORT_JSON)
    assert report.executions is not None
    found = report.executions.others
    assert found.keys() == {
        f"{runtime.word}_batch{images}" for runtime in INSTALLED for images in (1, 4)
    }
    assert {"onnxreference_batch1", "onnxreference_batch4"} <= found.keys()
    for name, one in found.items():
        # What the project's environment brings; others may be there, in whatever version.
        if name.startswith(("onnxreference", "opencv", "tract")):
            assert one.verdict is Verdict.RIGHT, (name, one)
            assert report.parity[f"{name}_vs_reference"].n == 6
    missing = [runtime for runtime in ONNX.others if not runtime.is_installed]
    for runtime in missing:
        said = report.executions.not_measured[f"{runtime.word}_batch1"]
        assert "pip install 'eightbit[runtimes]'" in said
    assert "Other runtimes" in (folder / bundle.REPORT_MARKDOWN).read_text()
    assert "Other runtimes" in (folder / bundle.REPORT_HTML).read_text()


def test_a_runtime_that_cannot_is_named_and_fails_nothing(
    eightbit: Eightbit, folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "tvm"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('built for another machine')")
    monkeypatch.setenv("PYTHONPATH", str(package.parent), prepend=":")
    monkeypatch.syspath_prepend(package.parent)
    only = tuple(runtime for runtime in ONNX.others if runtime.name == "tvm")
    monkeypatch.setattr(
        verify,
        "other_runtimes",
        lambda _: Availability(possible=tuple(Execution(runtime=one, images=1) for one in only)),
    )
    outcome = eightbit("verify", folder, "--runtimes", "--images", photos, "--samples", 4)
    assert outcome.code == 0, outcome
    section = read_report(folder / bundle.REPORT_JSON).executions
    assert section is not None
    assert section.others["tvm_batch1"].verdict is Verdict.FAILED
    assert "TVM cannot" in section.others["tvm_batch1"].reason
    assert "built for another machine" in section.others["tvm_batch1"].reason


def test_without_the_option_none_is_tried(eightbit: Eightbit, folder: Path, photos: Path) -> None:
    outcome = eightbit("verify", folder, "--images", photos, "--samples", 4)
    assert outcome.code == 0, outcome
    section = read_report(folder / bundle.REPORT_JSON).executions
    assert section is not None
    assert not section.others
    assert "Other runtimes" not in outcome.out


def test_answers_of_another_machine_are_no_other_runtimes(
    eightbit: Eightbit, folder: Path, tmp_path: Path
) -> None:
    outcome = eightbit("verify", folder, "--runtimes", "--self-test", tmp_path / "answers.json")
    assert outcome.code == 2
    assert "without --images, --samples and --runtimes" in outcome.err
