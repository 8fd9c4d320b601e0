"""What a person at a terminal sees while it runs."""

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from eightbit.quantize.cli import console
from eightbit.quantize.stages import Stages


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What a terminal, of which stderr takes the place, shows in the end."""
    screen = io.StringIO()

    def terminal(*, stderr: bool) -> Console:
        assert stderr
        return Console(file=screen, force_terminal=True, width=120, color_system=None)

    monkeypatch.setattr(console, "Console", terminal)

    def read() -> str:
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", screen.getvalue())
        return text.replace("\r", "\n")

    return read


def _lines(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if word in line]


def test_a_stage_with_a_unit_shows_its_rate(shown: Callable[[], str]) -> None:
    with console.progress() as stages:
        with stages.stage("evaluate", total=4, unit="images") as watcher:
            watcher.advance(2)
            watcher.advance(2)
        with stages.stage("verify", total=2) as watcher:
            watcher.advance(1)
            watcher.advance(1)
    assert re.search(r"evaluate .*100%.* images/s", _lines(shown(), "evaluate")[-1])
    assert "/s" not in _lines(shown(), "verify")[-1]


def test_a_stage_that_continues_begins_where_it_was(shown: Callable[[], str]) -> None:
    with console.progress() as stages, stages.stage("evaluate", total=4000, unit="images") as one:
        one.resume(1500)
        one.resume(500)
        (task,) = stages.watcher._progress.tasks  # type: ignore[attr-defined]
        assert task.completed == 2000
        assert task.speed is None  # what was done before says nothing of the rate
        one.advance(500)
        one.advance(500)
        assert task.completed == 3000
        stages.watcher._progress.refresh()  # type: ignore[attr-defined]
    assert "75%" in shown()


def test_a_line_is_told_above_the_bars(shown: Callable[[], str]) -> None:
    with console.progress() as stages, stages.stage("evaluate", total=4):
        stages.watcher.tell("continues after 3 of 4 [images]")
    assert "eightbit: continues after 3 of 4 [images]" in shown()


def test_a_log_gets_lines_and_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress() as stages, stages.stage("evaluate", total=4, unit="images") as watcher:
        watcher.resume(2)
        watcher.advance(2)
        watcher.tell("a line " * 40)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"eightbit: {'a line ' * 40}\n"


def test_nobody_needs_to_watch() -> None:
    stages = Stages()
    with stages.stage("evaluate", total=4, unit="images") as watcher:
        watcher.resume(2)
        watcher.tell("a line")
        watcher.advance(2)
    assert "evaluate" in stages.timings_s
