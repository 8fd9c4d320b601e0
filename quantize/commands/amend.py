"""The report of a bundle on disk, amended by what a later command found out."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.runtimes.environment import Environment, read_environment
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.commands.reports import replace_report, report_file
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.stale import onnx_digest, without_stale


@dataclass(frozen=True, kw_only=True)
class Amending:
    """A bundle whose report a command will amend.

    Attributes:
        folder: The bundle.
        recipe: Its recipe.
        stages: For a new report.
        command: The command line.
    """

    folder: Path
    recipe: Recipe
    stages: Stages
    command: str

    def begin(self) -> Report:
        """The report as it is; what would fail in the end is refused before the work.

        Raises:
            InputError: The report is damaged, or of another recipe, or cannot be replaced.
        """
        report = self._report()
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise InputError(
                f"{printable(str(self.folder))}: the report cannot be written: the folder is "
                "read-only; make the folder writable, or copy the bundle elsewhere"
            )
        return report

    def finish(self, change: Callable[[Report], Report]) -> Report:
        """Replace the report by an amended one.

        It is read once more, while no other command amends it: of two that ran at the same time,
        both leave what they found.

        Args:
            change: Makes the new report of the one that lies in the bundle.

        Raises:
            InputError: As in `begin`.
        """
        with self._alone():
            report = change(self._report())
            replace_report(report, self.folder)
        return report

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other command amends this bundle; ends with the process at the latest."""
        with ExitStack() as stack:
            try:
                opened = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, opened)
                fcntl.flock(opened, fcntl.LOCK_EX)
            except OSError as exc:
                # Of a file system without locks, say: what was found out is worth more.
                self.stages.watcher.tell(
                    f"{printable(str(self.folder))}: cannot be locked: {exc.strerror}; measure "
                    "this bundle with one command at a time"
                )
            yield

    def _report(self) -> Report:
        """The report that lies in the bundle, or a new one without any finding.

        What it says of another ONNX model than the bundle's is left out.
        """
        path = self.folder / bundle.REPORT_JSON
        if not os.path.lexists(path):
            return make_report(self.recipe, self.stages, command=self.command, folder=self.folder)
        report = read_report(report_file(path))
        if report.recipe_sha256 != self.recipe.sha256:
            raise InputError(
                f"{printable(str(path))}: expected the report of the {bundle.RECIPE} beside it, "
                "found one of another recipe; keep the files of one run together, or delete the "
                "report"
            )
        return without_stale(report, onnx_digest(self.folder))


def environment_beside(report: Report) -> Environment | None:
    """Where this runs, if that is not where the report's own run was; else None."""
    here = read_environment()
    return None if report.environment == here else here
