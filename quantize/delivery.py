"""What a run shall leave behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eightbit.models.errors import InputError
from eightbit.quantize.config import ArtifactFormat
from eightbit.quantize.threads import usable_cores


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a run shall leave behind, and on which images it shall be measured.

    Attributes:
        out: Folder for the artefacts and the report.
        evaluate: Images to measure accuracy on; None to verify only.
        image_labels: Label by name of the image, for evaluation images without class folders.
        formats: Which INT8 artefacts to write.
        threads: Threads for everything, at least 1; None for all cores that may be used.
        max_drop_pp: Largest top-1 drop in percentage points with which the gate is passed.
        overwrite: Whether files of an earlier run in ``out`` may be replaced.
        command: The command line that does the same again, for the report.

    Raises:
        InputError: The values contradict each other.
    """

    out: Path
    evaluate: Path | None = None
    image_labels: Mapping[str, str] | None = None
    formats: tuple[ArtifactFormat, ...] = tuple(ArtifactFormat)
    threads: int | None = None
    max_drop_pp: float | None = None
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if not self.formats:
            raise InputError(f"formats: expected at least one of {', '.join(ArtifactFormat)}")
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads: expected at least 1, found {self.threads}")
        if self.max_drop_pp is not None and self.evaluate is None:
            raise InputError(
                "max drop: expected images to measure the drop on, found none; give --evaluate"
            )

    @property
    def thread_count(self) -> int:
        """Threads, with the default filled in."""
        return self.threads or usable_cores()
