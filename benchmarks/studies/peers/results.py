"""What the study has measured so far: a file of JSON lines, to which every result is appended.

A study takes hours. Started again with the same file it measures what is not in it yet, and what
was measured with another version of the software.
"""

import hashlib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from pydantic import NonNegativeFloat, PositiveInt, ValidationError

from eightbit.benchmarks.accuracy.fidelity import FidelityResult
from eightbit.models.errors import InputError
from eightbit.models.spec import Finite, Fraction, FrozenModel

_ROOT: Final = Path(__file__).resolve().parents[3]
# What decides any number of a recipe.
_OURS: Final = ("models", "calibration", "quantize")
_PEERS: Final = ("torch", "onnxruntime", "nncf")


class Setting(FrozenModel):
    """What a network is quantized and evaluated on; rows of one setting can be compared.

    Attributes:
        network: Its name.
        weights_sha256: Of its checkpoint, hexadecimal.
        side: Of its input in pixels.
        samples: Calibration images.
        calibrate: Name of their source.
        evaluate: Name of the source of evaluation images.
        limit: At most so many of those; None for all.
        as_written: As in `job.Job`.
    """

    network: str
    weights_sha256: str
    side: PositiveInt
    samples: PositiveInt
    calibrate: str
    evaluate: str
    limit: PositiveInt | None
    as_written: bool = False


class Row(FrozenModel):
    """One quantized network, measured.

    Attributes:
        label: Who quantized it.
        ours: Whether this project did.
        top1: Against the labels; None without any, like the next two.
        drop_pp: Float top-1 minus that, in percentage points.
        drop_ci95_pp: Its 95 % confidence interval.
        agreeing: For each evaluation image 1 where it gets the float network's class, else 0.
        fidelity: Logits against those of the float network.
        features: What the classifier reads against what it reads in the float network; None where
            that cannot be seen.
        seconds: To quantize.
        peak_rss_bytes: Highest resident memory of that process.
    """

    label: str
    ours: bool
    top1: Fraction | None
    drop_pp: Finite | None
    drop_ci95_pp: tuple[Finite, Finite] | None
    agreeing: str
    fidelity: FidelityResult
    features: FidelityResult | None
    seconds: NonNegativeFloat
    peak_rss_bytes: PositiveInt


class FailedRow(FrozenModel):
    """A quantizer that gave no network, or one whose logits cannot be compared.

    Attributes:
        label: Who should have quantized it.
        ours: Whether this project should have.
        reason: One line.
    """

    label: str
    ours: bool
    reason: str


class Result(FrozenModel):
    """A line of the file.

    Attributes:
        setting: What was measured on.
        version: Of what quantized, see `version_of`.
        row: What came of it.
    """

    setting: Setting
    version: str
    row: Row | FailedRow


def version_of(*, ours: bool) -> str:
    """Of this project a digest of the sources that decide a recipe; of peers their versions."""
    if not ours:
        return ", ".join(f"{name} {_version(name)}" for name in _PEERS)
    digest = hashlib.sha256()
    for path in sorted(path for room in _OURS for path in (_ROOT / room).rglob("*.py")):
        digest.update(path.relative_to(_ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return f"eightbit, sources {digest.hexdigest()[:12]}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


class Results:
    """The results of a file, which need not exist yet; later lines replace earlier ones.

    Raises:
        InputError: A line of the file is no result.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[tuple[Setting, str], Result] = {}
        if path.is_file():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                self._keep(_parsed(line, f"{path}:{number}"))

    def add(self, setting: Setting, row: Row | FailedRow) -> None:
        """Keep a result and append it to the file."""
        result = Result(setting=setting, version=version_of(ours=row.ours), row=row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{result.model_dump_json()}\n")
        self._keep(result)

    def has(self, setting: Setting, label: str, *, ours: bool) -> bool:
        """Whether this was measured, with the present version; what failed may be tried again."""
        found = self._found.get((setting, label))
        if found is None or isinstance(found.row, FailedRow):
            return False
        return found.version == version_of(ours=ours)

    def __iter__(self) -> Iterator[Result]:
        """In the order in which they were first measured."""
        return iter(self._found.values())

    def _keep(self, result: Result) -> None:
        self._found[result.setting, result.row.label] = result


def versions(results: Iterable[Result]) -> tuple[str, ...]:
    """The versions that results were measured with, each once."""
    return tuple(dict.fromkeys(result.version for result in results))


def _parsed(line: str, where: str) -> Result:
    try:
        return Result.model_validate_json(line)
    except ValidationError as exc:
        raise InputError(
            f"{where}: expected a result of this study, found {exc.errors()[0]['msg']}; delete "
            "this line or take another file"
        ) from exc
