"""The example of the CI page does what it says: its steps run, in order, on the digits network."""

import json
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.docs.pages import DOCS
from tests.synthetic_reports.costs import benchmark as synthetic_benchmark
from tests.synthetic_reports.costs import latencies

from eightbit.quantize import pipeline
from eightbit.quantize.cli import entry
from eightbit.quantize.commands import benchmark
from eightbit.quantize.measure.latency import Timing

PAGE = (DOCS / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)

(WORKFLOW,) = (yaml.safe_load(text) for language, text in BLOCKS if language == "yaml")
(SHELL,) = (text for language, text in BLOCKS if language == "sh" and "set -eu" in text)
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["int8"]["steps"]


def commands(script: str) -> list[list[str]]:
    """The words of each line, continued lines joined; without what only sets up the shell."""
    lines = script.replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines]
    return [own for own in words if own and own[0] not in {"set", "pip"}]


def run(words: list[str]) -> int:
    """One command, in this process: it starts faster, and latency is synthetic."""
    program, *arguments = words
    if program == "eightbit":
        return entry.main(arguments)
    if program == "python":
        assert arguments[0] == "-m"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", arguments[1:])
            patch.delitem(sys.modules, arguments[1], raising=False)
            runpy.run_module(arguments[1], run_name="__main__")
        return 0
    if program == "cp":
        shutil.copy(*arguments)
        return 0
    assert program == "check-jsonschema", words
    _, schema, document = arguments  # --schemafile SCHEMA FILE
    jsonschema.validate(
        json.loads(Path(document).read_text()), json.loads(Path(schema).read_text())
    )
    return 0


def relaxed(words: list[str]) -> list[str]:
    """Thirty digits prove nothing about one point: the gate is there, and open."""
    return ["100" if word == "1.0" else word for word in words]


TYPED = [relaxed(words) for step in STEPS for words in commands(step.get("run", ""))]
GATE = next(index for index, words in enumerate(TYPED) if "--baseline" in words)


@pytest.fixture(scope="module")
def job(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The job when it has measured and comes to the gate; what it measured is accepted.

    Latency takes minutes; here ONNX is three times as fast as float, in every measurement.
    """
    folder = tmp_path_factory.mktemp("job")
    for name in ("cifar_resnet20.pth", "cifar10-calibration.tar", "cifar10-evaluation.tar"):
        shutil.copy(desk / name, folder / name)
    timing = Timing(latency=latencies(3.0, (2.8, 3.2)), benchmark=synthetic_benchmark())
    (accept,) = (words for _, text in BLOCKS for words in commands(text) if words[0] == "cp")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for module in (pipeline, benchmark):
            patch.setattr(module, "time_bundle", lambda *_, **__: timing)
        for words in (*TYPED[:GATE], accept):
            assert run(words) == 0, words
        yield folder


@pytest.mark.usefixtures("job")
def test_the_steps_run_in_order_and_leave_what_is_kept() -> None:
    for words in TYPED[GATE:]:
        assert run(words) == 0, words

    (keep,) = (step for step in STEPS if "upload-artifact" in step.get("uses", ""))
    assert keep["if"] == "always()"
    for kept in keep["with"]["path"].split():
        assert Path(kept).stat().st_size > 1000, kept


@pytest.mark.usefixtures("job")
def test_a_regression_ends_the_job_with_the_exit_code_of_a_gate() -> None:
    report = json.loads(Path("build/r20/report.json").read_text())
    report["size_bytes"]["model.int8.onnx"] //= 2
    Path("smaller.json").write_text(json.dumps(report))

    gate = relaxed(commands(SHELL)[-1])
    assert run(gate) == 0
    assert run(["smaller.json" if word == "baseline.json" else word for word in gate]) == 1


def test_the_shell_script_does_what_the_workflow_does() -> None:
    workflow = [words for words in TYPED if words[0] == "eightbit"]
    extra = ["--out", "build/regression.html"], ["--overwrite"]
    (quantize, *others, gate), shell = workflow, [relaxed(words) for words in commands(SHELL)]
    assert shell == [
        [*quantize, *extra[1]],
        *others,
        [word for word in gate if word not in extra[0]],
    ]


def test_both_gates_are_in_both_examples() -> None:
    for script in (SHELL, "\n".join(step.get("run", "") for step in STEPS)):
        assert "--max-drop" in script
        assert "--baseline" in script


def test_the_defaults_of_the_page_are_those_of_the_program() -> None:
    from eightbit.benchmarks.comparison.regression import Tolerance

    tolerance = Tolerance()
    assert f"| {tolerance.accuracy_pp:g} | `--max-accuracy-loss PP`" in PAGE
    assert f"| {100 * tolerance.speed:g} % | `--max-speed-loss PERCENT`" in PAGE
    assert f"| {100 * tolerance.size:g} % | `--max-size-growth PERCENT`" in PAGE
