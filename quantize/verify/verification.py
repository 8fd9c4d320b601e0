"""Verifies that the artefacts compute what the float network computes, on real images.

Each artefact is loaded in a fresh process, as a user would load it, and runs the same images. The
checks are a gate that a good model never fails, whatever its last bits; the size of the deviations
is reported beside them.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, FidelityResult, ParityResult
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, Head
from eightbit.benchmarks.accuracy.parity import (
    MAX_EXECUTION_DISAGREEMENT,
    ExecutionsSection,
    Pairs,
    different_predictions,
    pair_name,
    predictions,
    truly_different,
)
from eightbit.benchmarks.artifact.formats import FORMATS, ONNX, Precision
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.report.document import CoverageSection
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.runner import FloatArray, Runner
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import ImageSource
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.audit import audit_onnx
from eightbit.quantize.images import UsableImages
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.network.placement import always_float, float_operators, named
from eightbit.quantize.recipe.curves import alike_everywhere
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.verify.comparison import compare
from eightbit.quantize.verify.executions import (
    BATCH,
    affordable,
    excused,
    execute,
    executions,
    in_batches,
)
from eightbit.quantize.verify.multiplications import multiplications

# Predictions that may differ from float on the verification images, as a fraction.
MAX_FLOAT_DISAGREEMENT: Final = 0.20

# The float artefact against the float network: other kernels give other last bits, no more.
# Relative to the largest logit.
MAX_FLOAT_ERROR: Final = 1e-3

FLOAT: Final = Precision.FP32.value

# Start and end of check names.
COVERED: Final = f"{ONNX.key}: everything computes in integers"
FINITE_LOGITS: Final = "finite logits"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Results on the verification images.

    Attributes:
        fidelity: Each INT8 artefact against float.
        parity: In LSB, by pair: INT8 artefacts, other executions and the reference.
        executions: The other executions, if any.
    """

    images: int
    checks: tuple[Check, ...]
    fidelity: Mapping[str, FidelityResult]
    parity: Mapping[str, ParityResult]
    executions: ExecutionsSection | None = None

    @property
    def finite(self) -> bool:
        """Whether every logit is finite, so that the artefacts can be evaluated at all."""
        return bool(self.fidelity)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)


def verify(
    module: nn.Module,
    runners: Mapping[str, Runner],
    pixels: FloatArray,
    *,
    output_scale: float,
    head: Head = SINGLE_LABEL,
    coverage: CoverageSection | None,
    executed: Mapping[str, FloatArray] | None = None,
    excused: Collection[str] = (),
    crashed: Collection[str] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Verification:
    """Compare every artefact with the float network, and the INT8 ones with each other.

    Args:
        module: The float network.
        runners: The INT8 artefacts by name, and the float one as ``FLOAT``.
        pixels: float32, shape (N, 3, H, W).
        output_scale: Scale of the logits (one LSB).
        head: How they are read.
        coverage: Of the ONNX artefact, if any.
        executed: Logits of the reference and other executions, by name.
        excused: Executions whose predictions fail no check, see `executions.excused`.
        crashed: Executions whose process died.
        advance: Called with 1 after the network and each artefact.
    """
    expected = _float_logits(module, pixels)
    advance(1)
    found = {}
    for name, runner in runners.items():
        # The float artefact is no result of ours: a batch shows whether it was written well.
        found[name] = in_batches(runner, pixels[:BATCH] if name == FLOAT else pixels)
        advance(1)
    checks = [_finite(name, logits) for name, logits in found.items()]
    if not all(check.passed for check in checks):
        return Verification(images=len(pixels), checks=tuple(checks), fidelity={}, parity={})
    checks.append(_float_artifact(expected[:BATCH], found.pop(FLOAT)))
    fidelity = {name: _fidelity(expected, logits, head) for name, logits in found.items()}
    for name, result in fidelity.items():
        checks += _like_float(name, result)
    compared = compare(
        {**found, **(executed or {})},
        output_scale=output_scale,
        head=head,
        excused=excused,
        crashed=crashed,
    )
    for pair in combinations(found, 2):
        checks += _same(*pair, compared.parity)
    checks += compared.checks if executed else ()
    if coverage is not None:
        checks.append(_covered(coverage))
    return Verification(
        images=len(pixels), checks=tuple(checks), fidelity=fidelity, parity=compared.parity
    )


def _float_logits(module: nn.Module, pixels: FloatArray) -> FloatArray:
    """Logits of the float network in torch: float32, shape (N, classes)."""
    images = torch.from_numpy(pixels).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return np.concatenate([module(part).numpy() for part in images.split(BATCH)])


def _finite(name: str, logits: FloatArray) -> Check:
    bad = int(np.count_nonzero(~np.isfinite(logits)))
    return Check(
        name=f"{name}: {FINITE_LOGITS}",
        passed=bad == 0,
        detail=f"{bad} of {logits.size} are NaN or infinite",
    )


def _float_artifact(expected: FloatArray, found: FloatArray) -> Check:
    error = float(np.abs(expected - found).max() / max(np.abs(expected).max(), 1e-30))
    return Check(
        name=f"{FLOAT} artefact computes the float network",
        passed=error <= MAX_FLOAT_ERROR,
        detail=f"differs by {error:.1e} of the largest logit, {MAX_FLOAT_ERROR:.0e} allowed",
    )


def _fidelity(expected: FloatArray, found: FloatArray, head: Head) -> FidelityResult:
    meter = FidelityMeter(head)
    meter.update(expected, found)
    return meter.result()


def _like_float(name: str, result: FidelityResult) -> Iterator[Check]:
    """Decisions, and unless the highest logit decides, how far the outputs follow the float ones.

    Most decisions of a multi-label classifier may be no, whatever it sees: alone they say little.
    """
    if result.top1_agreement is not None:
        yield _agreement(
            f"{name} predicts like the float model",
            different_predictions(result),
            predictions(result),
            MAX_FLOAT_DISAGREEMENT,
        )
    if result.r2 is not None:
        yield _following(
            f"{name}: outputs follow the float model's", result.r2, MAX_FLOAT_DISAGREEMENT
        )


def _agreement(name: str, different: int, made: int, allowed: float) -> Check:
    return Check(
        name=name,
        passed=different <= allowed * made,
        detail=f"{different / made:.1%} of predictions differ, {allowed:.0%} allowed",
    )


def _following(name: str, r2: float, allowed: float) -> Check:
    return Check(
        name=name,
        passed=1 - r2 <= allowed,
        detail=f"{1 - r2:.2%} of their variance over the images is unlike (R² {r2:.4f}), "
        f"{allowed:.0%} allowed",
    )


def _same(first: str, second: str, parity: Pairs) -> Iterator[Check]:
    name, result = f"{first} vs {second}: same predictions", parity[pair_name(first, second)]
    if result.top1_agreement is not None:
        yield _agreement(
            name, truly_different(result), predictions(result), MAX_EXECUTION_DISAGREEMENT
        )
    elif result.r2 is not None:
        yield _following(name, result.r2, MAX_EXECUTION_DISAGREEMENT)


def _covered(coverage: CoverageSection) -> Check:
    kinds = coverage.kinds
    wanted = {name: kind.meant_as_float for name, kind in kinds.items() if kind.meant_as_float}
    found = ", ".join(f"{name} {kind.quantized}/{kind.total}" for name, kind in kinds.items())
    meant = ", ".join(f"{name} {number}" for name, number in wanted.items())
    return Check(
        name=f"{COVERED}, but for what the recipe leaves in float" if meant else COVERED,
        passed=all(kind.as_meant for kind in kinds.values()),
        detail=f"{found}; in float by the recipe: {meant}" if meant else found,
    )


VERIFICATION_IMAGES: Final = 64

# As part of a run: pixels of 32 images of 224 px.
_VERIFIED_PIXELS: Final = 32 * 224**2

_FEWEST: Final = 16

# The reference takes long: pixels of four images of 224 px.
_REFERENCE_PIXELS: Final = 4 * 224**2

# The other executions: pixels of 16 images of 224 px.
_EXECUTED_PIXELS: Final = 16 * 224**2


def audit_artifact(quantized: Quantized, path: Path) -> CoverageSection:
    """Integer coverage of a recipe's ONNX artefact, and how many operators are meant as float."""
    graph = quantized.network.graph
    meant = float_operators(graph, quantized.recipe.float_layers)
    found = audit_onnx(path, always_float(graph), named(graph, Kind.PRODUCT))
    kinds = {
        name: kind.model_copy(update={"meant_as_float": meant[Kind(name)]})
        for name, kind in found.kinds.items()
    }
    counts = multiplications(quantized.network)
    integers = sum(
        counts.get(name, 0) for name in {*quantized.recipe.layers, *alike_everywhere(quantized)}
    )
    share = integers / max(1, sum(counts.values()))
    return found.model_copy(update={**kinds, "integer_multiplications": share})


def models_of(folder: Path) -> dict[str, Path]:
    """The bundle's models by name, the float one as ``FLOAT``."""
    files = {**{key: format.file() for key, format in FORMATS.items()}, FLOAT: bundle.FLOAT_ONNX}
    return {name: folder / file for name, file in files.items() if (folder / file).exists()}


@contextmanager
def opened_runners(
    folder: Path, threads: int, stages: Stages
) -> Iterator[Mapping[str, IsolatedRunner]]:
    """The bundle's models by name, the float one as ``FLOAT``, each loaded in its own process.

    Raises:
        InputError: A model cannot be loaded on this machine.
    """
    with ExitStack() as stack:
        with stages.stage(Stage.LOAD_ARTEFACTS):
            runners = {
                name: stack.enter_context(IsolatedRunner(path, threads=threads))
                for name, path in models_of(folder).items()
            }
        yield runners
        for runner in runners.values():
            stages.note_memory(runner.peak_rss_bytes())


def drawn_pixels(recipe: Recipe, source: ImageSource, samples: int) -> FloatArray:
    """The first usable images in class-balanced order: float32, shape (N, 3, H, W).

    Raises:
        InputError: No image is usable.
    """
    images = UsableImages(
        source,
        balanced_order(source.items, recipe.config.seed),
        recipe.spec.preprocessing,
        limit=samples,
    )
    return np.stack([image.pixels for image in images])


def verify_artifacts(
    folder: Path,
    quantized: Quantized,
    runners: Mapping[str, IsolatedRunner],
    source: ImageSource,
    stages: Stages,
    *,
    coverage: CoverageSection | None,
    threads: int,
) -> tuple[Verification, FloatArray]:
    """Verify the artefacts in their own runtimes and in every other quick execution.

    Returns:
        The result, and its images: float32, shape (N, 3, H, W).

    Raises:
        InputError: No image is usable.
    """
    recipe = quantized.recipe
    affords = max(_FEWEST, _VERIFIED_PIXELS // recipe.spec.preprocessing.crop_pixels)
    pixels = drawn_pixels(recipe, source, min(VERIFICATION_IMAGES, affords))
    available = executions(folder, thorough=False)
    wanted = [execution for execution in available.possible if execution.name not in runners]
    with stages.stage(Stage.VERIFY, total=2 + len(runners) + len(wanted)) as watcher:
        executed = execute(
            folder,
            quantized,
            wanted,
            affordable(pixels, _EXECUTED_PIXELS),
            threads=threads,
            reference_pixels=_REFERENCE_PIXELS,
            advance=watcher.advance,
        )
        verification = verify(
            quantized.network.module,
            runners,
            pixels,
            output_scale=recipe.output_scale,
            head=Head.of(recipe.spec),
            coverage=coverage,
            executed=executed.logits,
            excused=excused(recipe, available.possible),
            crashed=executed.crashed,
            advance=watcher.advance,
        )
    stages.note_memory(executed.peak_rss_bytes)
    section = ExecutionsSection(
        source=source.name,
        images=len(pixels),
        not_measured={**available.missing, **executed.failed},
    )
    return replace(verification, executions=section), pixels
