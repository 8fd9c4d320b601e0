"""`eightbit verify --self-test`: what another machine answered, into the report and kept there."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.latency.sections import ColdStart
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import Bundle, open_bundle
from eightbit.quantize.commands import amend, verify
from eightbit.quantize.commands.reports import replace_report
from eightbit.quantize.config import QuantConfig, Target
from eightbit.quantize.deploy import boards
from eightbit.quantize.deploy.self_test import SelfTest, make_self_test
from eightbit.quantize.recipe.recipe import read_recipe

Eightbit = Callable[..., Any]
Board = Callable[..., Path]

ONNX = Execution(runtime=ONNX.runtime)
A72 = "0x41 0xd08"
START = ColdStart(
    launches=5,
    seconds=0.4,
    bare_seconds=0.3,
    ratio=1.3,
    ratio_ci95=(1.2, 1.4),
    peak_rss_bytes=10**8,
    bare_peak_rss_bytes=9 * 10**7,
)


@pytest.fixture(scope="module")
def self_test(bundle_folder: Path) -> SelfTest:
    return make_self_test(open_bundle(bundle_folder))


@pytest.fixture
def folder(
    bundle_folder: Path,
    without_digests: Callable[[Path], Path],
    tmp_path: Path,
    self_test: SelfTest,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A bundle whose self-test is there already, and whose report is not drawn: both take long."""

    def only_json(report: Report, place: Path) -> None:
        (place / bundle.REPORT_JSON).write_text(report.to_json())

    monkeypatch.setattr(boards, "make_self_test", lambda _: self_test)
    monkeypatch.setattr(amend, "replace_report", only_json)
    return without_digests(Path(shutil.copytree(bundle_folder, tmp_path / "bundle")))


@pytest.fixture
def board(tmp_path: Path, self_test: SelfTest, folder: Path) -> Board:
    """Write what a machine prints that answers as this one does, but for a change."""
    document = json.loads(self_test.document)
    recipe = read_recipe(folder / bundle.RECIPE)

    def write(name: str = "board.json", *, last_bits: float = 0, **changed: object) -> Path:
        logits = np.array([image["logits"] for image in document["images"]])
        logits[0, logits[0].argmin()] -= last_bits * recipe.output_scale
        answers = {
            "format_version": 1,
            "model_sha256": document["model_sha256"],
            "self_test_sha256": hashlib.sha256(self_test.document).hexdigest(),
            "machine": "aarch64",
            "processor": A72,
            "versions": {"python": "3.11.2", "onnxruntime": "1.31.1"},
            "pixels_sha256": [image["pixels_sha256"] for image in document["images"]],
            "logits": logits.tolist(),
            **changed,
        }
        path = tmp_path / name
        path.write_text(json.dumps(answers))
        return path

    return write


def _report(folder: Path) -> Report:
    return read_report(folder / bundle.REPORT_JSON)


def _edge(folder: Path) -> EdgeSection:
    edge = _report(folder).edge
    assert edge is not None
    return edge


def _checks(folder: Path) -> Mapping[str, bool]:
    """Those of other machines."""
    verification = _report(folder).verification
    assert verification is not None
    return {
        check.name.partition(":")[0]: check.passed
        for check in verification.checks
        if "self-test" in check.name
    }


def _changed_model(folder: Path) -> None:
    """Another file of the same recipe: its metadata says more."""
    import onnx

    path = folder / bundle.ONNX
    model = onnx.load(path)
    model.doc_string = "another file"
    onnx.save(model, path)


def test_the_answers_of_a_board_are_compared_and_kept(
    eightbit: Eightbit, folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amend, "replace_report", replace_report)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    known = _report(folder)
    outcome = eightbit("verify", folder, "--self-test", board(), "--threads", 1)
    assert (outcome.code, outcome.err) == (0, "")
    assert "onnx_aarch64" in outcome.out
    report = _report(folder)
    for other in ("onnx", "reference"):
        pair = report.parity[f"onnx_aarch64_vs_{other}"]
        assert (pair.n, pair.max_lsb, pair.identical_fraction, pair.top1_agreement) == (3, 0, 1, 1)
    (entry,) = _edge(folder).elsewhere
    assert (entry.name, entry.machine, entry.processor) == ("onnx_aarch64", "aarch64", "cortex-a72")
    assert entry.versions == {"onnxruntime": "1.31.1", "python": "3.11.2"}
    assert entry.same_pixels
    assert _checks(folder) == {"onnx_aarch64": True}
    assert "onnx\\_aarch64" in (folder / bundle.REPORT_MARKDOWN).read_text()
    # Nothing else has changed.
    assert known.parity.items() <= report.parity.items()
    assert report.executions == known.executions
    assert {
        name for name, content in before.items() if (folder / name).read_bytes() != content
    } == {bundle.REPORT_JSON, bundle.REPORT_MARKDOWN, bundle.REPORT_HTML}


@pytest.mark.parametrize(("last_bits", "code"), [(2, 0), (3, 1)])
def test_two_last_bits_pass_and_three_fail(
    eightbit: Eightbit, folder: Path, board: Board, last_bits: int, code: int
) -> None:
    outcome = eightbit("verify", folder, "--self-test", board(last_bits=last_bits))
    assert outcome.code == code, outcome
    assert _report(folder).parity["onnx_aarch64_vs_onnx"].max_lsb == last_bits
    assert _checks(folder) == {"onnx_aarch64": code == 0}
    if code:
        assert outcome.err == (
            "eightbit: failed: verification: onnx_aarch64: the self-test gives the same: at most "
            "3 last bits apart, 2 allowed; another class for 0 of 3 pictures, 0 allowed\n"
        )
        # What failed is known, and a better run takes its place.
        assert eightbit("verify", folder, "--self-test", board()).code == 0
        assert _checks(folder) == {"onnx_aarch64": True}


def test_another_class_fails_however_near_the_logits_are(
    eightbit: Eightbit, folder: Path, board: Board, self_test: SelfTest, monkeypatch: Any
) -> None:
    # All last bits are allowed: only the class is left.
    monkeypatch.setattr(boards, "ALLOWED_LAST_BITS", 10**6)
    document = json.loads(self_test.document)
    logits = [image["logits"] for image in document["images"]]
    logits[1] = logits[1][::-1]
    outcome = eightbit("verify", folder, "--self-test", board(logits=logits))
    assert outcome.code == 1
    assert "another class for 1 of 3 pictures" in outcome.err


def test_other_pixels_are_said(eightbit: Eightbit, folder: Path, board: Board) -> None:
    other = board(pixels_sha256=["0" * 64] * 3, last_bits=9)
    outcome = eightbit("verify", folder, "--self-test", other)
    assert outcome.code == 1
    assert "its pixels are others: it decodes or resizes otherwise" in outcome.err
    assert not _edge(folder).elsewhere[0].same_pixels


def test_a_second_processor_of_an_architecture_carries_its_name(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    files = (
        board("first.json"),
        board("second.json", processor="Cortex-A76 (QEMU)"),
        board("third.json", processor=""),
        board("fourth.json", processor="cortex a76, qemu", last_bits=1),
        board("pc.json", machine="x86_64", processor="Example CPU"),
    )
    options = [word for file in files for word in ("--self-test", file)]
    assert eightbit("verify", folder, *options).code == 0
    expected = [
        *("onnx_aarch64", "onnx_aarch64_cortex-a76-qemu", "onnx_aarch64_other"),
        *("onnx_aarch64_cortex-a76-qemu_2", "onnx_x86_64"),
    ]
    assert [one.name for one in _edge(folder).elsewhere] == expected
    # Two of them once more, in another order: nothing is there twice.
    assert eightbit("verify", folder, "--self-test", files[3], "--self-test", files[0]).code == 0
    assert sorted(one.name for one in _edge(folder).elsewhere) == sorted(expected)
    assert set(_checks(folder)) == set(expected)
    assert _report(folder).parity["onnx_aarch64_cortex-a76-qemu_2_vs_onnx"].max_lsb == 1


def test_a_name_never_becomes_too_long_to_be_one(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    files = [
        board(f"{number}.json", machine="m" * 32, processor=processor)
        for number, processor in enumerate(("a" * 200, "a" * 199, "a" * 198, "\u202e\x1b[2J" * 20))
    ]
    options = [word for file in files for word in ("--self-test", file)]
    assert eightbit("verify", folder, *options).code == 0
    names = [one.name for one in _edge(folder).elsewhere]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 64
    assert all(one.processor.isprintable() for one in _edge(folder).elsewhere)


@pytest.fixture
def only_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickest execution stands for all of them."""
    monkeypatch.setattr(verify, "executions", lambda *_, **__: Availability(possible=(ONNX,)))


@pytest.mark.usefixtures("only_onnx")
def test_a_later_verification_keeps_what_it_cannot_measure(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    assert eightbit("verify", folder, "--self-test", board(last_bits=3)).code == 1
    found = _report(folder)
    outcome = eightbit("verify", folder, "--samples", 4, "--threads", 1)
    assert outcome.code == 0, outcome  # of what was looked at now
    assert "onnx_aarch64" in outcome.out
    after = _report(folder)
    assert after.edge == found.edge
    assert set(after.parity) == {
        *("onnx_vs_reference", "onnx_aarch64_vs_onnx", "onnx_aarch64_vs_reference")
    }
    assert after.parity["onnx_aarch64_vs_onnx"] == found.parity["onnx_aarch64_vs_onnx"]
    assert _checks(folder) == {"onnx_aarch64": False}


@pytest.mark.usefixtures("only_onnx")
def test_what_another_model_answered_is_forgotten(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    assert eightbit("verify", folder, "--self-test", board(last_bits=3)).code == 1
    section = _edge(folder).model_copy(update={"cold_start": START})
    report = _report(folder).model_copy(update={"edge": section})
    (folder / bundle.REPORT_JSON).write_text(report.to_json())
    _changed_model(folder)
    assert eightbit("verify", folder, "--samples", 4, "--threads", 1).code == 0
    assert _edge(folder) == EdgeSection(cold_start=START)
    assert set(_report(folder).parity) == {"onnx_vs_reference"}
    assert _checks(folder) == {}


def test_the_answers_of_another_model_are_refused_and_nothing_is_changed(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    before = (folder / bundle.REPORT_JSON).read_bytes()
    error = eightbit(
        *("verify", folder, "--self-test", board(), "--self-test"),
        board("other.json", model_sha256="ab" * 32),
    ).error
    assert f"other.json: expected the self-test of {folder / bundle.ONNX}, SHA-256 " in error
    assert "found that of another model, abababababab...; pack this one with" in error
    assert (folder / bundle.REPORT_JSON).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("classify: expected onnxruntime, numpy and pillow", "run it again"),
        ('{"format_version": 2}', "found 2; a newer eightbit wrote it"),
        ("", "found an empty file; run it again"),
    ],
)
def test_what_no_self_test_printed_is_refused(
    eightbit: Eightbit, folder: Path, tmp_path: Path, content: str, expected: str
) -> None:
    (tmp_path / "board.json").write_text(content)
    assert expected in eightbit("verify", folder, "--self-test", tmp_path / "board.json").error


def test_logits_of_any_size_are_a_distance_and_no_crash(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    huge = [[3.4e38] + [0.0] * 9] * 3
    outcome = eightbit("verify", folder, "--self-test", board(logits=huge))
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert _checks(folder) == {"onnx_aarch64": False}


@pytest.mark.parametrize("option", [("--images", "photos.tar"), ("--samples", 4), ("--runtimes",)])
def test_images_are_not_for_a_self_test(
    eightbit: Eightbit, folder: Path, board: Board, option: tuple[object, ...]
) -> None:
    error = eightbit("verify", folder, "--self-test", board(), *option).error
    assert "--self-test: expected without --images, --samples and --runtimes" in error


def test_a_bundle_without_an_onnx_model_is_refused(
    eightbit: Eightbit, folder: Path, board: Board
) -> None:
    file = board()
    (folder / bundle.ONNX).unlink()
    assert "--formats onnx" in eightbit("verify", folder, "--self-test", file).error


def test_a_bundle_without_a_report_gets_one(eightbit: Eightbit, folder: Path, board: Board) -> None:
    for name in (bundle.REPORT_JSON, bundle.REPORT_MARKDOWN, bundle.REPORT_HTML):
        (folder / name).unlink()
    assert eightbit("verify", folder, "--self-test", board()).code == 0
    assert set(_report(folder).parity) == {"onnx_aarch64_vs_onnx", "onnx_aarch64_vs_reference"}
    assert _checks(folder) == {"onnx_aarch64": True}
    verification = _report(folder).verification
    assert verification is not None
    assert verification.images == 3


@pytest.mark.parametrize("machine", ["unoptimised", "haswell", "Haswell"])
def test_an_execution_of_this_machine_is_no_other_machine(
    eightbit: Eightbit, folder: Path, board: Board, machine: str
) -> None:
    error = eightbit("verify", folder, "--self-test", board(machine=machine)).error
    assert f"found {machine}, an execution of this machine" in error


def test_answers_to_other_pictures_are_refused(
    eightbit: Eightbit, folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Made again, as a user's command does.
    monkeypatch.setattr(boards, "make_self_test", make_self_test)
    assert eightbit("verify", folder, "--self-test", board()).code == 0
    error = eightbit("verify", folder, "--self-test", board(self_test_sha256="ab" * 32)).error
    assert "found those to another one; pack again with `eightbit bundle`" in error


@pytest.mark.parametrize(
    ("target", "machine", "instructions", "code"),
    [
        (Target.PORTABLE, "x86_64", ("avx2",), 1),
        (Target.X86_VNNI, "aarch64", ("avx512_vnni",), 1),
        (Target.X86_VNNI, "x86_64", ("avx512_vnni",), 0),
        (Target.ARM64, "aarch64", ("avx2",), 0),
    ],
)
def test_a_target_answers_for_what_it_promises(
    eightbit: Eightbit,
    folder: Path,
    board: Board,
    monkeypatch: pytest.MonkeyPatch,
    target: Target,
    machine: str,
    instructions: tuple[str, ...],
    code: int,
) -> None:
    cpu = CpuFeatures(
        name="Example",
        architecture="x86_64",
        instructions=instructions,
        logical_cores=1,
        usable_logical=1,
        usable_physical=1,
    )
    plain = read_recipe(folder / bundle.RECIPE)

    recipe = plain.model_copy(update={"config": QuantConfig(target=target)})
    monkeypatch.setattr(boards, "read_cpu_features", lambda: cpu)
    report = _report(folder).model_copy(update={"recipe_sha256": recipe.sha256})
    (folder / bundle.REPORT_JSON).write_text(report.to_json())
    monkeypatch.setattr(boards, "open_bundle", lambda _: Bundle(folder=folder, recipe=recipe))
    outcome = eightbit("verify", folder, "--self-test", board(machine=machine, last_bits=3))
    assert outcome.code == code, outcome
    verification = _report(folder).verification
    assert verification is not None
    assert ("not promised by the target" in verification.checks[-1].detail) == (code == 0)
