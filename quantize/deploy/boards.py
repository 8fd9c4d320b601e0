"""Compares self-test answers from other machines with this one, and adds them to the report.

They cannot be measured again here, so they stay in the report for as long as the model is the same.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.fidelity import ParityMeter, ParityResult
from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.accuracy.parity import (
    REFERENCE,
    pair_name,
    predictions,
    truly_different,
)
from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult, self_test_check
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.available import onnx_executions
from eightbit.benchmarks.runtimes.cpu_features import read_cpu_features
from eightbit.benchmarks.runtimes.cpu_names import is_x86
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.models.images.preprocessing import file_pixels, normalised_images
from eightbit.models.plain_text import printable
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts.open_bundle import Bundle, open_bundle
from eightbit.quantize.commands.amend import Amending
from eightbit.quantize.commands.verify import Verified
from eightbit.quantize.config import Target
from eightbit.quantize.deploy.board_answers import SelfTestAnswers, read_self_test_answers
from eightbit.quantize.deploy.self_test import SELF_TEST_PICTURES, SelfTest, make_self_test
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.reference import reference_logits

# Last bits by which a logit may differ from this machine's, as in classify.py.
ALLOWED_LAST_BITS: Final = 2

_ONNX: Final = ONNX.runtime.word
_MAX_NAME: Final = 64

# Processors of boards, as ARM numbers them: Linux does not name them.
_PARTS: Final = {
    "0x41 0xd03": "cortex-a53",
    "0x41 0xd05": "cortex-a55",
    "0x41 0xd07": "cortex-a57",
    "0x41 0xd08": "cortex-a72",
    "0x41 0xd09": "cortex-a73",
    "0x41 0xd0a": "cortex-a75",
    "0x41 0xd0b": "cortex-a76",
    "0x41 0xd0c": "neoverse-n1",
    "0x41 0xd40": "neoverse-v1",
    "0x41 0xd41": "cortex-a78",
    "0x41 0xd42": "cortex-a78ae",
    "0x41 0xd49": "neoverse-n2",
    "0x41 0xd4f": "neoverse-v2",
}


@dataclass(frozen=True, kw_only=True)
class _Here:
    """Pixel digests and logits of the same pictures on this machine."""

    pixels_sha256: tuple[str, ...]
    logits: Mapping[str, FloatArray]


@own_state()
def compare_self_tests(
    folder: Path,
    files: Sequence[Path],
    stages: Stages,
    *,
    threads: int | None = None,
    command: str = "",
) -> Verified:
    """Compare other machines' answers to the bundle's self-test, and amend or make the report.

    `files` are outputs of `python model.zip --self-test --json`, one per machine. `threads` is for
    the reference, None for all usable cores.

    Raises:
        InputError: The folder holds no ONNX model or cannot be written, its report is of another
            recipe, or a file has no such answers or those of another model.
    """
    opened = open_bundle(folder)
    amending = Amending(bundle=opened, stages=stages, command=command)
    amending.begin()
    answers = [_read_answers(file, opened) for file in files]
    with stages.stage("self-test here"):
        test = make_self_test(opened)
    for file, answer in zip(files, answers, strict=True):
        _check_test(file, answer, test)
    with stages.stage("reference"), torch_threads(threads or usable_cores()):
        here = _here(opened, test)
    checks: dict[str, Check] = {}

    def change(before: Report) -> Report:
        checks.clear()
        report = before
        for answer in answers:
            report = _with(report, answer, opened.recipe, here, checks)
        return report

    report = amending.finish(change)
    gate = VerificationSection.of(tuple(checks.values()), images=SELF_TEST_PICTURES)
    return Verified(report=report, gate=gate)


def _here(opened: Bundle, test: SelfTest) -> _Here:
    images = json.loads(test.document)["images"]
    how = opened.recipe.spec.preprocessing
    pixels = np.stack([file_pixels(test.pictures[image["file"]], how) for image in images])
    return _Here(
        pixels_sha256=tuple(image["pixels_sha256"] for image in images),
        logits={
            _ONNX: np.array([image["logits"] for image in images], np.float32),
            REFERENCE: reference_logits(opened.read_quantized(), normalised_images(pixels, how)),
        },
    )


def _read_answers(file: Path, opened: Bundle) -> SelfTestAnswers:
    """The answers in a file; refused if of another model or named like a local execution."""
    classes = opened.recipe.spec.num_classes
    answers = read_self_test_answers(file, pictures=SELF_TEST_PICTURES, classes=classes)
    model = opened.require_onnx()
    digest = file_sha256(model)
    if answers.model_sha256 != digest:
        raise InputError(
            f"{printable(str(file))}: expected the self-test of {printable(str(model))}, SHA-256 "
            f"{digest[:12]}..., found that of another model, {answers.model_sha256[:12]}...; pack "
            "this one with `eightbit bundle` and run its self-test there"
        )
    here = onnx_executions(thorough=True)
    local = {one.name for one in here.possible} | here.missing.keys()
    if f"{_ONNX}_{answers.machine}".lower() in local:
        raise InputError(
            f"{printable(str(file))}: machine: expected an architecture, such as aarch64, found "
            f"{answers.machine}, an execution of this machine; run the self-test again"
        )
    return answers


def _check_test(file: Path, answers: SelfTestAnswers, test: SelfTest) -> None:
    """Refuse answers to other pictures: another eightbit or Pillow may have chosen them."""
    expected = hashlib.sha256(test.document).hexdigest()
    if answers.self_test_sha256 != expected:
        raise InputError(
            f"{printable(str(file))}: expected the answers to the self-test that this eightbit "
            "makes of this bundle, found those to another one; pack again with `eightbit bundle` "
            "and run it there once more"
        )


def _with(
    report: Report, answers: SelfTestAnswers, recipe: Recipe, here: _Here, checks: dict[str, Check]
) -> Report:
    """The report with a machine's pairs, entry and check, replacing those of an earlier run."""
    edge = report.edge or EdgeSection()
    result = SelfTestResult(
        name=_name(answers, edge.elsewhere),
        machine=answers.machine,
        processor=_processor(answers),
        versions=answers.versions,
        same_pixels=answers.pixels_sha256 == here.pixels_sha256,
        model_sha256=answers.model_sha256,
    )
    pairs = {
        pair_name(result.name, other): _parity(answers.as_array(), logits, recipe)
        for other, logits in here.logits.items()
    }
    check = _check(result, pairs[pair_name(result.name, _ONNX)], excused=_excused(result, recipe))
    checks[check.name] = check
    return report.with_self_test(result, pairs, check, images=SELF_TEST_PICTURES)


def _check(result: SelfTestResult, parity: ParityResult, *, excused: bool) -> Check:
    same = parity.max_lsb <= ALLOWED_LAST_BITS and not truly_different(parity)
    return Check(
        name=self_test_check(result.name),
        passed=same or excused,
        detail=f"at most {parity.max_lsb} last bits apart, {ALLOWED_LAST_BITS} allowed"
        + _decisions(parity)
        + ("" if result.same_pixels else "; its pixels are others: it decodes or resizes otherwise")
        + ("; not promised by the target" if excused and not same else ""),
        synthetic=True,
    )


def _decisions(parity: ParityResult) -> str:
    different = truly_different(parity)
    if parity.decisions == 0:
        return ""
    if parity.decisions == 1:
        return f"; another class for {different} of {parity.n} pictures, 0 allowed"
    return f"; {different} of {predictions(parity)} decisions differ, 0 allowed"


def _excused(result: SelfTestResult, recipe: Recipe) -> bool:
    """Whether the recipe's target promises nothing for this pair: either may lack VNNI."""
    if recipe.config.target is Target.PORTABLE:
        return False
    return is_x86(result.machine) or read_cpu_features().pairs_saturate


def _parity(found: FloatArray, expected: FloatArray, recipe: Recipe) -> ParityResult:
    meter = ParityMeter(recipe.output_scale, Head.of(recipe.spec))
    meter.update(found, expected)
    return meter.result()


def _name(answers: SelfTestAnswers, known: Sequence[SelfTestResult]) -> str:
    """An earlier run's name for such a machine, or its architecture, and processor if taken."""
    processor = _processor(answers)
    for one in known:
        if (one.machine, one.processor) == (answers.machine, processor):
            return one.name
    short = f"{_ONNX}_{answers.machine}"
    word = re.sub(r"[^a-z0-9.]+", "-", processor.lower()).strip("-") or "other"
    # "_vs_" joins the names of a pair.
    word = "other" if word == "vs" else word
    long = f"{short}_{word}"[: _MAX_NAME - 3]
    names = (short, long, *(f"{long}_{number}" for number in range(2, len(known) + 2)))
    return next(name for name in names if name not in {one.name for one in known})


def _processor(answers: SelfTestAnswers) -> str:
    return _PARTS.get(answers.processor, printable(answers.processor)[:200])
