"""Classification of image files, by the preprocessing and labels of an artefact's metadata."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eightbit.benchmarks.artifact.metadata import open_artifact
from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.runner import check_finite
from eightbit.models.bounded_files import read_bounded
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import preprocess
from eightbit.models.images.storage import MAX_FILE_BYTES
from eightbit.models.plain_text import printable
from eightbit.models.spec import ModelSpec
from eightbit.models.torch_state import own_state
from eightbit.quantize.report_file import check_beside


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A class with its label (the index as text if unknown) and softmax probability, 0 to 1."""

    index: int
    label: str
    probability: float


def classify(
    artifact: Path, images: Sequence[Path], *, threads: int, top: int = 5, trust: bool = False
) -> Iterator[tuple[Path, tuple[Guess, ...]]]:
    """Classify image files with an artefact (.onnx or .pt), one at a time.

    `top` limits the classes per image; equal logits rank by class index. A TorchScript file may
    compute and nothing else, unless it is trusted.

    Yields:
        Each image with its classes, the most probable first.

    Raises:
        InputError: The artefact cannot be loaded, has no metadata, or gives a non-finite logit; or
            an image cannot be used.
    """
    check_beside(artifact)
    metadata = open_artifact(artifact).metadata
    if metadata is None:
        raise InputError(
            f"{artifact}: expected an artefact with its preprocessing inside, found a model "
            "without eightbit metadata"
        )
    spec = metadata.spec
    with ExitStack() as stack:
        with trusting(trust):  # not where it yields: the caller's context is its own
            runner = stack.enter_context(IsolatedRunner(artifact, threads=threads))
        for path in images:
            with own_state():  # not around `yield`, where the caller's own code runs
                logits = runner(_pixels(path, spec)[None])
                check_finite(logits, where=str(path))
                guesses = _guesses(logits[0].astype(np.float64), spec, top)
            yield path, guesses


def _pixels(path: Path, spec: ModelSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    try:
        content = read_bounded(path, MAX_FILE_BYTES, "an image")
        return preprocess(decode_image(content), spec.preprocessing)
    except UnusableImage as exc:
        raise InputError(f"{printable(str(path))}: expected an image, found: {exc}") from exc


def _guesses(
    logits: np.ndarray[tuple[int, ...], np.dtype[np.float64]], spec: ModelSpec, top: int
) -> tuple[Guess, ...]:
    weights = np.exp(logits - logits.max())
    probabilities = weights / weights.sum()
    # A stable sort of the negated logits: the lowest index of equals comes first.
    order = np.argsort(-logits, kind="stable")[:top]
    return tuple(
        Guess(
            index=int(index),
            label=spec.labels[index] if spec.labels else str(index),
            probability=float(probabilities[index]),
        )
        for index in order
    )
