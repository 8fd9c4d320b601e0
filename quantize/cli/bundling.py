"""The command that packs a model for machines without eightbit and torch."""

from pathlib import Path
from typing import Annotated

import typer

from eightbit.models.errors import InputError
from eightbit.quantize.cli.ending import command_line, end
from eightbit.quantize.cli.options import Folder, Overwrite

bundling = typer.Typer()


@bundling.command()
def bundle(
    folder: Folder,
    out: Annotated[
        Path, typer.Option(metavar="OUT", help="The archive (.zip), or with --web a folder.")
    ],
    web: Annotated[
        bool, typer.Option("--web", help="Write a web page that runs the model instead.")
    ] = False,
    with_float: Annotated[
        bool, typer.Option("--float", help="With --web: the float model too, to compare with.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Pack the model for a machine without torch, or as a web page.

    The archive is a program as well: `python model.zip photo.jpg`. How fast it starts goes into
    the report.
    """
    from eightbit.quantize.cli.console import progress, results
    from eightbit.quantize.deploy.archive import SelfTestFailedError, write_bundle

    if with_float and not web:
        raise InputError("--float: expected beside --web, found it alone; leave it out")
    try:
        with progress() as stages:
            if web:
                from eightbit.quantize.deploy.web_page import write_web_page

                summary = write_web_page(
                    folder, out, stages, with_float=with_float, overwrite=overwrite
                )
            else:
                summary = write_bundle(
                    folder, out, stages, overwrite=overwrite, command=command_line()
                )
    except SelfTestFailedError as exc:
        end((str(exc),))
        return
    results().print(summary, markup=False, soft_wrap=True)
