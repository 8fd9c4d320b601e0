"""A made-up format, as a third one would be added: a row, a runner and a writer.

An ONNX model, compressed. As a program it is the command line, which can write it.
"""

import gzip
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from eightbit.benchmarks.artifact.formats import FORMATS, ONNX, Format, Runtime


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(suffix=ONNX.suffix) as file:
        file.write(gzip.decompress(path.read_bytes()))
        file.flush()
        yield Path(file.name)


class BoxedRunner:
    def __init__(self, path: Path, threads: int) -> None:
        from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner

        with opened(path) as model:
            self._runner = OnnxRunner(model, threads)
        self.feed = self._runner.feed

    def __call__(self, batch):
        return self._runner(batch)


def read_document(path: Path, where: str) -> bytes | None:
    with opened(path) as model:
        return ONNX.read_document(model, where)


def write_boxed(quantized, path: Path) -> int:
    from eightbit.quantize.artifacts.write import write_onnx

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, ONNX.file())
        memory = write_onnx(quantized, model)
        path.write_bytes(gzip.compress(model.read_bytes(), mtime=0))
    return memory


def add_row() -> None:
    FORMATS["boxed"] = Format(
        key="boxed",
        name="Boxed",
        suffix=".box",
        runtimes=(Runtime(name="boxer", word="boxed", runner="boxed:BoxedRunner"),),
        read_document=read_document,
    )


def main() -> int:
    from eightbit.benchmarks.latency import launches
    from eightbit.quantize import pipeline
    from eightbit.quantize.artifacts.write import WRITERS
    from eightbit.quantize.cli import entry

    WRITERS["boxed"] = write_boxed
    # Only what is quick: latency takes half a minute.
    launches._WARM_UP_SECONDS = 0.0
    least = launches.Effort(launches=1, rounds=1, seconds=0.05)
    pipeline.time_bundle = partial(pipeline.time_bundle, effort=least)
    return entry.main(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
