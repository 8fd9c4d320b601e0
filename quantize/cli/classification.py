"""Classification of image files, by the preprocessing and labels of an artefact's metadata."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.artifact.metadata import open_artifact
from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.runner import FloatArray, check_finite
from eightbit.models.bounded_files import read_bounded
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.preprocessing import decode_for, preprocess
from eightbit.models.images.storage import MAX_FILE_BYTES
from eightbit.models.plain_text import printable
from eightbit.models.spec import ModelSpec, Task
from eightbit.models.torch_state import own_state
from eightbit.quantize.report_file import check_beside


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What a model says of one class, or of one output of a regression.

    Attributes:
        index: Of the class or output; of a binary classifier 1 for yes and 0 for no.
        label: Its name, the index as text if unknown.
        value: The logit, or the number; of the negative class of a binary classifier the negated.
        probability: 0 to 1, by softmax, or by the sigmoid where each logit is a decision of its
            own; None for a regression.
        chosen: Whether this class is the answer, or one of those of a multi-label classifier;
            False for a regression.
    """

    index: int
    label: str
    value: float
    probability: float | None
    chosen: bool


def classify(
    artifact: Path, images: Sequence[Path], *, threads: int, top: int = 5, trust: bool = False
) -> Iterator[tuple[Path, tuple[Guess, ...]]]:
    """Classify image files with an artefact (.onnx or .pt), one at a time.

    `top` limits the classes per image; equal logits rank by class index. A TorchScript file may
    compute and nothing else, unless it is trusted.

    Yields:
        Each image with its classes, the most probable first; of a binary classifier the chosen one
        first. Of a regression all its numbers, in their order.

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
                guesses = _guesses(logits[0], spec, top)
            yield path, guesses


def _pixels(path: Path, spec: ModelSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    try:
        content = read_bounded(path, MAX_FILE_BYTES, "an image")
        return preprocess(decode_for(content, spec.preprocessing), spec.preprocessing)
    except UnusableImage as exc:
        raise InputError(f"{printable(str(path))}: expected an image, found: {exc}") from exc


def _guesses(logits: FloatArray, spec: ModelSpec, top: int) -> tuple[Guess, ...]:
    """The answer to one image, float32 of shape (outputs,)."""
    head, batch = Head.of(spec), logits[None]
    values = logits.astype(np.float64)
    if head.task is Task.REGRESSION:
        order, probabilities = np.arange(len(values)), None
        chosen: frozenset[int] = frozenset()
    else:
        decisions, probabilities = head.decisions(batch)[0], head.probabilities(batch)[0]
        if head.task is Task.BINARY:
            values = np.append(-values, values)
            probabilities = np.append(1 - probabilities, probabilities)
        several = head.task is Task.MULTI_LABEL
        chosen = frozenset(np.flatnonzero(decisions).tolist() if several else decisions.tolist())
        # A stable sort of the negated logits: the lowest index of equals comes first.
        order = np.argsort(-values, kind="stable")
        if head.task is Task.BINARY:
            order = np.array([decisions[0], 1 - decisions[0]])
        order = order[:top]
    return tuple(
        Guess(
            index=index,
            label=spec.labels[index] if spec.labels else str(index),
            value=float(values[index]),
            probability=None if probabilities is None else float(probabilities[index]),
            chosen=index in chosen,
        )
        for index in order.tolist()
    )
