"""Verifies a bundle on disk in every execution possible on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.accuracy.parity import ExecutionsSection, OtherRuntime
from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.report.checks import VerificationSection
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.available import Availability, joined
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts.open_bundle import Bundle, open_bundle
from eightbit.quantize.commands.amend import Amending
from eightbit.quantize.images import tell_left_out
from eightbit.quantize.photos import SYNTHETIC, synthetic_pixels
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages, Watcher
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.comparison import Comparison, compare
from eightbit.quantize.verify.executions import (
    Executed,
    excused,
    execute,
    executions,
    other_runtimes,
)
from eightbit.quantize.verify.others import judged, promised
from eightbit.quantize.verify.verification import VERIFICATION_IMAGES, drawn_pixels

# The reference takes long: pixels of 32 images of 224 px.
_REFERENCE_PIXELS: Final = 32 * 224**2

# Each artefact as its own runtime executes it.
_PLAIN: Final = frozenset(Execution(runtime=format.runtime).name for format in FORMATS.values())


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The amended report of a bundle, and the checks that were made."""

    report: Report
    gate: VerificationSection


@own_state()
def verify_bundle(
    folder: Path,
    images: Path | None,
    stages: Stages,
    *,
    samples: int = VERIFICATION_IMAGES,
    threads: int | None = None,
    trust: bool = False,
    others: bool = False,
    command: str = "",
) -> Verified:
    """Run every execution of a bundle's artefacts possible here, and amend or make its report.

    `images` is a folder or archive, of which `samples` are drawn, class-balanced if there are
    classes; None for synthetic images, on which predictions fail no check. `threads`: None for all
    usable cores. `trust`: run the models whatever their code asks for. `others`: the runtimes, too,
    that no artefact was written for, those that are installed; they fail no check.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe,
            the images cannot be used, no execution is possible, or an artefact's own runtime cannot
            load it.
    """
    opened = open_bundle(folder)
    recipe = opened.recipe
    amending = Amending(bundle=opened, stages=stages, command=command)
    amending.begin()
    beside = other_runtimes(folder) if others else Availability()
    own = executions(folder, thorough=True)
    available = joined([own, beside])
    with stages.stage(Stage.LOAD_IMAGES):
        pixels, source = _pixels(recipe, images, samples, stages.watcher)
    with trusting(trust):
        found = _execute(opened, available.possible, pixels, threads or usable_cores(), stages)
    executed = promised(found, beside.possible)
    missing = {**available.missing, **executed.failed}
    if len(executed.logits) == 1:  # of the reference
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise InputError(f"{folder}: expected an artefact that runs here, found none; {reasons}")
    compared, judgements = _compared(found, executed, opened, own, beside, images is None)
    section = ExecutionsSection(
        source=source,
        images=len(pixels),
        synthetic=images is None,
        not_measured=missing,
        others=judgements,
        environment=read_environment(),
        command=command,
    )
    report = amending.finish(
        lambda before: before.with_executions(section, compared.parity, compared.checks)
    )
    return Verified(report=report, gate=VerificationSection.of(compared.checks, images=len(pixels)))


def _compared(
    found: Executed,
    executed: Executed,
    opened: Bundle,
    own: Availability,
    beside: Availability,
    synthetic: bool,
) -> tuple[Comparison, dict[str, OtherRuntime]]:
    """The checks and distances of what was executed, and what other runtimes make of the file."""
    recipe = opened.recipe
    output_scale, head = recipe.output_scale, Head.of(recipe.spec)
    compared = compare(
        executed.logits,
        output_scale=output_scale,
        head=head,
        excused=excused(recipe, own.possible),
        others=[one.name for one in beside.possible],
        crashed=executed.crashed,
        synthetic=synthetic,
    )
    return compared, judged(found, beside.possible, output_scale=output_scale, head=head)


def _execute(
    opened: Bundle, possible: Sequence[Execution], pixels: FloatArray, threads: int, stages: Stages
) -> Executed:
    """Run the reference and all executions; InputError if an artefact's own runtime fails."""
    with torch_threads(threads), stages.stage(Stage.VERIFY, total=1 + len(possible)) as watcher:
        executed = execute(
            opened.folder,
            opened.read_quantized(),
            possible,
            pixels,
            threads=threads,
            reference_pixels=_REFERENCE_PIXELS,
            advance=watcher.advance,
        )
    for plain in _PLAIN & executed.failed.keys() - executed.crashed:
        # What its own runtime cannot load is no artefact, whatever else can.
        raise InputError(executed.failed[plain])
    return executed


def _pixels(
    recipe: Recipe, images: Path | None, samples: int, watcher: Watcher
) -> tuple[FloatArray, str]:
    """The images, and the name of their source."""
    if images is None:
        return synthetic_pixels(recipe.spec.preprocessing, samples), SYNTHETIC
    with open_source(images) as source:
        pixels = drawn_pixels(recipe, source, samples)
        tell_left_out(images, source, watcher)
        return pixels, source.name
