"""OpenCV's dnn module, with its default engine."""

from pathlib import Path

from eightbit.benchmarks.runtimes.others.runner import OtherRunner, imported
from eightbit.benchmarks.runtimes.runner import AnyArray


class OpenCvRunner(OtherRunner):
    """See `OtherRunner`."""

    name = "OpenCV"

    def load(self, path: Path, threads: int) -> None:
        """Reads the graph."""
        (cv2,) = imported("cv2")
        cv2.setNumThreads(threads)
        self._network = cv2.dnn.readNetFromONNX(str(path))

    def run(self, batch: AnyArray) -> AnyArray:
        """One forward pass; its result lies in the network's own memory."""
        self._network.setInput(batch)
        logits: AnyArray = self._network.forward().copy()
        return logits
