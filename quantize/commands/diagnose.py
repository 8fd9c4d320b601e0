"""Diagnoses a bundle on disk: the noise of each of its quantized tensors."""

from pathlib import Path

import torch

from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.models.images.sources import open_source
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.images import tell_left_out
from eightbit.quantize.measure.diagnosis import diagnose
from eightbit.quantize.stages import Stages
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.verification import drawn_pixels


@own_state()
def diagnose_bundle(
    folder: Path,
    data: Path,
    stages: Stages,
    *,
    samples: int = 32,
    threads: int | None = None,
    executor: Executor | None = None,
) -> tuple[TensorDiagnosis, ...]:
    """SQNR of each quantized tensor of a bundle, worst first; see `diagnose`.

    `data` is a folder or archive of images, of which `samples` are drawn, class-balanced if there
    are classes; `threads` is for torch, None for all usable cores. `executor` has workers, each
    with its own threads; None for this process.

    Raises:
        InputError: The folder is no bundle, or the images cannot be used.
    """
    opened = open_bundle(folder)
    count = executor.threads if executor else threads or usable_cores()
    with open_source(data) as source, torch_threads(count):
        with stages.stage(Stage.LOAD_IMAGES):
            pixels = drawn_pixels(opened.recipe, source, samples)
        tell_left_out(data, source, stages.watcher)
        with stages.stage(Stage.DIAGNOSE):
            return diagnose(opened.read_quantized(), torch.from_numpy(pixels), executor)
