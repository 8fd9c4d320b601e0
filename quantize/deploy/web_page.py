"""A folder that any web server can hand out: a page that runs the model in the browser."""

from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.artifact import ArtifactMetadata, read_metadata
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.report.figures import counted, decimal_bytes
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle, web_content
from eightbit.quantize.commands.benchmark import recipe_of
from eightbit.quantize.deploy.npm import RUNTIME_FILES, runtime_files
from eightbit.quantize.deploy.self_test import SELF_TEST_PICTURES, make_self_test
from eightbit.quantize.page_folder import check_page_target, write_page_folder
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages

# Everything that any page of this program holds: a folder with anything else is not replaced.
_KNOWN: Final = frozenset(
    {
        *(*web_content.STATIC, *RUNTIME_FILES, bundle.ONNX, bundle.FLOAT_ONNX),
        *(web_content.INDEX, web_content.DESCRIPTION, web_content.MANIFEST),
        *(web_content.SERVICE_WORKER, web_content.FILE_LIST, web_content.SELF_TEST),
        *(f"self_test/{number}.png" for number in range(SELF_TEST_PICTURES)),
    }
)


def write_web_page(
    folder: Path, out: Path, stages: Stages, *, with_float: bool, overwrite: bool
) -> str:
    """Write a page that runs a bundle's INT8 ONNX model; the same bundle gives the same bytes.

    Args:
        folder: The bundle.
        out: Folder for the page.
        stages: Told of the progress.
        with_float: Whether the float model goes with it, to compare with.
        overwrite: Whether a page in ``out`` may be replaced.

    Returns:
        What was written and how to look at it, for the user.

    Raises:
        InputError: The folder is no bundle or has no ONNX model, the runtime cannot be fetched, or
            ``out`` cannot be used.
    """
    check_page_target(out, _KNOWN, web_content.DESCRIPTION, overwrite=overwrite)
    recipe = recipe_of(folder)
    report = _report(folder, recipe)
    metadata = _metadata(folder, with_float=with_float)
    runtime = runtime_files(stages)
    with stages.stage("make self-test"):
        test = make_self_test(folder)
    with stages.stage("write page"):
        names = (bundle.ONNX, bundle.FLOAT_ONNX) if with_float else (bundle.ONNX,)
        models = {name: (folder / name).read_bytes() for name in names}
        figures = web_content.figures_of(report, models)
        last_bit = recipe.output_scale
        files = {name: web_content.asset(name) for name in web_content.STATIC}
        files |= {**runtime, **models, **test.pictures, web_content.SELF_TEST: test.document}
        files |= {
            web_content.DESCRIPTION: web_content.description(metadata, last_bit, models, figures),
            web_content.MANIFEST: web_content.manifest(metadata.spec.architecture),
            web_content.INDEX: web_content.index(metadata, last_bit, figures),
        }
        files[web_content.FILE_LIST] = web_content.file_list(files)
        files[web_content.SERVICE_WORKER] = web_content.asset(web_content.SERVICE_WORKER)
        write_page_folder(out, files)
    where, size = printable(str(out)), sum(map(len, files.values()))
    return (
        f"written to {where}: {counted(len(files), 'file')}, {decimal_bytes(size)}\n"
        f"look at it: python -m http.server --directory {where}, then http://localhost:8000"
    )


def _report(folder: Path, recipe: Recipe) -> Report | None:
    """The bundle's report, if it has one that is of its recipe.

    Raises:
        InputError: It is damaged.
    """
    path = folder / bundle.REPORT_JSON
    report = read_report(path) if path.is_file() else None
    return report if report and report.recipe_sha256 == recipe.sha256 else None


def _metadata(folder: Path, *, with_float: bool) -> ArtifactMetadata:
    """What the INT8 model of a bundle says about itself; the float model says the same.

    Raises:
        InputError: One is missing, says nothing, or they are of two models.
    """
    found = _said_by(folder / bundle.ONNX)
    if with_float:
        other = _said_by(folder / bundle.FLOAT_ONNX)
        if (other.spec, other.input) != (found.spec, found.input):
            raise InputError(
                f"{printable(str(folder / bundle.FLOAT_ONNX))}: expected the float model of the "
                f"{bundle.ONNX} beside it, found another; keep the files of one run together"
            )
    return found


def _said_by(path: Path) -> ArtifactMetadata:
    where = printable(str(path))
    if not path.is_file():
        raise InputError(
            f"{where}: expected the ONNX model of a bundle, found none; quantize again with "
            "--formats onnx"
        )
    metadata = read_metadata(path)
    if metadata is None:
        raise InputError(
            f"{where}: expected a model that eightbit wrote, found one without its metadata; "
            "quantize again"
        )
    return metadata
