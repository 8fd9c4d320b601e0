"""The observer behind every tensor that will be rounded."""

import torch
from torch import nn

from eightbit.calibration.accumulator import Accumulator
from eightbit.calibration.statistics import TensorStatistics


class ActivationObserver(nn.Module):
    """Streams one activation into statistics, and never changes it.

    Attributes:
        expected: How many leading images of the next tensor are real; the rest pads the batch to
            its fixed size and is ignored. 0: the next tensor is not looked at.
        name: Name of the tensor, for messages.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expected = 0
        self.name = "an activation"
        self._seen = Accumulator()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Observe ``x`` if it is expected: float32, shape (N, C, H, W) or (N, C); returns it.

        torch's front ends call the same observer again behind pooling, whose output shares the
        scale of its input, and in eager mode twice behind a fused ReLU: only the first tensor
        counts.

        Raises:
            ValueError: ``x`` holds a NaN or an infinity.
        """
        if self.expected:
            try:
                self._seen.add(x.detach()[: self.expected])
            except ValueError as exc:
                raise ValueError(f"{self.name}: {exc}") from exc
            self.expected = 0
        return x

    def forget(self) -> None:
        """Begin anew, as if nothing had been observed."""
        self._seen = Accumulator()

    def statistics(self) -> TensorStatistics:
        """Statistics so far.

        Raises:
            ValueError: Nothing was observed.
        """
        statistics = self._seen.statistics()
        if statistics is None:
            raise ValueError(f"{self.name}: expected to be observed, but no tensor came by")
        return statistics
