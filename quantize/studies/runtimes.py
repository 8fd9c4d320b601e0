"""The ONNX file of some networks in every runtime there is: a table in Markdown.

Usage: python -m eightbit.quantize.studies.runtimes --calibrate SRC --evaluate SRC --out FILE.md
           [--packages DIR ...] ARCHITECTURE:WEIGHTS:SIDE ...

Every network is quantized once, and `eightbit verify --runtimes` tries what is installed. Each
`--packages` is a folder with further packages (`pip install --no-deps --target DIR PACKAGE`), which
is tried in a run of its own: two versions of one package do not live together.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import TO_REFERENCE, OtherRuntime, Verdict
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.studies.command import Network, parse_network, quantize

_IMAGES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One execution of one network: what it makes of the file, and its distance."""

    said: OtherRuntime
    parity: ParityResult | None


Answers = Mapping[tuple[str, str], Answer]
"""By the name of an execution and the version of its package."""


def measure(
    network: Network, calibrate: Path, evaluate: Path, packages: Sequence[Path], folder: Path
) -> Answers:
    """Quantize a network and try its file, once with each folder of packages."""
    out = folder / "out"
    arguments = [network.architecture, "--weights", str(network.weights)]
    arguments += ["--resize", network.side, "--crop", network.side]
    quantize([*arguments, "--calibrate", str(calibrate), "--formats", "onnx"], out)
    answers: dict[tuple[str, str], Answer] = {}
    for place, added in enumerate(packages or (None,)):
        bundle = folder / f"bundle{place}"
        shutil.copytree(out, bundle)
        report = _verified(bundle, evaluate, added)
        answers = {**_answers(report), **answers}
    return answers


def _verified(bundle: Path, evaluate: Path, packages: Path | None) -> Report:
    """Run the command on a bundle, which may find further packages, and read its report."""
    program = Path(sys.executable).with_name("eightbit")
    path = [os.environ.get("PYTHONPATH", ""), "" if packages is None else str(packages.resolve())]
    arguments = ["--runtimes", "--images", str(evaluate), "--samples", str(_IMAGES)]
    subprocess.run(
        [program, "verify", bundle, *arguments],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
    )
    return read_report(bundle / "report.json")


def _answers(report: Report) -> Answers:
    section = report.executions
    if section is None:
        raise ValueError("expected a report of a verification, found none")
    return {
        (name, said.version): Answer(said=said, parity=report.parity.get(f"{name}{TO_REFERENCE}"))
        for name, said in section.others.items()
    }


_EXPLANATION: Final = """\
`model.int8.onnx` in runtimes that it was not written for. *right*: the class of every image is
that of the reference integers, and every logit within one last bit; *other last bits*: a logit is
further, and at most 5 % of the classes differ; *wrong*: more do; *failed*: it raises, aborts or
takes too long. Behind it the share of images of the same class, and the largest difference of a
logit in last bits. `batch1`, `batch4`: so many images at once."""


def document(answers: Mapping[str, Answers]) -> str:
    """The page, in Markdown; answers by the name of their network."""
    names = sorted({key for one in answers.values() for key in one})
    lines = [
        *("# Other runtimes", "", _COMMAND, ""),
        f"{read_environment().summary()}. {_IMAGES:,} images that set no range.",
        *("", _EXPLANATION, ""),
        f"| execution | version | {' | '.join(answers)} |",
        f"|{'---|' * (2 + len(answers))}",
        *(
            f"| `{name}` | {number} | "
            f"{' | '.join(_cell(one.get((name, number))) for one in answers.values())} |"
            for name, number in names
        ),
        *("", *_reasons(answers)),
    ]
    return "\n".join(lines) + "\n"


_COMMAND: Final = (
    "`python -m eightbit.quantize.studies.runtimes --calibrate SRC --evaluate SRC --out FILE.md "
    "--packages DIR ARCHITECTURE:WEIGHTS:SIDE ...`"
)


def _cell(answer: Answer | None) -> str:
    if answer is None:
        return "not tried"
    said, parity = answer.said, answer.parity
    if parity is None:
        return said.verdict.value
    return f"{said.verdict}; {parity.top1_agreement or 0:.1%}, {parity.max_lsb}"


def _reasons(answers: Mapping[str, Answers]) -> Iterator[str]:
    """Why something is not right, once for each execution, version and reason."""
    seen = set()
    for network, found in answers.items():
        for (name, number), answer in sorted(found.items()):
            why = answer.said.reason
            # What a runtime said begins with the file's path.
            why = why.partition("model.int8.onnx: ")[2] or why
            if answer.said.verdict is Verdict.RIGHT or not why or (name, number, why) in seen:
                continue
            seen.add((name, number, why))
            yield f"* `{name}`, {number}, {network}: {why}."


def main(
    networks: Annotated[list[str], typer.Argument()],
    calibrate: Annotated[Path, typer.Option(help="Images that set the ranges.")],
    evaluate: Annotated[Path, typer.Option(help="Other images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    packages: Annotated[list[Path] | None, typer.Option(help="Folder of further packages.")] = None,
) -> None:
    """Try the ONNX files of some networks, as ARCHITECTURE:WEIGHTS:SIDE, in other runtimes."""
    answers: dict[str, Answers] = {}
    for given in networks:
        network = parse_network(given)
        with tempfile.TemporaryDirectory() as folder:
            answers[f"`{network.architecture}`, {network.side} px"] = measure(
                network, calibrate, evaluate, packages or (), Path(folder)
            )
        out.write_text(document(answers), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
