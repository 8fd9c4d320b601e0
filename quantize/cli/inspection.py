"""Tables on a file of a bundle: metadata, coverage, recipe."""

from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eightbit.benchmarks.artifact.formats import Format
from eightbit.benchmarks.artifact.metadata import Artifact, open_artifact
from eightbit.benchmarks.artifact.model_input import PREPROCESSED, ModelInput
from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.report.document import CoverageSection
from eightbit.benchmarks.report.figures import outputs
from eightbit.models.doors.pretrained import weight_names
from eightbit.models.networks.architectures import default_preprocessing, parameter_count
from eightbit.models.plain_text import cut, one_line
from eightbit.models.spec import (
    Architecture,
    Interpolation,
    ModelSpec,
    Preprocessing,
    Task,
    size_text,
)
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.audit_process import audit_apart
from eightbit.quantize.recipe.recipe import Recipe, read_recipe
from eightbit.quantize.report_file import check_beside


def describe(path: Path, *, trust: bool = False) -> RenderableType:
    """Metadata, coverage and recipe of an artefact, if it only computes or is trusted; or a recipe.

    Raises:
        InputError: The file is neither, or is damaged.
    """
    if path.suffix.lower() == ".json":
        return _recipe_table(read_recipe(path))
    check_beside(path)
    artifact = open_artifact(path)
    parts = [_artifact_table(artifact)]
    with trusting(trust):
        coverage = audit_apart(path).coverage
    if coverage is not None:
        parts.append(_coverage_table(coverage))
    recipe = _recipe_beside(artifact)
    if recipe is not None:
        parts.append(_recipe_table(recipe))
    return Group(*parts)


def architectures_table() -> RenderableType:
    """The networks that can be quantized, with torchvision's weights for each."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("architecture", "parameters", "input", "torchvision weights"):
        table.add_column(column, justify="right" if column == "parameters" else "left")
    for architecture in Architecture:
        size = default_preprocessing(architecture).crop
        table.add_row(
            architecture,
            f"{parameter_count(architecture) / 1e6:.1f} M",
            f"{size_text(size)} px",
            ", ".join(weight_names(architecture)) or "local files only",
        )
    return table


def _artifact_table(artifact: Artifact) -> Table:
    rows = {
        "runtime": artifact.format.runtime.name,
        "size": f"{artifact.path.stat().st_size:,} bytes",
    }
    metadata = artifact.metadata
    if metadata is None:
        rows["metadata"] = "none: eightbit did not write this file"
    else:
        rows |= {"precision": metadata.precision.value, **_spec_rows(metadata.spec)}
        rows["input"] = _input_text(metadata.input, artifact.format)
        if metadata.engine is not None:
            rows["engine"] = metadata.engine
        if metadata.recipe_sha256 is not None:
            rows["recipe"] = metadata.recipe_sha256
        rows["built by"] = ", ".join(f"{name} {v}" for name, v in metadata.versions.items())
    return _key_table(artifact.path.name, rows)


def _input_text(taken: ModelInput, format: Format) -> str:
    what = "preprocessed images" if taken == PREPROCESSED else "RGB pixels, normalised inside"
    layout = "NHWC" if format.channels_last else taken.layout
    return f"{taken.dtype} {layout}, {what}"


def _spec_rows(spec: ModelSpec) -> dict[str, str]:
    preprocessing = spec.preprocessing
    labels = (
        f" ({', '.join(one_line(label, 40) for label in spec.labels[:3])}, ...)"
        if spec.labels
        else ", names not known"
    )
    answers = {"classes": f"{spec.num_classes}{labels}"}
    if spec.task is not Task.SINGLE_LABEL:
        answers = {"outputs": f"{outputs(spec)}{'' if spec.task is Task.BINARY else labels}"}
    return {
        "architecture": str(spec.architecture),
        **answers,
        "preprocessing": f"{preprocessing.decoding}{preprocessing.resized}"
        f"{_kernel(preprocessing)}, centre {size_text(preprocessing.crop)} px, "
        f"mean {preprocessing.mean}, std {preprocessing.std}",
    }


def _kernel(preprocessing: Preprocessing) -> str:
    """How the image is resized, where that is not the usual way."""
    usual = preprocessing.interpolation is Interpolation.BILINEAR
    return "" if usual else f" ({preprocessing.interpolation})"


def _coverage_table(coverage: CoverageSection) -> Table:
    rows = {name: f"{kind.quantized} of {kind.total}" for name, kind in coverage.kinds.items()}
    return _key_table("computes in integers", rows)


def _recipe_beside(artifact: Artifact) -> Recipe | None:
    """The recipe of an artefact, if it is in the same folder."""
    path = artifact.path.parent / bundle.RECIPE
    wanted = artifact.metadata.recipe_sha256 if artifact.metadata else None
    if wanted is None or not path.is_file():
        return None
    recipe = read_recipe(path)
    return recipe if recipe.sha256 == wanted else None


def _recipe_table(recipe: Recipe) -> Table:
    config, decided, origin = recipe.config, recipe.decided, recipe.provenance
    scales = [params.scale[0] for params in recipe.activations.values()]
    channels = sum(len(layer.bias) for layer in recipe.layers.values())
    rows = {
        "digest": recipe.sha256,
        "weights": f"{origin.weights} (SHA-256 {origin.weights_sha256[:12]}...)",
        **({"weights read": "; ".join(origin.weights_notes)} if origin.weights_notes else {}),
        "intent": f"{config.method} ranges, {config.mode} front end, seed {config.seed}",
        "decided": f"{decided.method} ranges, {decided.rounding} rounding, biases "
        f"{'corrected' if decided.bias_correction else 'as they were'}",
        "calibrated on": f"{origin.images} images, {origin.threads} threads",
        "activations": f"{len(scales)} tensors, scales {min(scales):.3g} to {max(scales):.3g}"
        if scales
        else "none quantized",
        "weights in int8": f"{len(recipe.layers)} layers, {channels:,} output channels",
        "channels rescaled": f"of {len(recipe.exponents)} layers",
        "roundings learned": f"of {len(recipe.tables.rounding)} layers",
        "layers in float": ", ".join(recipe.float_layers) or "none",
        "output": f"{recipe.output}, one last bit is {recipe.output_scale:.4g}",
    }
    return _key_table("recipe", rows)


def _key_table(title: str, rows: dict[str, str]) -> Table:
    table = Table(
        box=box.SIMPLE, show_header=False, title=Text(cut(title, 200)), title_justify="left"
    )
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for key, value in rows.items():
        table.add_row(key, Text(cut(value, 1000)))
    return table
