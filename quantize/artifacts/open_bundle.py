"""TODO docstring."""

from pathlib import Path

from eightbit.benchmarks.artifact.artifact import ArtifactMetadata, read_metadata
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.write import ENGINES
from eightbit.quantize.recipe.recipe import Recipe, read_recipe


def recipe_of(folder: Path) -> Recipe:
    """The recipe of a bundle whose artefacts belong to it.

    Raises:
        InputError: The folder is no bundle, or an artefact is of another recipe.
    """
    if not (folder / bundle.FLOAT_ONNX).is_file():
        raise InputError(
            f"{folder}: expected a folder that `eightbit quantize` wrote, found no "
            f"{bundle.FLOAT_ONNX} in it"
        )
    recipe = read_recipe(folder / bundle.RECIPE)
    for name in (bundle.TORCHSCRIPT, bundle.ONNX):
        metadata = read_metadata(folder / name) if (folder / name).exists() else None
        if metadata is not None:
            _check_artefact(metadata, recipe, printable(str(folder / name)))
    return recipe


def _check_artefact(metadata: ArtifactMetadata, recipe: Recipe, where: str) -> None:
    """Refuse an artefact that says something else than its recipe.

    Raises:
        InputError: It is of another recipe, network or input, or for another engine.
    """
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
