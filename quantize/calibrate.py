"""The pass over the calibration images: the network watched, the ranges said, a few images kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.report.images import ConvergencePoint
from eightbit.benchmarks.report.stage import Stage
from eightbit.calibration import CalibrationResult, collect
from eightbit.calibration.collection import IMAGES_PER_CHECKPOINT
from eightbit.calibration.convergence import (
    MAX_IMAGES,
    Converged,
    Watched,
    images_per_look,
    watched_method,
)
from eightbit.calibration.range_methods import Method
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import ImageSource
from eightbit.quantize.config import AUTO_SAMPLES, Mode, QuantConfig
from eightbit.quantize.front_ends.observed import ObservedNetwork, observed_directly
from eightbit.quantize.front_ends.shared_collection import collect_shared
from eightbit.quantize.images import Kept, Subset, UsableImages
from eightbit.quantize.network.network import Network
from eightbit.quantize.stages import Stages


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated:
    """Statistics of the calibration images, and a few of the images for later stages.

    Attributes:
        kept: To fit later stages to, and to judge them.
        convergence: How far ranges moved from checkpoint to checkpoint.
        watched: The method whose ranges those are.
        settled: Whether they converged; None where a fixed number of images was asked for.
    """

    collected: CalibrationResult
    images: UsableImages
    kept: Kept
    convergence: tuple[ConvergencePoint, ...]
    watched: Method
    settled: bool | None


def calibrate(
    network: Network,
    pretrained: Pretrained,
    source: ImageSource,
    config: QuantConfig,
    stages: Stages,
    *,
    front_end: Mode | None = None,
    executor: Executor | None = None,
) -> Calibrated:
    """Run calibration images through the network and observe every tensor that will be rounded.

    The config fixes the number of images, or "auto": until the ranges settle. ``front_end`` is
    torch's that places the observers; None for our own, which sees the same numbers. ``executor``
    has workers that share the images out; None for this process.

    Raises:
        InputError: No image is usable, an activation is not finite, or workers shall share images
            whose order matters.
    """
    if executor is not None and config.method is Method.MOVING_AVERAGE:
        raise InputError(
            "moving-average: expected one process, since it depends on the order of the images, "
            "found workers; take another --method or leave --cluster out"
        )
    is_auto = config.samples == AUTO_SAMPLES
    # Until candidates are compared, the one that moves with every image stands for them.
    method = Method.WEIGHTED_MSE if config.method is Method.AUTO else config.method
    converged = Converged(method) if is_auto else None
    until = converged or Watched(watched_method(config.method))
    images = UsableImages(
        source,
        balanced_order(source.items, config.seed),
        pretrained.spec.preprocessing,
        limit=MAX_IMAGES if is_auto else int(config.samples),
    )
    every = IMAGES_PER_CHECKPOINT if is_auto else images_per_look(images.limit)
    subset = Subset()
    with _finite(pretrained.source):
        if executor is None:
            collected = _alone(network, images, subset, stages, front_end, until, every)
        else:
            collected = _shared(network, images, subset, stages, executor, until, every)
    return Calibrated(
        collected=collected,
        images=images,
        kept=subset.kept(),
        convergence=tuple(_points(until)),
        watched=until.method,
        settled=converged.settled if converged else None,
    )


def _alone(
    network: Network,
    images: UsableImages,
    subset: Subset,
    stages: Stages,
    front_end: Mode | None,
    until: Watched,
    images_per_look: int,
) -> CalibrationResult:
    """The pass in this process."""
    with stages.stage(Stage.OBSERVE):
        observed = _observed(network, front_end)
    with stages.stage(Stage.CALIBRATE, total=images.limit) as watcher:
        return collect(
            observed.module,
            observed.observers,
            (image.pixels for image in subset.watch(images)),
            on_batch=watcher.advance,
            until=until,
            images_per_look=images_per_look,
        )


def _shared(
    network: Network,
    images: UsableImages,
    subset: Subset,
    stages: Stages,
    executor: Executor,
    until: Watched,
    images_per_look: int,
) -> CalibrationResult:
    """The pass shared out over workers."""
    with stages.stage(Stage.CALIBRATE, total=images.limit, unit="images") as watcher:
        return collect_shared(
            *(network, images, subset, executor),
            on_images=watcher.advance,
            until=until,
            images_per_look=images_per_look,
        )


def _observed(network: Network, front_end: Mode | None) -> ObservedNetwork:
    if front_end is None:
        return observed_directly(network)
    # Here, since without it nothing needs torch.ao, which is to be removed from torch.
    from eightbit.quantize.front_ends.front_ends import observe

    return observe(network, front_end)


@contextmanager
def _finite(weights: str) -> Iterator[None]:
    """What statistics cannot be made of is an error of the input, named after the weights."""
    try:
        yield
    except InputError:
        raise
    except ValueError as exc:
        raise InputError(f"{weights}: {exc}; the checkpoint may be damaged") from exc


def _points(until: Watched) -> Iterator[ConvergencePoint]:
    for images, (tensor, change) in until.curve:
        yield ConvergencePoint(images=images, tensor=tensor, largest_change=change)
