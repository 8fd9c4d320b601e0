"""The whole pipeline on a packaged network and images: nothing is downloaded."""

from importlib import resources
from pathlib import Path

from eightbit.benchmarks.report.document import Report
from eightbit.models.digits import LABELS, WEIGHTS_FILE, load_digits_split, write_class_folders
from eightbit.models.doors.pretrained import Pretrained, load_pretrained
from eightbit.models.spec import Architecture
from eightbit.models.torch_state import own_state
from eightbit.quantize.config import Delivery
from eightbit.quantize.pipeline import quantize
from eightbit.quantize.stages import Stages
from eightbit.quantize.staging import scratch


@own_state()
def run_demo(
    out: Path,
    *,
    overwrite: bool = False,
    threads: int | None = None,
    stages: Stages | None = None,
    command: str = "",
) -> Report:
    """Quantize the packaged network for handwritten digits.

    The training digits calibrate, the held-out digits evaluate; both are read from class folders of
    PNG files, like a user's photos. `threads`: None for all usable cores.

    Raises:
        InputError: scikit-learn, which has the images, is not installed, or ``out`` is unusable.
    """
    stages = stages or Stages()
    with scratch() as temporary:
        training, held_out = temporary / "training-digits", temporary / "held-out-digits"
        with stages.stage("write digits"):
            digits = load_digits_split()
            write_class_folders(digits.training.images, digits.training.labels, training)
            write_class_folders(digits.held_out.images, digits.held_out.labels, held_out)
        delivery = Delivery(
            out=out, evaluate=held_out, threads=threads, overwrite=overwrite, command=command
        )
        return quantize(load_digits_network(), training, delivery, stages=stages)


def load_digits_network() -> Pretrained:
    """Load the packaged weights, made by the study `train_digits`."""
    asset = resources.files("eightbit.models") / "assets" / WEIGHTS_FILE
    with resources.as_file(asset) as path:
        return load_pretrained(Architecture.CIFAR_RESNET20, str(path), labels=LABELS)
