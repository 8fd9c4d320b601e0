"""What is asked of a network besides its source."""

from dataclasses import dataclass

from eightbit.models.doors.pretrained import CHANGEABLE, changed, check_scale
from eightbit.models.spec import (
    EVEN,
    ChannelOrder,
    Decode,
    Interpolation,
    Preprocessing,
    Size,
    Task,
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is known of a network besides its source; None for what its door finds.

    Attributes:
        weights: A name that the door knows, or the path of a file.
        weights_key: Which weights of the file.
        labels: One name per class.
        task: What the outputs mean.
        threshold: Probability above which a binary or multi-label classifier says yes.
        preprocessing: The whole of it.
        resize: A field of it, as are the next six.
        crop: Likewise.
        squash: Likewise.
        interpolation: Likewise.
        mean: Likewise.
        std: Likewise.
        decode: Likewise.
        channels: What the network was trained on.
        progress: Whether a download shows a bar on stderr.
    """

    weights: str | None = None
    weights_key: str | None = None
    labels: tuple[str, ...] | None = None
    task: Task | None = None
    threshold: float = EVEN
    preprocessing: Preprocessing | None = None
    resize: Size | None = None
    crop: Size | None = None
    squash: bool | None = None
    interpolation: Interpolation | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    decode: Decode | None = None
    channels: ChannelOrder | None = None
    progress: bool = True

    def prepared(self, known: Preprocessing) -> Preprocessing:
        """The preprocessing: what is said of it, and otherwise what is known.

        Raises:
            InputError: A field is out of range.
        """
        check_scale(self.mean, self.std)
        values = (getattr(self, name) for name in CHANGEABLE)
        return changed(self.preprocessing or known, *values)
