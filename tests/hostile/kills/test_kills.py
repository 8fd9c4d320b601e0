"""Commands are killed anywhere: what they write is wholly old or wholly new, and nothing is left.

A few kills by default; `make hostile` runs many: half of them right after the n-th change on the
disk, the others at random times. The seed is printed.
"""

import hashlib
import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from tests.hostile.kills import dying
from tests.synthetic_reports.costs import edge, latencies

from eightbit.benchmarks import read_report
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.benchmarks.report.pages.html import render_html
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.runtimes.available import Availability
from eightbit.quantize import bundle, pipeline
from eightbit.quantize.commands import benchmark
from eightbit.quantize.deploy import archive, web_page
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.staging import is_staging
from eightbit.quantize.verify import verification

Eightbit = Callable[..., Any]

KILLS: Final = int(os.environ.get("EIGHTBIT_KILLS", "6"))
SEED: Final = int(os.environ.get("EIGHTBIT_KILLS_SEED", "13"))

# What the user keeps in the folder of a bundle.
MINE: Final = {"notes.txt": "mine", "plots/loss.svg": "mine"}

# How often each command is killed, of 50.
SHARES: Final = {
    "quantize": 20,
    "quantize where folders cannot be exchanged": 4,
    "report": 5,
    "evaluate": 6,
    "verify": 2,
    "benchmark": 4,
    "bundle": 5,
    "bundle a page": 2,
    "compare": 2,
}

_TIMING: Final = Timing(
    latency=latencies(3.0, (2.8, 3.2)),
    benchmark=BenchmarkSection(products_per_image=40_000_000, launches=5, rounds=3),
)
_START: Final = edge().cold_start


@dataclass
class Place:
    """A folder with a bundle in it, and the commands that write there.

    Attributes:
        root: The folder; killed commands write in it and nowhere else.
        pristine: A bundle of the old weights.
        new: Weights of the new ones.
        photos: Images in class folders.
        answers: What `classify` and `diagnose` say of a model, by its digest.
    """

    root: Path
    pristine: Path
    new: Path
    photos: Path
    eightbit: Eightbit
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        """The bundle."""
        return self.root / "out"

    @property
    def temporary(self) -> Path:
        """Where temporary files lie."""
        return self.root / "tmp"

    def reset(self) -> None:
        """The old bundle, with what the user keeps in it."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.pristine, self.out)
        self.temporary.mkdir()
        for name, content in MINE.items():
            (self.out / name).parent.mkdir(exist_ok=True)
            (self.out / name).write_text(content)

    def command(self, name: str) -> tuple[object, ...]:
        """A command line that writes."""
        quantize = (
            *("quantize", "cifar_resnet20", "--weights", self.new, "--calibrate", self.photos),
            *("--formats", "onnx", "--threads", 1, "--samples", 8, "--out", self.out),
            "--overwrite",
        )
        return {
            "quantize": quantize,
            "quantize where folders cannot be exchanged": quantize,
            "report": ("report", self.out),
            "evaluate": ("evaluate", self.out, "--data", self.photos, "--threads", 1),
            "verify": ("verify", self.out, "--samples", 2, "--threads", 1),
            "benchmark": ("benchmark", self.out, "--threads", 1),
            "bundle": ("bundle", self.out, "--out", self.root / "model.zip", "--overwrite"),
            "bundle a page": (
                "bundle",
                self.out,
                "--web",
                "--out",
                self.root / "page",
                "--overwrite",
            ),
            "compare": (
                *("report", self.out, self.pristine, "--out", self.root / "compared.html"),
                "--overwrite",
            ),
        }[name]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Any:
    """What takes long and writes nothing is not measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "time_bundle", lambda *_, **__: Timing())
        patch.setattr(benchmark, "time_bundle", lambda *_, **__: _TIMING)
        patch.setattr(verification, "executions", lambda *_, **__: Availability())
        patch.setattr(archive, "measure_cold_start", lambda *_, **__: _START)
        patch.setattr(
            web_page, "runtime_files", lambda _: dict.fromkeys(web_page.RUNTIME_FILES, b"")
        )
        yield


@pytest.fixture(scope="module")
def place(
    eightbit: Eightbit,
    quick: tuple[object, ...],
    make_checkpoint: Callable[..., Path],
    photos: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Place:
    folder = tmp_path_factory.mktemp("kills")
    new = make_checkpoint(folder / "new.pth", seed=1)
    pristine = folder / "pristine"
    assert eightbit(*quick, "--out", pristine).code == 0
    found = Place(folder / "place", pristine, new, photos, eightbit)
    found.reset()
    # Everything is imported now, in this process, before the first fork.
    _agreed(found)
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _whole(place: Place) -> None:
    """The files as they lie there, without our help, are those of one report."""
    report = read_report(place.out / bundle.REPORT_JSON)
    found = {path.name for path in place.out.iterdir() if not is_staging(path.name)}
    rendered = {bundle.REPORT_JSON, bundle.REPORT_MARKDOWN, bundle.REPORT_HTML}
    assert found == {*report.sha256, *rendered, "notes.txt", "plots"}
    assert {name: _digest(place.out / name) for name in report.sha256} == report.sha256
    assert (place.out / bundle.REPORT_MARKDOWN).read_text() == render_markdown(report)
    assert (place.out / bundle.REPORT_HTML).read_text() == render_html(report)


def _agreed(place: Place) -> str:
    """What all commands that read agree on; returns the weights' name."""
    model = place.out / bundle.ONNX
    shown = place.eightbit("report", place.out)
    assert shown.code == 0, shown
    # Only now are files in place that had to be moved one by one.
    report, digest = read_report(place.out / bundle.REPORT_JSON), _digest(model)
    assert report.sha256[bundle.ONNX] == digest
    photo = next(place.photos.rglob("*.png"))
    classified = place.eightbit("classify", model, photo, "--threads", 1)
    diagnosed = place.eightbit(
        *("diagnose", place.out, "--data", place.photos, "--samples", 2, "--threads", 1)
    )
    assert (classified.code, diagnosed.code) == (0, 0), (classified, diagnosed)
    answers = classified.out.replace(str(place.root), ""), diagnosed.out
    assert place.answers.setdefault(digest, answers) == answers
    packed = place.root / "agreed.zip"
    outcome = place.eightbit("bundle", place.out, "--out", packed, "--overwrite")
    assert outcome.code == 0, outcome
    with zipfile.ZipFile(packed) as file:
        assert hashlib.sha256(file.read(bundle.ONNX)).hexdigest() == digest
    packed.unlink()
    return report.model.weights


def _left(place: Place) -> list[str]:
    return [
        path.relative_to(place.root).as_posix()
        for path in (*place.root.rglob("*"),)
        if is_staging(path.name)
    ]


def _complete_file(path: Path) -> None:
    """A file beside the bundle is there as a whole, or not at all."""
    if path.suffix == ".zip" and path.exists():
        with zipfile.ZipFile(path) as file:
            assert file.testzip() is None
    elif path.exists() and path.is_file():
        assert path.read_text().rstrip().endswith("</html>")
    elif path.exists():
        assert (path / web_page.SERVICE_WORKER).exists()
        assert json.loads((path / web_page.DESCRIPTION).read_text())


def _check(place: Place, name: str, ended: dying.Ended, said: str) -> None:
    """After a kill all is as before or as after the command, and the next leaves nothing."""
    try:
        if "cannot be exchanged" not in name:
            _whole(place)
        weights = _agreed(place)
        _whole(place)
        assert {name: (place.out / name).read_text() for name in MINE} == MINE
        if not ended.killed:
            assert weights == place.new.name or not name.startswith("quantize")
        for path in ("model.zip", "page", "compared.html"):
            _complete_file(place.root / path)
        again = dying.run(place.command(name), place.temporary)
        assert again.code == 0, again
        assert _left(place) == []
    except AssertionError as exc:
        exc.add_note(said)
        raise


def _kill(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch, rng: random.Random
) -> list[str]:
    """Kill one command as often as its share says, at steps and at random times."""
    share = max(1, round(SHARES[name] * KILLS / 100))

    def refuse(*_: Path) -> None:
        raise OSError(22, "Invalid argument")

    if "cannot be exchanged" in name:
        monkeypatch.setattr(dying.atomic_files, "exchange", refuse)
    place.reset()
    whole = dying.run(place.command(name), place.temporary)
    assert whole.code == 0, (name, (place.root / "log").read_text())
    said = []
    for number in range(share):
        step = 1 + number * whole.steps // share + rng.randrange(max(1, whole.steps // share))
        for when in ({"after_step": step}, {"after_s": rng.uniform(0, whole.seconds)}):
            if KILLS < 50 and "after_s" in when and name != "quantize":
                continue
            place.reset()
            ended = dying.run(place.command(name), place.temporary, **when)
            said.append(f"{name}: {when} of {whole.steps} steps, {whole.seconds:.1f} s: {ended}")
            _check(place, name, ended, said[-1])
    return said


@pytest.mark.parametrize("name", list(SHARES) if KILLS >= 50 else ["quantize", "report"])
def test_after_a_kill_a_bundle_is_wholly_old_or_wholly_new(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {SEED}")
    for line in _kill(place, name, monkeypatch, random.Random(f"{SEED} {name}")):
        print(line)
