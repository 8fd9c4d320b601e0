"""Amends the report of a bundle on disk with a later command's results."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from eightbit.benchmarks.report.document import Report
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize.artifacts.open_bundle import Bundle
from eightbit.quantize.bundle import RECIPE, REPORT_JSON
from eightbit.quantize.commands.reports import replace_report, writing_report
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.stages import Stages


@dataclass(frozen=True, kw_only=True)
class Amending:
    """A bundle whose report a command will amend; `stages` and `command` are for a new report."""

    bundle: Bundle
    stages: Stages
    command: str

    def begin(self) -> Report:
        """The current report; what would fail in the end is refused before the work.

        Raises:
            InputError: The report is damaged, or of another recipe, or cannot be replaced.
        """
        report = self._report()
        folder = self.bundle.folder
        with writing_report(folder):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, "the folder is read-only")
        return report

    def finish(self, change: Callable[[Report], Report]) -> Report:
        """Replace the report by ``change(report)``.

        It is read again under a lock, so that commands running at the same time keep each other's
        results.

        Raises:
            InputError: As in `begin`.
        """
        with self._alone():
            report = change(self._report())
            replace_report(report, self.bundle.folder)
        return report

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold a lock on the bundle; the OS releases it if the process dies."""
        folder = self.bundle.folder
        with ExitStack() as stack:
            try:
                opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, opened)
                fcntl.flock(opened, fcntl.LOCK_EX)
            except OSError as exc:
                # Of a file system without locks, say: what was found out is worth more.
                self.stages.watcher.tell(
                    f"{printable(str(folder))}: cannot be locked: {exc.strerror}; measure "
                    "this bundle with one command at a time"
                )
            yield

    def _report(self) -> Report:
        """The report in the bundle, or a new one without results."""
        report, path = self.bundle.read_report(), self.bundle.folder / REPORT_JSON
        if report is not None:
            return report
        if os.path.lexists(path):
            raise InputError(
                f"{printable(str(path))}: expected the report of the {RECIPE} beside it, "
                "found one of another recipe; keep the files of one run together, or delete the "
                "report"
            )
        recipe, folder = self.bundle.recipe, self.bundle.folder
        return make_report(recipe, self.stages, command=self.command, folder=folder)
