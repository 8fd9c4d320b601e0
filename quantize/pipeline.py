"""The straight line: a checkpoint and some photos in, verified artefacts and a report out."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torch import nn

from eightbit.benchmarks.report import Report
from eightbit.calibration import CalibrationResult, collect
from eightbit.models.errors import InputError
from eightbit.models.pretrained import Pretrained
from eightbit.models.sampling import balanced_order
from eightbit.models.sources import open_source
from eightbit.quantize import bundle
from eightbit.quantize.artifacts import write_artifacts
from eightbit.quantize.assessment import evaluate_artifacts, opened_runners, verify_artifacts
from eightbit.quantize.audit import audit
from eightbit.quantize.config import ArtifactFormat, QuantConfig
from eightbit.quantize.conversion import observe
from eightbit.quantize.delivery import Delivery
from eightbit.quantize.fusion import fuse
from eightbit.quantize.images import LabelledSource, UsableImages, open_labelled
from eightbit.quantize.observed import ObservedNetwork
from eightbit.quantize.recipe import Recipe, check_origin, make_recipe
from eightbit.quantize.reporting import make_report, write_report
from eightbit.quantize.stages import Stages, Watcher
from eightbit.quantize.threads import torch_threads
from eightbit.quantize.timing import time_bundle

_DEFAULT_CONFIG: Final = QuantConfig()


def quantize(
    pretrained: Pretrained,
    calibrate: Path,
    delivery: Delivery,
    config: QuantConfig = _DEFAULT_CONFIG,
    stages: Stages | None = None,
) -> Report:
    """Quantize a pretrained network, prove the artefacts, and report what it cost.

    Args:
        pretrained: The float network, as `load_pretrained` gives it.
        calibrate: Folder or archive of images that set the ranges; labels are not needed.
        delivery: What to write and to measure.
        config: How to quantize.
        stages: Told of the progress; None to work silently.

    Returns:
        The report, as it lies in ``delivery.out`` beside the artefacts. A failed verification is
        in it, not an exception: `failed_gates` names it.

    Raises:
        InputError: Something given cannot be used; ``delivery.out`` is as it was.
    """
    with ExitStack() as stack:
        run = _start(pretrained, delivery, stages, stack)
        source = stack.enter_context(open_source(calibrate))
        images = UsableImages(
            source,
            balanced_order(source.items, config.seed),
            pretrained.spec.preprocessing,
            limit=config.samples,
        )
        with run.stages.stage("fuse"):
            fused = fuse(pretrained.model)
            observed = observe(fused, config.mode)
        with run.stages.stage("calibrate", total=images.limit) as watcher:
            collected = _collected(observed, images, pretrained.source, watcher)
        with run.stages.stage("choose parameters"):
            recipe = make_recipe(fused, collected, pretrained, config)
        return _deliver(run, fused, recipe, calibration=images)


def rebuild(
    pretrained: Pretrained, recipe: Recipe, delivery: Delivery, stages: Stages | None = None
) -> Report:
    """Write the artefacts again from the weights and a recipe, without calibration.

    They are byte for byte those that the recipe was made with, given the same versions.

    Args:
        pretrained: The float network.
        recipe: Its integers.
        delivery: What to write and to measure. Without evaluation images nothing is verified,
            and the report says so.
        stages: Told of the progress; None to work silently.

    Raises:
        InputError: The recipe was made for other weights or another network, or something given
            cannot be used; ``delivery.out`` is as it was.
    """
    with ExitStack() as stack:
        run = _start(pretrained, delivery, stages, stack)
        check_origin(recipe, pretrained)
        with run.stages.stage("fuse"):
            fused = fuse(pretrained.model)
        return _deliver(run, fused, recipe, calibration=None)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What is open while a run lasts."""

    delivery: Delivery
    stages: Stages
    folder: Path
    data: LabelledSource | None


def _start(
    pretrained: Pretrained, delivery: Delivery, stages: Stages | None, stack: ExitStack
) -> _Run:
    """Open everything that can be refused, before any work is done."""
    folder = stack.enter_context(bundle.staged(delivery.out, overwrite=delivery.overwrite))
    stack.enter_context(torch_threads(delivery.thread_count))
    data = None
    if delivery.evaluate is not None:
        data = open_labelled(
            delivery.evaluate,
            pretrained.spec,
            delivery.image_labels,
            max_drop_pp=delivery.max_drop_pp,
        )
        stack.enter_context(data.source)
    return _Run(delivery=delivery, stages=stages or Stages(), folder=folder, data=data)


def _collected(
    observed: ObservedNetwork, images: UsableImages, weights: str, watcher: Watcher
) -> CalibrationResult:
    """Statistics of the activations.

    Raises:
        InputError: No image is usable, or an activation is not finite.
    """
    pixels = (image.pixels for image in images)
    try:
        return collect(observed.module, observed.observers, pixels, on_batch=watcher.advance)
    except InputError:
        raise
    except ValueError as exc:
        raise InputError(f"{weights}: {exc}; the checkpoint may be damaged") from exc


def _deliver(
    run: _Run, fused: nn.Module, recipe: Recipe, calibration: UsableImages | None
) -> Report:
    """The second half of the line: artefacts, proofs, measurements, report."""
    threads = run.delivery.thread_count
    write_artifacts(fused, recipe, run.delivery.formats, run.folder, run.stages)
    coverage = None
    if ArtifactFormat.ONNX in run.delivery.formats:
        with run.stages.stage("audit"):
            coverage = audit(run.folder / bundle.ONNX)
    verification = evaluated = None
    images = run.data.source if run.data else calibration.source if calibration else None
    if images is not None:
        with opened_runners(run.folder, threads, run.stages) as runners:
            verification = verify_artifacts(fused, recipe, runners, images, coverage, run.stages)
            if run.data is not None and verification.finite:
                evaluated = evaluate_artifacts(recipe, runners, run.data, run.stages)
    latency = time_bundle(run.folder, recipe.spec, run.stages, threads=(threads,))
    report = make_report(
        recipe,
        run.stages,
        command=run.delivery.command,
        folder=run.folder,
        coverage=coverage,
        verification=verification,
        evaluated=evaluated,
        calibration=calibration,
        latency=latency,
    )
    write_report(report, run.folder)
    return report
