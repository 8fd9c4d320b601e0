"""The straight line: a checkpoint and some photos in, verified artefacts and a report out."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import torch

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.report.choices import ChoicesSection, ChoiceTrial
from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.fallback import FallbackSection
from eightbit.benchmarks.report.images import DecodingSection
from eightbit.benchmarks.report.stage import Stage
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.sources import ImageSource, open_source
from eightbit.models.torch_state import own_state
from eightbit.quantize import bundle
from eightbit.quantize import calibrate as calibrate_module
from eightbit.quantize.algorithms.decisions import decide
from eightbit.quantize.algorithms.equalization import Equalized, apply_exponents, equalize
from eightbit.quantize.algorithms.equalization_trial import equalization_helps
from eightbit.quantize.artifacts.write import refuse_unwritable, write_artifacts
from eightbit.quantize.calibrate import Calibrated
from eightbit.quantize.config import Delivery, Equalize, QuantConfig
from eightbit.quantize.fallback.search import fall_back
from eightbit.quantize.images import LabelledSource, check_head, open_labelled
from eightbit.quantize.measure.decoding import compare_decodings
from eightbit.quantize.measure.diagnosis import DIAGNOSIS_PIXELS, diagnose
from eightbit.quantize.measure.evaluation import EvaluatedImages, evaluate_artifacts
from eightbit.quantize.measure.latency import time_bundle
from eightbit.quantize.measure.report import make_report, write_report
from eightbit.quantize.network.network import fuse
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe, check_origin
from eightbit.quantize.stages import Stages
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.executions import affordable
from eightbit.quantize.verify.verification import (
    audit_artifact,
    models_of,
    opened_runners,
    verify_artifacts,
)

_DEFAULT_CONFIG: Final = QuantConfig()


@own_state()
def quantize(
    pretrained: Pretrained,
    calibrate: Path,
    delivery: Delivery,
    config: QuantConfig = _DEFAULT_CONFIG,
    stages: Stages | None = None,
    *,
    executor: Executor | None = None,
) -> Report:
    """Quantize a pretrained network, verify the artefacts, and report what it cost.

    Args:
        pretrained: The float network, as `load_pretrained` gives it.
        calibrate: Folder or archive of images that set the ranges; labels are not needed.
        delivery: What to write and to measure.
        config: How to quantize.
        stages: Gets the progress; None to work silently.
        executor: Has workers that calibrate and evaluate, such as a `Cluster`; None for this
            machine's own processes. The result is that of one process with a worker's threads.

    Returns:
        The report, as it lies in ``delivery.out`` beside the artefacts. A failed verification is
        in it, not an exception: `failed_gates` names it.

    Raises:
        InputError: Something given cannot be used; ``delivery.out`` is as it was.
    """
    with ExitStack() as stack:
        run = _start(pretrained, delivery, stages, stack, executor)
        source = stack.enter_context(open_source(calibrate))
        equalized, calibrated, tried = equalize_and_calibrate(
            pretrained, source, config, run.stages, formats=delivery.formats, executor=executor
        )
        network, fitting = equalized.network, calibrated.kept.fitting
        decided = decide(
            *(equalized, calibrated.collected, pretrained, config),
            fitting=fitting,
            held_out=calibrated.kept.held_out,
            stages=run.stages,
            equalization=tried,
        )
        recipe, fallback = decided.recipe, None
        if delivery.fallback and run.data is not None:
            recipe, fallback = fall_back(
                *(network, recipe, fitting, run.data, delivery, run.stages), executor=executor
            )
        return _deliver(
            run, Quantized(network=network, recipe=recipe), calibrated, decided.choices, fallback
        )


def equalize_and_calibrate(
    pretrained: Pretrained,
    source: ImageSource,
    config: QuantConfig,
    stages: Stages,
    *,
    formats: Collection[str] = (),
    executor: Executor | None = None,
) -> tuple[Equalized, Calibrated, tuple[ChoiceTrial, ...]]:
    """The network, equalised where that helps, its statistics, and what was tried.

    ``formats`` are those to be written: for TorchScript torch's front end places the observers.
    ``executor`` has workers that calibrate; None for this process.

    Raises:
        InputError: No image is usable, a weight or an activation is not finite, or a format cannot
            hold the network.
    """
    front_end = config.mode if TORCHSCRIPT.key in formats else None
    with stages.stage(Stage.FUSE):
        plain = fuse(pretrained)
        refuse_unwritable(plain, pretrained.spec, config, formats)
        equalized = equalize(plain, config.equalize)
    calibrate = partial(calibrate_module.calibrate, front_end=front_end, executor=executor)
    calibrated = calibrate(equalized.network, pretrained, source, config, stages)
    if not equalized.exponents or config.equalize is not Equalize.AUTO:
        return equalized, calibrated, ()
    with stages.stage(Stage.TRY_EQUALIZATION):
        helps, tried = equalization_helps(
            *(plain, equalized.network, pretrained, config),
            fitting=calibrated.kept.fitting,
            held_out=calibrated.kept.held_out,
        )
    if not helps:
        # Its ranges are other ones: the images pass once more, through the network as it was.
        equalized = Equalized(network=plain, exponents={})
        calibrated = calibrate(plain, pretrained, source, config, stages)
    return equalized, calibrated, tried


@own_state()
def rebuild(
    pretrained: Pretrained,
    recipe: Recipe,
    delivery: Delivery,
    stages: Stages | None = None,
    *,
    executor: Executor | None = None,
) -> Report:
    """Write the artefacts again from the weights and a recipe, without calibration.

    They are byte for byte those that the recipe was made with, given the same versions. Without
    evaluation images nothing is verified, and the report says so. `executor` has workers that
    evaluate; None for processes of this machine.

    Raises:
        InputError: The recipe was made for other weights or another network, or something given
            cannot be used; ``delivery.out`` is as it was.
    """
    with ExitStack() as stack:
        run = _start(pretrained, delivery, stages, stack, executor)
        if delivery.fallback:
            raise InputError(
                "fallback: expected none beside a recipe, which says what computes in float; leave "
                "it out"
            )
        check_origin(recipe, pretrained)
        with run.stages.stage(Stage.FUSE):
            network = apply_exponents(fuse(pretrained), recipe.exponents)
        return _deliver(run, Quantized(network=network, recipe=recipe), None)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What is open while a run lasts."""

    delivery: Delivery
    stages: Stages
    folder: Path
    data: LabelledSource | None
    threads: int
    executor: Executor | None


def _start(
    pretrained: Pretrained,
    delivery: Delivery,
    stages: Stages | None,
    stack: ExitStack,
    executor: Executor | None = None,
) -> _Run:
    """Open everything that can be refused, before any work is done."""
    threads = executor.threads if executor else delivery.thread_count
    check_head(
        pretrained.spec.task,
        labelled=delivery.image_labels is not None,
        max_drop_pp=delivery.max_drop_pp,
        fallback=delivery.fallback,
    )
    folder = stack.enter_context(bundle.staged(delivery.out, overwrite=delivery.overwrite))
    stack.enter_context(torch_threads(threads))
    data = None
    if delivery.evaluate is not None:
        data = open_labelled(
            delivery.evaluate,
            pretrained.spec,
            delivery.image_labels,
            delivery.class_order,
            max_drop_pp=delivery.max_drop_pp,
        )
        stack.enter_context(data.source)
    return _Run(
        delivery=delivery,
        stages=stages or Stages(),
        folder=folder,
        data=data,
        threads=threads,
        executor=executor,
    )


def _deliver(
    run: _Run,
    quantized: Quantized,
    calibrated: Calibrated | None,
    choices: ChoicesSection | None = None,
    fallback: FallbackSection | None = None,
) -> Report:
    """The second half of the line: artefacts, proofs, measurements, report."""
    recipe, threads = quantized.recipe, run.threads
    write_artifacts(quantized, run.delivery.formats, run.folder, run.stages)
    coverage = None
    if ONNX.key in run.delivery.formats:
        with run.stages.stage(Stage.AUDIT):
            coverage = audit_artifact(quantized, run.folder / bundle.ONNX)
    verification = evaluated = None
    diagnosis: tuple[TensorDiagnosis, ...] = ()
    images = run.data.source if run.data else calibrated.images.source if calibrated else None
    if images is not None:
        with opened_runners(run.folder, threads, run.stages) as runners:
            verification, pixels = verify_artifacts(
                *(run.folder, quantized, runners, images, run.stages),
                coverage=coverage,
                threads=threads,
            )
        if run.data is not None and verification.finite:
            models = models_of(run.folder)
            found = evaluate_artifacts(
                *(models, recipe, run.data, run.stages),
                network=lambda: quantized.network.module,
                threads=threads,
                calibration=calibrated.images.digests if calibrated else (),
                executor=run.executor,
            )
            evaluated = found if isinstance(found, EvaluatedImages) else None
            check = found.check if isinstance(found, EvaluatedImages) else found
            if check is not None:
                verification = replace(verification, checks=(*verification.checks, check))
        with run.stages.stage(Stage.DIAGNOSE):
            few = torch.from_numpy(affordable(pixels, DIAGNOSIS_PIXELS))
            diagnosis = diagnose(quantized, few)
    timing = time_bundle(run.folder, recipe, run.stages, threads=(threads,))
    report = make_report(
        recipe,
        run.stages,
        command=run.delivery.command,
        folder=run.folder,
        coverage=coverage,
        verification=verification,
        evaluated=evaluated,
        max_drop_pp=run.delivery.max_drop_pp,
        fallback=fallback,
        calibration=calibrated,
        decoding=_decoding(recipe, calibrated) if evaluated is None else None,
        choices=choices,
        diagnosis=diagnosis,
        timing=timing,
    )
    write_report(report, run.folder)
    return report


def _decoding(recipe: Recipe, calibrated: Calibrated | None) -> DecodingSection | None:
    """Both decodings of the calibration images; those of an evaluation are in its own section."""
    if calibrated is None:
        return None
    return compare_decodings(calibrated.images.source, recipe.spec.preprocessing)
