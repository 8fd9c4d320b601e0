"""One network quantized in several ways from one pass over the images, as ONNX models.

Usage: python -P -m eightbit.quantize.studies.recipes JOB.json

What `eightbit quantize` does between the weights and the files, without proving and measuring
them, and for structures that have no name on the command line. Each run's folder gets its recipe
and its models; the recipe is that of the command line with the same options.
"""

import sys
import time
from pathlib import Path

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.benchmarks.studies.peers.candidates.job import OwnJob, OwnOutcome
from eightbit.benchmarks.studies.peers.candidates.networks import load_network
from eightbit.benchmarks.studies.peers.candidates.worker import OUTCOME, tell
from eightbit.models.images.sources import open_source
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.decisions import decide
from eightbit.quantize.artifacts.write import write_artifacts
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.pipeline import equalize_and_calibrate
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.stages import Stages
from eightbit.quantize.torch_settings import torch_threads


@own_state()
def work(job: OwnJob) -> None:
    """Quantize, and leave models, recipe and outcome of every run in its folder.

    Raises:
        ValueError: The runs differ in what the network or the pass over the images depends on.
    """
    configs = {name: _config(options, job.samples) for name, options in job.runs.items()}
    shared = next(iter(configs.values()))
    if any(_before_ranges(config) != _before_ranges(shared) for config in configs.values()):
        raise ValueError("expected runs that differ in ranges, rounding and target alone")
    pretrained = load_network(job)
    with open_source(job.calibrate) as source, torch_threads(job.threads):
        start = time.perf_counter()
        equalized, calibrated, _ = equalize_and_calibrate(pretrained, source, shared, Stages())
        common = time.perf_counter() - start
        for name, config in configs.items():
            start = time.perf_counter()
            decided = decide(
                *(equalized, calibrated.collected, pretrained, config),
                fitting=calibrated.kept.fitting,
                held_out=calibrated.kept.held_out,
            )
            folder = job.folder / name
            folder.mkdir()
            quantized = Quantized(network=equalized.network, recipe=decided.recipe)
            write_artifacts(quantized, (ONNX.key,), folder, Stages())
            outcome = OwnOutcome(
                seconds=common + time.perf_counter() - start, peak_rss_bytes=peak_rss_bytes()
            )
            (folder / OUTCOME).write_text(outcome.model_dump_json(), encoding="utf-8")


def _config(options: dict[str, str], samples: int) -> QuantConfig:
    fields = {name.replace("-", "_"): value for name, value in options.items()}
    return QuantConfig.model_validate({**fields, "samples": samples})


def _before_ranges(config: QuantConfig) -> tuple[object, ...]:
    """What decides before any range is chosen."""
    return config.mode, config.equalize, config.seed


def main(path: Path) -> None:
    """Run the job of a file; what goes wrong is told in one line beside it, and by the exit."""
    job = OwnJob.model_validate_json(path.read_bytes())
    with tell(job):
        work(job)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
