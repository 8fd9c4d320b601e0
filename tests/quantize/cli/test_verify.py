"""`eightbit verify`: every execution of a bundle against the reference, and into its report."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eightbit.benchmarks import read_report
from eightbit.benchmarks.accuracy.parity import FINITE, NO_CRASH
from eightbit.benchmarks.artifact.formats import FORMATS, TORCHSCRIPT
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.quantize import atomic_files, bundle
from eightbit.quantize.commands import verify
from eightbit.quantize.config import QuantConfig, Target
from eightbit.quantize.recipe.recipe import read_recipe
from eightbit.quantize.verify import executions as executions_module
from eightbit.quantize.verify.executions import affordable, excused, executions

Eightbit = Callable[..., Any]

ONNX = Execution(runtime=FORMATS["onnx"].runtime)
UNOPTIMISED = Execution(runtime=ONNX.runtime, optimize=False)
REPORTS = {bundle.REPORT_JSON, bundle.REPORT_MARKDOWN, bundle.REPORT_HTML}


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))


@pytest.fixture
def only_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickest executions stand for all of them."""
    available = Availability(
        possible=(ONNX, UNOPTIMISED), missing={"onnx_haswell": "no emulator: install it"}
    )
    monkeypatch.setattr(verify, "executions", lambda *_, **__: available)


def _others() -> Callable[..., FloatArray]:
    """A reference that sees other classes than everyone else."""

    def reference(*arguments: object) -> FloatArray:
        pixels = arguments[-1]
        assert isinstance(pixels, np.ndarray)
        logits = np.zeros((len(pixels), 10), dtype=np.float32)
        logits[:, 3] = -1000 * np.arange(len(pixels)) + 5000
        return logits

    return reference


def test_every_execution_of_this_machine_agrees_with_the_reference(
    eightbit: Eightbit, folder: Path, photos: Path
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    known = json.loads(before[bundle.REPORT_JSON])
    outcome = eightbit("verify", folder, "--images", photos, "--samples", 8, "--threads", 2)
    assert outcome.code == 0, outcome
    report = read_report(folder / bundle.REPORT_JSON)
    available = executions(folder, thorough=True)
    names = {execution.name for execution in available.possible}
    assert {"torchscript", "onnx", "onnx_unoptimised"} <= names
    assert report.executions is not None
    assert report.executions.not_measured == available.missing
    assert len(report.parity) == len(names) * (len(names) + 1) / 2
    for name in names:
        parity = report.parity[f"{name}_vs_reference"]
        assert parity.n == 8
        assert name in outcome.out
        if not name.startswith("openvino"):
            assert parity.max_lsb <= 1, name
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == REPORTS
    found = json.loads(after[bundle.REPORT_JSON])
    assert {key for key in found if found[key] != known[key]} == {
        *("parity", "executions", "verification")
    }
    assert "Parity of the INT8 logits with the reference" in after[bundle.REPORT_MARKDOWN].decode()


@pytest.mark.usefixtures("only_onnx")
def test_without_images_synthetic_images_are_used_and_predictions_fail_nothing(
    eightbit: Eightbit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions_module, "reference_logits", _others())
    outcome = eightbit("verify", folder, "--samples", 4, "--threads", 1)
    assert outcome.code == 0, outcome
    assert "synthetic" in outcome.out
    section = read_report(folder / bundle.REPORT_JSON).executions
    assert section is not None
    assert section.synthetic
    assert section.not_measured == {"onnx_haswell": "no emulator: install it"}
    assert "no emulator: install it" in outcome.out


@pytest.mark.usefixtures("only_onnx")
def test_other_predictions_fail_and_the_report_says_so(
    eightbit: Eightbit, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executions_module, "reference_logits", _others())
    outcome = eightbit("verify", folder, "--images", photos, "--samples", 10, "--threads", 1)
    assert outcome.code == 1
    assert outcome.err.startswith(
        "eightbit: failed: verification: every execution predicts like the reference: onnx: "
    )
    report = read_report(folder / bundle.REPORT_JSON)
    assert report.verification is not None
    assert not report.verification.passed
    assert "VERIFICATION FAILED" in (folder / bundle.REPORT_MARKDOWN).read_text()


@pytest.mark.usefixtures("only_onnx")
def test_a_later_success_replaces_the_failed_checks(
    eightbit: Eightbit, folder: Path, photos: Path
) -> None:
    command = ("verify", folder, "--images", photos, "--samples", 10, "--threads", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executions_module, "reference_logits", _others())
        assert eightbit(*command).code == 1
    assert eightbit(*command).code == 0
    verification = read_report(folder / bundle.REPORT_JSON).verification
    assert verification is not None
    assert verification.passed
    names = [check.name for check in verification.checks]
    assert len(names) == len(set(names)) > 2


def _with_failed(folder: Path, name: str, *, synthetic: bool = False) -> None:
    """A report in which one more check has failed."""
    report = read_report(folder / bundle.REPORT_JSON)
    assert report.verification is not None
    failed = Check(name=name, passed=False, detail="died: onnx", synthetic=synthetic)
    kept = [check for check in report.verification.checks if check.name != name]
    update = {"passed": False, "checks": (*kept, failed)}
    verification = report.verification.model_copy(update=update)
    report = report.model_copy(update={"verification": verification})
    (folder / bundle.REPORT_JSON).write_text(report.to_json())


def _passed(folder: Path, name: str) -> bool:
    verification = read_report(folder / bundle.REPORT_JSON).verification
    assert verification is not None
    (check,) = (check for check in verification.checks if check.name == name)
    return check.passed


@pytest.mark.usefixtures("only_onnx")
@pytest.mark.parametrize("name", [FINITE, NO_CRASH])
def test_only_real_images_refute_what_real_images_showed(
    eightbit: Eightbit, folder: Path, photos: Path, name: str
) -> None:
    _with_failed(folder, name)
    command = ("verify", folder, "--samples", 4, "--threads", 1)
    for _ in range(2):
        assert eightbit(*command).code == 0  # of what was looked at now
        assert not _passed(folder, name)
    assert "VERIFICATION FAILED" in (folder / bundle.REPORT_MARKDOWN).read_text()
    assert eightbit(*command, "--images", photos).code == 0
    assert _passed(folder, name)


@pytest.mark.usefixtures("only_onnx")
def test_synthetic_images_refute_what_synthetic_images_showed(
    eightbit: Eightbit, folder: Path
) -> None:
    _with_failed(folder, NO_CRASH, synthetic=True)
    assert eightbit("verify", folder, "--samples", 4, "--threads", 1).code == 0
    assert _passed(folder, NO_CRASH)


@pytest.mark.usefixtures("only_onnx")
def test_synthetic_images_do_not_replace_a_success_on_real_ones(
    eightbit: Eightbit, folder: Path
) -> None:
    before = read_report(folder / bundle.REPORT_JSON).verification
    assert eightbit("verify", folder, "--samples", 4, "--threads", 1).code == 0
    assert read_report(folder / bundle.REPORT_JSON).verification == before


@pytest.mark.usefixtures("only_onnx")
def test_synthetic_images_can_show_a_fault(
    eightbit: Eightbit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_numbers(*arguments: object) -> FloatArray:
        return np.full_like(_others()(*arguments), np.nan)

    monkeypatch.setattr(executions_module, "reference_logits", no_numbers)
    assert eightbit("verify", folder, "--samples", 4, "--threads", 1).code == 1
    assert not _passed(folder, FINITE)


@pytest.mark.usefixtures("only_onnx")
def test_an_execution_that_cannot_run_is_listed_with_the_reason(
    eightbit: Eightbit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = Execution(runtime=TORCHSCRIPT.runtime, engine="nonesuch")
    available = Availability(possible=(ONNX, lacking))
    monkeypatch.setattr(verify, "executions", lambda *_, **__: available)
    outcome = eightbit("verify", folder, "--samples", 4, "--threads", 1)
    assert outcome.code == 0, outcome
    section = read_report(folder / bundle.REPORT_JSON).executions
    assert section is not None
    assert "engine nonesuch" in section.not_measured["torchscript_nonesuch"]
    assert "onnx_vs_reference" in read_report(folder / bundle.REPORT_JSON).parity


def test_a_bundle_that_runs_nowhere_is_refused_and_left_alone(
    eightbit: Eightbit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Availability(missing={"onnx": "not here"})
    monkeypatch.setattr(verify, "executions", lambda *_, **__: missing)
    before = (folder / bundle.REPORT_JSON).read_bytes()
    assert "onnx: not here" in eightbit("verify", folder, "--samples", 1).error
    assert (folder / bundle.REPORT_JSON).read_bytes() == before


@pytest.mark.usefixtures("only_onnx")
def test_a_bundle_without_a_report_gets_one(eightbit: Eightbit, folder: Path) -> None:
    for name in REPORTS:
        (folder / name).unlink()
    assert eightbit("verify", folder, "--samples", 4, "--threads", 1).code == 0
    report = read_report(folder / bundle.REPORT_JSON)
    assert report.parity.keys() == {
        *("onnx_vs_onnx_unoptimised", "onnx_vs_reference", "onnx_unoptimised_vs_reference")
    }
    assert report.command.startswith("eightbit verify")


def test_the_report_of_another_recipe_is_refused(eightbit: Eightbit, folder: Path) -> None:
    path = folder / bundle.REPORT_JSON
    path.write_text(path.read_text().replace(read_recipe(folder / bundle.RECIPE).sha256, "0" * 64))
    refusal = eightbit("verify", folder).error
    assert "recipe.json: expected the file that the report beside it is of" in refusal


def test_a_folder_that_is_no_bundle_is_refused(eightbit: Eightbit, tmp_path: Path) -> None:
    assert "no model.fp32.onnx" in eightbit("verify", tmp_path).error


@pytest.mark.usefixtures("only_onnx")
def test_a_folder_that_cannot_be_written_is_refused_with_its_report_whole(
    eightbit: Eightbit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(atomic_files, "exchange", refuse)
    monkeypatch.setattr(atomic_files, "move_one_by_one", refuse)
    outcome = eightbit("verify", folder, "--samples", 4, "--threads", 1)
    assert "cannot be written: Permission denied" in outcome.error
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("target", "instructions", "expected"),
    [
        (Target.PORTABLE, ("avx2",), set()),
        (Target.PORTABLE, ("avx512_vnni",), set()),
        (Target.X86_VNNI, ("avx512_vnni",), {"onnx_haswell"}),
        (Target.X86_VNNI, ("avx2",), {"onnx", "onnx_haswell"}),
        (Target.ARM64, ("avx2",), {"onnx", "onnx_haswell"}),
    ],
)
def test_only_a_portable_artefact_answers_for_cpus_without_vnni(
    bundle_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: Target,
    instructions: tuple[str, ...],
    expected: set[str],
) -> None:
    cpu = CpuFeatures(
        name="Example",
        architecture="x86_64",
        instructions=instructions,
        logical_cores=1,
        usable_logical=1,
        usable_physical=1,
    )
    monkeypatch.setattr(executions_module, "read_cpu_features", lambda: cpu)
    recipe = read_recipe(bundle_folder / bundle.RECIPE)
    recipe = recipe.model_copy(update={"config": QuantConfig(target=target)})
    old = Execution(runtime=ONNX.runtime, emulated_cpu="Haswell")
    assert excused(recipe, (ONNX, old)) == expected


@pytest.mark.parametrize(("side", "expected"), [(32, 40), (64, 25), (224, 4), (8, 40)])
def test_slow_executions_see_as_many_images_as_they_can_afford(side: int, expected: int) -> None:
    pixels = np.zeros((40, 3, side, side), np.float32)
    assert len(affordable(pixels, 2 * 224**2 + 2 * 1024)) == expected
