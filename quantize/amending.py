"""The report of a bundle on disk, amended by what a later command found out."""

import os
import tempfile
from pathlib import Path

from eightbit.benchmarks.environment import Environment, read_environment
from eightbit.benchmarks.report import Report, read_report
from eightbit.models.errors import InputError
from eightbit.quantize import bundle
from eightbit.quantize.recipe import Recipe
from eightbit.quantize.reporting import make_report, write_report
from eightbit.quantize.stages import Stages


def report_of(folder: Path, recipe: Recipe, stages: Stages, command: str) -> Report:
    """The report that lies in a bundle, or a new one without any finding where there is none.

    Args:
        folder: The bundle.
        recipe: Its recipe.
        stages: For a new report.
        command: The command line, for a new report.

    Raises:
        InputError: The report is damaged, or of another recipe.
    """
    if not (folder / bundle.REPORT_JSON).exists():
        return make_report(recipe, stages, command=command, folder=folder)
    report = read_report(folder / bundle.REPORT_JSON)
    if report.recipe_sha256 != recipe.sha256:
        raise InputError(
            f"{folder / bundle.REPORT_JSON}: expected the report of the {bundle.RECIPE} beside it, "
            "found one of another recipe; keep the files of one run together, or delete the report"
        )
    return report


def environment_beside(report: Report) -> Environment | None:
    """Where this runs, if that is not where the report's own run was; else None."""
    here = read_environment()
    return None if report.environment == here else here


def replace_report(report: Report, folder: Path) -> None:
    """Replace a bundle's report, each of its files at once: a killed run leaves whole ones.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".report.", dir=folder) as staging:
            for path in write_report(report, Path(staging)):
                os.replace(path, folder / path.name)
    except OSError as exc:
        raise InputError(
            f"{folder}: the report cannot be written: {exc.strerror}; make the folder writable, or "
            "copy the bundle elsewhere"
        ) from exc
