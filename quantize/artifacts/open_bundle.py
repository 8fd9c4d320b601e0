"""A bundle on disk, opened by a later command: its recipe, its artefacts, its report."""

import os
from dataclasses import dataclass
from pathlib import Path

from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, file_sha256, read_metadata
from eightbit.benchmarks.report.document import Report
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.write import ENGINES
from eightbit.quantize.atomic_files import settle
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe, read_recipe
from eightbit.quantize.report_file import read_checked_report


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A folder that `eightbit quantize` wrote, with the artefacts' recipe; see `open_bundle`."""

    folder: Path
    recipe: Recipe

    @property
    def onnx(self) -> Path | None:
        """The INT8 ONNX model; None where there is none."""
        path = self.folder / bundle.ONNX
        return path if path.is_file() else None

    @property
    def float_onnx(self) -> Path:
        """The float ONNX model."""
        return self.folder / bundle.FLOAT_ONNX

    def require_onnx(self) -> Path:
        """The INT8 ONNX model.

        Raises:
            InputError: There is none.
        """
        if self.onnx is None:
            raise InputError(
                f"{printable(str(self.folder))}: expected the INT8 model as ONNX, found no "
                f"{bundle.ONNX}; quantize again with --formats onnx"
            )
        return self.onnx

    def read_quantized(self) -> Quantized:
        """The float network, with the weights of the float ONNX model, and the recipe.

        Raises:
            InputError: That model is not one of this network, or the recipe is not for it.
        """
        network = read_float_network(self.float_onnx, self.recipe)
        return Quantized(network=network, recipe=self.recipe)

    def read_report(self) -> Report | None:
        """The report without results of another INT8 ONNX model; None if missing.

        Raises:
            InputError: It is damaged, or of another recipe or other files.
        """
        path = self.folder / bundle.REPORT_JSON
        if not os.path.lexists(path):
            return None
        report = read_checked_report(path)
        if report.recipe_sha256 != self.recipe.sha256:
            raise InputError(
                f"{printable(str(path))}: expected the report of the {bundle.RECIPE} beside it, "
                "found one of another recipe; keep the files of one run together, or delete the "
                "report"
            )
        return report.without_stale(None if self.onnx is None else file_sha256(self.onnx))


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle whose artefacts belong to its recipe and to its report, if there is one.

    Raises:
        InputError: The folder is no bundle, or an artefact is of another recipe, or the report is
            damaged or of other files.
    """
    settle(folder)
    if not (folder / bundle.FLOAT_ONNX).is_file():
        raise InputError(
            f"{folder}: expected a folder that `eightbit quantize` wrote, found no "
            f"{bundle.FLOAT_ONNX} in it"
        )
    recipe = read_recipe(folder / bundle.RECIPE)
    for format in FORMATS.values():
        path = folder / format.file()
        metadata = read_metadata(path) if path.exists() else None
        if metadata is not None:
            _check_artefact(metadata, recipe, printable(str(path)))
    opened = Bundle(folder=folder, recipe=recipe)
    opened.read_report()
    return opened


def metadata_of(path: Path) -> ArtifactMetadata:
    """The metadata of a bundle's model.

    Raises:
        InputError: There is none.
    """
    metadata = read_metadata(path)
    if metadata is None:
        raise InputError(
            f"{printable(str(path))}: expected an artefact with its preprocessing inside, found a "
            "model without eightbit metadata; quantize again"
        )
    return metadata


def _check_artefact(metadata: ArtifactMetadata, recipe: Recipe, where: str) -> None:
    """Refuse an artefact of another recipe, network, input or engine."""
    if metadata.recipe_sha256 != recipe.sha256:
        raise InputError(
            f"{where}: expected an artefact of the {bundle.RECIPE} beside it, found one of another "
            "recipe; quantize again, or keep the files of one run together"
        )
    if (metadata.spec, metadata.input.name) != (recipe.spec, recipe.config.input):
        raise InputError(
            f"{where}: expected the preprocessing, the classes and the input of the "
            f"{bundle.RECIPE} beside it, found others; do not trust this file: quantize again"
        )
    engines = ENGINES[recipe.config.target]
    if metadata.engine is not None and metadata.engine not in engines:
        raise InputError(
            f"{where}: expected torch's quantized engine {' or '.join(engines)}, as its recipe is "
            f"for {recipe.config.target}, found {printable(metadata.engine)}; quantize again"
        )
