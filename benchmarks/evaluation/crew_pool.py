"""Several models on all images of a source, shared out over the workers of an `Executor`."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.onnx_file import read_by_parent
from eightbit.benchmarks.evaluation.pool import PredictionPool
from eightbit.benchmarks.evaluation.prediction import Answer, ChunkItems
from eightbit.benchmarks.evaluation.predictor import ChunkDecoder, Predictor
from eightbit.benchmarks.processes.crew import Executor, Task
from eightbit.benchmarks.processes.process import Closing
from eightbit.models.errors import UnusableImage
from eightbit.models.images.sources import ImageItem, ImageSource
from eightbit.models.plain_text import printable
from eightbit.models.spec import Preprocessing


@dataclass(frozen=True, kw_only=True)
class ChunkFiles:
    """What a worker is given: the number of a chunk, and each image's file or why there is none."""

    chunk: int
    files: tuple[bytes | str, ...]


@dataclass(frozen=True, kw_only=True)
class OpenModels:
    """What a worker does first: models that came as bytes, by name of their file, are opened."""

    models: tuple[tuple[str, bytes], ...]
    preprocessing: Preprocessing
    threads: int

    def __call__(self) -> "_Serving":
        """Open them; the files are gone once they are loaded."""
        read_by_parent()
        with tempfile.TemporaryDirectory(prefix="eightbit-") as folder:
            paths = []
            for number, (name, content) in enumerate(self.models):
                path = Path(folder, str(number), name)
                path.parent.mkdir()
                path.write_bytes(content)
                paths.append(path)
            predictor = Predictor(paths, self.threads)
        decoder = ChunkDecoder(preprocessing=self.preprocessing, inputs=predictor.inputs)
        return _Serving(predictor, decoder)


class _Serving:
    """Chunk after chunk, in a worker."""

    def __init__(self, predictor: Predictor, decoder: ChunkDecoder) -> None:
        self._predictor, self._decoder = predictor, decoder

    def __call__(self, given: ChunkFiles) -> Answer:
        for file in given.files:
            self._decoder.add(*((file,) if isinstance(file, bytes) else (None, file)))
        answer = self._predictor.answer(self._decoder.prepared(given.chunk))
        # Views of arrays do not travel.
        return Answer(message=answer.message, pieces=[bytes(piece) for piece in answer.pieces])


class CrewPool(Closing):
    """The same as a `PredictionPool`, of an executor's workers; it may serve several `predict`.

    Args:
        models: The model files, by name; their bytes go to every worker once.
        preprocessing: How an image becomes their input.
        executor: Has the workers.
        chunks: How many chunks there are to run: no more workers are started.

    Attributes:
        peak_rss_bytes: Highest resident memory that a worker reported.

    Raises:
        InputError: A file is no model.
    """

    def __init__(
        self,
        models: Mapping[str, Path],
        preprocessing: Preprocessing,
        *,
        executor: Executor,
        chunks: int,
    ) -> None:
        for path in models.values():
            read_metadata(path)  # refuses what no worker should be handed
        self.peak_rss_bytes = 0
        opening = OpenModels(
            models=tuple((path.name, path.read_bytes()) for path in models.values()),
            preprocessing=preprocessing,
            threads=executor.threads,
        )
        where = printable(", ".join(path.name for path in models.values()))
        self._crew = executor.crew(opening, most=chunks, where=where)

    def predict(
        self, source: ImageSource, chunks: Sequence[ChunkItems], *, start: int = 0
    ) -> Iterator[Answer]:
        """What the models answer, from chunk `start` on, in order; see `PredictionPool.predict`.

        Raises:
            InputError: A model cannot be loaded or cannot run the images, or a chunk ended three
                workers.
            WorkerCrashError: There are no workers.
        """
        tasks = (_task(source, index, chunks[index]) for index in range(start, len(chunks)))
        for answer in self._crew.map(tasks):
            self.peak_rss_bytes = max(self.peak_rss_bytes, answer.message.peak_rss_bytes)
            yield answer

    def close(self) -> None:
        """Ends the workers; may be called again."""
        self._crew.close()


AnyPool: TypeAlias = PredictionPool | CrewPool


def open_pool(
    models: Mapping[str, Path],
    preprocessing: Preprocessing,
    *,
    threads: int,
    chunks: int,
    executor: Executor | None = None,
) -> AnyPool:
    """Processes of this machine that share so many threads, or an executor's workers.

    Raises:
        InputError: A model cannot be loaded.
        WorkerCrashError: A process died while it loaded the models.
    """
    if executor is None:
        return PredictionPool(models, preprocessing, threads=threads, chunks=chunks)
    return CrewPool(models, preprocessing, executor=executor, chunks=chunks)


def _task(source: ImageSource, index: int, items: ChunkItems) -> Task[ChunkFiles]:
    return Task(
        content=ChunkFiles(chunk=index, files=tuple(_file(source, item) for item in items)),
        named=f"images {items[0].name} to {items[-1].name}",
    )


def _file(source: ImageSource, item: ImageItem) -> bytes | str:
    try:
        return source.read(item)
    except UnusableImage as exc:
        return str(exc)
