"""The commands `quantize` and `demo`: arguments in, the public API called, results out.

Heavy imports are inside the commands, so that ``eightbit --help`` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eightbit.benchmarks.artifact.formats import FORMATS, default_keys
from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.calibration.range_methods import Method
from eightbit.calibration.weight_methods import WeightMethod
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import EVEN, MAX_COUNT, ChannelOrder, Decode, Interpolation
from eightbit.quantize.cli.bundling import bundling
from eightbit.quantize.cli.ending import command_line, pass_gates, say_written, show
from eightbit.quantize.cli.looking import looking
from eightbit.quantize.cli.measuring import measuring
from eightbit.quantize.cli.options import (
    ClassOrderOption,
    ClusterOption,
    Fallback,
    Labels,
    MaxDrop,
    Overwrite,
    Pixels,
    TaskOption,
    Threads,
    Threshold,
    Workers,
    image_size,
    known_source,
)
from eightbit.quantize.cli.reporting import reporting
from eightbit.quantize.config import (
    AUTO_SAMPLES,
    NEWEST_OPSET,
    OLDEST_OPSET,
    Correction,
    Equalize,
    Mode,
    QuantConfig,
    Rounding,
    Target,
)

if TYPE_CHECKING:
    from eightbit.benchmarks.report.document import Report

app = typer.Typer(
    name="eightbit",
    help="A pretrained ResNet in, a verified INT8 model for any CPU out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(measuring)
app.add_typer(looking)
app.add_typer(reporting)
app.add_typer(bundling)

_DEFAULTS = QuantConfig()


@app.command()
def quantize(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for artefacts and report.")],
    weights: Annotated[
        str | None,
        typer.Option(
            help="A torchvision name (DEFAULT, IMAGENET1K_V1, ...) or a local file; DEFAULT of "
            "timm: its hub's; an ONNX file needs no SOURCE; not needed by code that loads its own, "
            "hf:FOLDER and keras:FILE."
        ),
    ] = None,
    weights_key: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Which weights of the file, such as state_dict_ema or state_dict/student.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            callback=known_source,
            help="An architecture (see `eightbit models`), timm:NAME, hf:FOLDER (what Hugging "
            "Face's save_pretrained wrote), keras:FILE (.keras, .h5), or code that returns a "
            "torch.nn.Module, FILE.py:CALLABLE or package.module:CALLABLE, which is run; not "
            "needed with an ONNX file as --weights, nor with the --recipe of an architecture and "
            "its --weights.",
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(metavar="SRC", help="Images that set the ranges: folder, .tar or .zip."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Rebuild from this recipe.json, without calibration."),
    ] = None,
    evaluate: Annotated[
        Path | None, typer.Option(metavar="SRC", help="Images to measure accuracy on.")
    ] = None,
    labels: Labels = None,
    class_order: ClassOrderOption = None,
    task: TaskOption = None,
    threshold: Threshold = EVEN,
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="PX|HxW",
            help="Shorter side in pixels, or what to cover, such as 256x366 (height x width); the "
            "weights' own by default.",
        ),
    ] = None,
    crop: Annotated[
        str | None,
        typer.Option(
            metavar="PX|HxW",
            help="Centre square in pixels, or a rectangle such as 224x320 (height x width); the "
            "weights' own by default.",
        ),
    ] = None,
    squash: Annotated[
        bool | None,
        typer.Option(
            help="Resize both sides to --resize, whatever their ratio.", show_default=False
        ),
    ] = None,
    interpolation: Annotated[
        Interpolation | None, typer.Option(help="Of the resizing; the weights' own by default.")
    ] = None,
    decode: Annotated[
        Decode | None,
        typer.Option(
            help="How large photos are decoded: exact is whole; scaled halves a large JPEG, or "
            "more, where twice --resize remains."
        ),
    ] = None,
    mean: Annotated[
        tuple[float, float, float] | None, typer.Option(help="Of R, G and B; see --pixels.")
    ] = None,
    std: Annotated[
        tuple[float, float, float] | None, typer.Option(help="Of R, G and B; see --pixels.")
    ] = None,
    pixels: Annotated[
        Pixels,
        typer.Option(
            help="What --mean and --std are of; 0..255 without them is a network of pixels as "
            "they are."
        ),
    ] = Pixels.UNIT,
    channels: Annotated[
        ChannelOrder | None,
        typer.Option(help="What the network was trained on; rgb where its file says nothing."),
    ] = None,
    samples: Annotated[
        str, typer.Option(metavar="N|auto", help="Calibration images; auto: until ranges settle.")
    ] = str(_DEFAULTS.samples),
    mode: Annotated[
        Mode, typer.Option(help="torch's front end; the result is the same.")
    ] = _DEFAULTS.mode,
    method: Annotated[Method, typer.Option(help="How ranges are chosen.")] = _DEFAULTS.method,
    weight_method: Annotated[
        WeightMethod, typer.Option(help="How weight ranges are chosen.")
    ] = _DEFAULTS.weights,
    rounding: Annotated[
        Rounding, typer.Option(help="How weights are rounded.")
    ] = _DEFAULTS.rounding,
    equalize: Annotated[
        Equalize, typer.Option(help="Rescale badly scaled channels first.")
    ] = _DEFAULTS.equalize,
    bias_correction: Annotated[
        Correction, typer.Option(help="Take the mean error of each channel back.")
    ] = _DEFAULTS.bias_correction,
    target: Annotated[
        Target, typer.Option(help="The CPU to quantize for; portable answers alike on all.")
    ] = _DEFAULTS.target,
    input: Annotated[
        InputFormat, typer.Option(help="What the models take: as uint8, raw RGB pixels.")
    ] = _DEFAULTS.input,
    opset: Annotated[
        int,
        typer.Option(
            min=OLDEST_OPSET, max=NEWEST_OPSET, help="Of the ONNX models: old boards stop at one."
        ),
    ] = _DEFAULTS.opset,
    formats: Annotated[
        str, typer.Option(help="INT8 artefacts to write, separated by commas.")
    ] = ",".join(default_keys()),
    max_drop: MaxDrop = None,
    fallback: Fallback = False,
    threads: Threads = None,
    cluster: ClusterOption = None,
    workers: Workers = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_COUNT, help="Of the draw of calibration images.")
    ] = _DEFAULTS.seed,
    overwrite: Overwrite = False,
) -> None:
    """Quantize a pretrained classifier, verify the artefacts, and report what it cost."""
    from eightbit.models.doors.foreign.sources import stands_alone
    from eightbit.models.doors.foreign.wanted import Wanted
    from eightbit.quantize import pipeline
    from eightbit.quantize.bundle import check_target
    from eightbit.quantize.cli.console import progress
    from eightbit.quantize.cli.inputs import joined, load_new, load_recorded, read_labels
    from eightbit.quantize.config import Delivery
    from eightbit.quantize.recipe.recipe import read_recipe

    check_target(out, overwrite=overwrite)
    known = None if recipe is None else read_recipe(recipe)
    class_names, image_labels = read_labels(labels or [], known.spec.task if known else task)
    wanted = Wanted(
        weights=weights,
        weights_key=weights_key,
        labels=class_names,
        task=task,
        threshold=threshold,
        resize=image_size("--resize", resize),
        crop=image_size("--crop", crop),
        squash=squash,
        interpolation=interpolation,
        decode=decode,
        mean=pixels.scaled(mean, 0.0),
        std=pixels.scaled(std, 1.0),
        channels=channels,
    )
    delivery = Delivery(
        out=out,
        evaluate=evaluate,
        image_labels=image_labels,
        class_order=class_order,
        formats=_formats(formats),
        threads=threads,
        max_drop_pp=max_drop,
        fallback=fallback,
        overwrite=overwrite,
        command=command_line(),
    )
    with progress() as stages, joined(cluster, workers, threads, stages) as executor:
        if recipe is None or known is None:
            is_named = source is not None or stands_alone(weights)
            if not is_named or calibrate is None:
                missing = "--calibrate SRC" if is_named else "SOURCE"
                raise InputError(
                    f"quantize: expected SOURCE and --calibrate SRC, or --recipe FILE, found no "
                    f"{missing}"
                )
            pretrained = load_new(source, wanted, stages)
            config = QuantConfig(
                mode=mode,
                method=method,
                weights=weight_method,
                rounding=rounding,
                equalize=equalize,
                bias_correction=bias_correction,
                target=target,
                samples=_samples(samples),
                seed=seed,
                input=input,
                opset=opset,
            )
            report = pipeline.quantize(
                pretrained, calibrate, delivery, config, stages, executor=executor
            )
        else:
            _refuse_beside_recipe(context, class_names)
            pretrained = load_recorded(recipe, known, source, wanted, stages)
            report = pipeline.rebuild(pretrained, known, delivery, stages, executor=executor)
    _finish(report, out, max_drop)


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for artefacts and report.")
    ] = Path("eightbit-demo"),
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Run the whole line offline on a small network that ships with eightbit."""
    from eightbit.quantize.cli.console import progress
    from eightbit.quantize.cli.demo import run_demo

    with progress() as stages:
        report = run_demo(
            out, threads=threads, overwrite=overwrite, stages=stages, command=command_line()
        )
    _finish(report, out, None)


def _refuse_beside_recipe(context: typer.Context, class_names: tuple[str, ...] | None) -> None:
    """Raise InputError for an option that a recipe already determines, rather than ignore it."""
    for name in sorted(
        {"calibrate", "fallback", "weight_method", *QuantConfig.model_fields} - {"weights"}
        | {
            "labels",
            "task",
            "threshold",
            "resize",
            "crop",
            "squash",
            "interpolation",
            "decode",
            "mean",
            "std",
        }
        | {"pixels", "channels"}
    ):
        source = context.get_parameter_source(name)
        # Labels of images may be given, names of classes may not.
        known = name == "labels" and class_names is None
        if source is not None and source.name == "COMMANDLINE" and not known:
            raise InputError(
                f"--{name.replace('_', '-')}: expected only --weights beside --recipe, which "
                "determines the rest; leave it out"
            )


def _samples(text: str) -> int | Literal["auto"]:
    if text == AUTO_SAMPLES:
        return AUTO_SAMPLES
    # So few digits that Python reads them.
    if not text.isdecimal() or len(text) > len(str(MAX_COUNT)) or not 1 <= int(text) <= MAX_COUNT:
        raise InputError(
            f"--samples: expected a number from 1 to {MAX_COUNT}, or auto, found "
            f"{one_line(text, limit=40)}"
        )
    return int(text)


def _formats(text: str) -> tuple[str, ...]:
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in FORMATS:
            raise InputError(f"--formats: expected some of {', '.join(FORMATS)}, found {name!r}")
    return tuple(key for key in FORMATS if key in wanted)


def _finish(report: "Report", out: Path, max_drop: float | None) -> None:
    show(report)
    say_written(out)
    pass_gates(report, max_drop)
