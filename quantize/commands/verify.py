"""Verifying a bundle that lies on disk in every way that this machine can execute it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eightbit.benchmarks.accuracy.parity import ExecutionsSection
from eightbit.benchmarks.artifact.artifact import Runtime
from eightbit.benchmarks.report.document import Check, Report, VerificationSection
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.open_bundle import recipe_of
from eightbit.quantize.commands.amend import Amending, environment_beside, pairs_elsewhere
from eightbit.quantize.photos import MADE_UP, made_up_pixels
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.comparison import Comparison, compare
from eightbit.quantize.verify.executions import excused, execute, executions
from eightbit.quantize.verify.verification import VERIFICATION_IMAGES, drawn_pixels

# The reference takes long: as many images as have so many pixels, 32 of 224 px.
_REFERENCE_PIXELS: Final = 32 * 224**2

# Each artefact as its own runtime executes it.
_PLAIN: Final = frozenset(
    Execution(runtime=runtime).name for runtime in (Runtime.ONNXRUNTIME, Runtime.TORCHSCRIPT)
)


@dataclass(frozen=True, kw_only=True)
class Reverified:
    """What `verify_bundle` found.

    Attributes:
        report: The bundle's report, with the new pairs in it.
        gate: The checks that it made.
    """

    report: Report
    gate: VerificationSection


def verify_bundle(
    folder: Path,
    images: Path | None,
    stages: Stages,
    *,
    samples: int = VERIFICATION_IMAGES,
    threads: int | None = None,
    command: str = "",
) -> Reverified:
    """Execute a bundle's artefacts in every way that is possible here, and amend its report.

    Args:
        folder: The bundle. Its report is replaced by one with the new pairs and checks; where it
            has none, one is made.
        images: Folder or archive of images; None for made-up pictures, on which predictions fail
            nothing.
        stages: Told of the progress.
        samples: How many images to draw, class-balanced where there are classes.
        threads: Threads for everything; None for all usable cores.
        command: The command line, for the report.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe,
            the images cannot be used, no execution is possible, or an artefact's own runtime
            cannot load it.
    """
    recipe = recipe_of(folder)
    amending = Amending(folder=folder, recipe=recipe, stages=stages, command=command)
    amending.begin()
    available = executions(folder, thorough=True)
    with stages.stage("load images"):
        pixels, source = _pixels(recipe, images, samples)
    count = threads or usable_cores()
    with (
        torch_threads(count),
        stages.stage("verify", total=1 + len(available.possible)) as watcher,
    ):
        executed = execute(
            folder,
            read_float_network(folder / bundle.FLOAT_ONNX, recipe.spec),
            recipe,
            available.possible,
            pixels,
            threads=count,
            reference_pixels=_REFERENCE_PIXELS,
            advance=watcher.advance,
        )
    for plain in _PLAIN & executed.failed.keys() - executed.crashed:
        # What its own runtime cannot load is no artefact, whatever else can.
        raise InputError(executed.failed[plain])
    missing = {**available.missing, **executed.failed}
    if len(executed.logits) == 1:  # of the reference
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise InputError(f"{folder}: expected an artefact that runs here, found none; {reasons}")
    compared = compare(
        executed.logits,
        output_scale=recipe.output_scale,
        excused=excused(recipe, available.possible),
        crashed=executed.crashed,
        predictions=images is not None,
    )
    section = ExecutionsSection(
        source=source,
        images=len(pixels),
        synthetic=images is None,
        not_measured=missing,
        command=command,
    )
    report = amending.finish(lambda before: _amended(before, compared, section))
    gate = VerificationSection(images=len(pixels), passed=compared.passed, checks=compared.checks)
    return Reverified(report=report, gate=gate)


def _pixels(recipe: Recipe, images: Path | None, samples: int) -> tuple[FloatArray, str]:
    """The images, and what they are called."""
    if images is None:
        return made_up_pixels(recipe.spec.preprocessing, samples), MADE_UP
    with open_source(images) as source:
        return drawn_pixels(recipe, source, samples), source.name


def _amended(before: Report, compared: Comparison, section: ExecutionsSection) -> Report:
    """The report with what is known now; checks of the same name are replaced.

    But what was found on real images stands until real images say otherwise: made-up pictures can
    only add a failure.
    """
    known = before.verification
    kept = {check.name: check for check in known.checks} if known else {}
    new = {check.name: check for check in compared.checks if _counts(check, kept.get(check.name))}
    checks = (*(check for name, check in kept.items() if name not in new), *new.values())
    verification = VerificationSection(
        images=known.images if known else section.images,
        passed=all(check.passed for check in checks),
        checks=checks,
    )
    here = {"environment": environment_beside(before)}
    return before.model_copy(
        update={
            "parity": {**pairs_elsewhere(before), **compared.parity},
            "executions": section.model_copy(update=here),
            "verification": verification,
        }
    )


def _counts(new: Check, old: Check | None) -> bool:
    """Whether a check takes the place of an old one of its name."""
    return old is None or old.synthetic or not new.synthetic or (old.passed and not new.passed)
