"""The report of a bundle on disk, amended by what a later command found out."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import VERSUS
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.document import Report, VerificationSection, read_report
from eightbit.benchmarks.runtimes.environment import Environment, read_environment
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.commands.reports import replace_report, report_file, writing_report
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages

# What a report says of an ONNX model that has been replaced since, and so says of nothing.


def onnx_digest(folder: Path) -> str | None:
    """SHA-256 of a bundle's INT8 ONNX model; None where it has none."""
    path = folder / bundle.ONNX
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def without_stale(report: Report, model_sha256: str | None) -> Report:
    """The report without its archive, and without what other machines answered, of another model.

    Args:
        report: Of a bundle.
        model_sha256: Digest of its INT8 ONNX model; None where it has none.
    """
    edge = report.edge
    if edge is None:
        return report
    stale = {one.name for one in edge.elsewhere if one.model_sha256 != model_sha256}
    elsewhere = tuple(one for one in edge.elsewhere if one.name not in stale)
    if edge.model_sha256 not in (None, model_sha256):
        edge = EdgeSection()
    gone = {check_name(name) for name in stale}
    pairs = {pair: found for pair, found in report.parity.items() if _first(pair) not in stale}
    edge = edge.model_copy(update={"elsewhere": elsewhere})
    return report.model_copy(
        update={
            "edge": None if edge == EdgeSection() else edge,
            "parity": pairs,
            "verification": _without_checks(report.verification, gone),
        }
    )


def pairs_elsewhere(report: Report) -> dict[str, ParityResult]:
    """The pairs of `parity` that only another machine can measure."""
    names = {one.name for one in report.edge.elsewhere} if report.edge else set()
    return {pair: result for pair, result in report.parity.items() if _first(pair) in names}


def check_name(name: str) -> str:
    """What the check of an execution elsewhere is called."""
    return f"{name}: the self-test gives the same"


def _without_checks(
    known: VerificationSection | None, gone: set[str]
) -> VerificationSection | None:
    """The verification without some checks; None where no check is left."""
    if known is None or not any(check.name in gone for check in known.checks):
        return known
    checks = tuple(check for check in known.checks if check.name not in gone)
    if not checks:
        return None
    passed = all(check.passed for check in checks)
    return VerificationSection(images=known.images, passed=passed, checks=checks)


def _first(pair: str) -> str:
    return pair.partition(VERSUS)[0]


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
        with writing_report(self.folder):
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise OSError(errno.EACCES, "the folder is read-only")
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
