"""Amends the report of a bundle on disk with a later command's results."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from eightbit.benchmarks.report.document import Report
from eightbit.quantize.artifacts.open_bundle import Bundle
from eightbit.quantize.atomic_files import locked_folder
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
        folder = self.bundle.folder
        with writing_report(folder), locked_folder(folder, self.stages.watcher.tell):
            report = change(self._report())
            replace_report(report, folder)
        return report

    def _report(self) -> Report:
        """The report in the bundle, or a new one without results."""
        report = self.bundle.read_report()
        if report is not None:
            return report
        recipe, folder = self.bundle.recipe, self.bundle.folder
        return make_report(recipe, self.stages, command=self.command, folder=folder)
