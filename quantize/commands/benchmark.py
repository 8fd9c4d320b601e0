"""Measuring a bundle that lies on disk, perhaps on another machine than the one that made it."""

from collections.abc import Sequence
from pathlib import Path

from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.commands.amend import Amending
from eightbit.quantize.measure.latency import THOROUGH, time_bundle
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.photos import read_photos
from eightbit.quantize.stages import Stages


@own_state()
def benchmark_bundle(
    folder: Path,
    stages: Stages,
    *,
    threads: Sequence[int] = (),
    batches: Sequence[int] = (),
    images: Path | None = None,
    trust: bool = False,
    command: str = "",
) -> Report:
    """Latency of a bundle's models, float and INT8; also amends the bundle's report, or makes one.

    `threads` are thread counts, empty for all usable cores; `batches` images per call, empty for
    one. `images` is a folder or archive of photos for the whole path, None for synthetic ones.
    `trust`: run the models whatever their code asks for.

    Returns:
        A report of this benchmark alone.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe, a
            model cannot be loaded, or no photo can be used.
    """
    opened = open_bundle(folder)
    recipe = opened.recipe
    amending = Amending(bundle=opened, stages=stages, command=command)
    amending.begin()
    with trusting(trust):
        timing = time_bundle(
            folder,
            recipe,
            stages,
            threads=tuple(dict.fromkeys(threads)) or (usable_cores(),),
            batches=tuple(dict.fromkeys(batches)) or (1,),
            effort=THOROUGH,
            photos=read_photos(images, recipe.spec, stages.watcher) if images else None,
        )
    later = {"environment": read_environment(), "command": command}
    section = timing.benchmark and timing.benchmark.model_copy(update=later)
    amending.finish(lambda before: before.with_latency(timing.latency, section))
    return make_report(recipe, stages, command=command, folder=folder, timing=timing)
