"""ONNX Runtime for browsers: three files of an npm package, fetched once and cached.

npm's registry is the user's choice, so the package is untrusted: it is not unpacked unless its
digest is `INTEGRITY`.
"""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from eightbit.benchmarks.evaluation.cache import user_cache
from eightbit.benchmarks.processes.leashed import run_leashed
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.quantize.atomic_files import write_file
from eightbit.quantize.stages import Stages
from eightbit.quantize.staging import scratch

RUNTIME: Final = "onnxruntime-web"
RUNTIME_VERSION: Final = "1.30.0"
INTEGRITY: Final = (
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZ"
    "ClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
RUNTIME_FILES: Final = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)

_ARCHIVE: Final = f"{RUNTIME}-{RUNTIME_VERSION}.tgz"
_ARCHIVE_MAX_BYTES: Final = 64 * 2**20
_FILE_MAX_BYTES: Final = 32 * 2**20
_PATIENCE_S: Final = 600

# How lines begin that give a field of an error, not the sentence.
_FIELDS: Final = frozenset({"code", "errno", "path", "syscall"})


def runtime_files(stages: Stages) -> dict[str, bytes]:
    """The runtime's files by name, from the user's cache or fetched with npm.

    Raises:
        InputError: Not cached, and npm cannot fetch them or brings another package.
    """
    kept = archive_path()
    content = _checked(kept)
    if content is None:
        with stages.stage(f"fetch {RUNTIME}"):
            content = _fetched(kept, stages)
    return _members(content)


def archive_path() -> Path:
    """Path of the cached package, where it can also be put by hand.

    Raises:
        InputError: This user has no cache folder.
    """
    try:
        return user_cache() / "npm" / _ARCHIVE
    except OSError as exc:
        raise InputError(
            "XDG_CACHE_HOME: expected a folder to keep the runtime of the page in, found none and "
            "no home either; set it"
        ) from exc


def _checked(path: Path) -> bytes | None:
    """The package if it exists with the right digest, else None."""
    try:
        with path.open("rb") as file:
            content = file.read(_ARCHIVE_MAX_BYTES + 1)
    except OSError:
        return None
    return content if _integrity(content) == INTEGRITY else None


def _integrity(content: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


def _fetched(kept: Path, stages: Stages) -> bytes:
    """Fetch the package and cache it if possible; InputError if npm fails or the digest differs."""
    with scratch() as folder:
        _pack(folder, kept)
        content = _checked(folder / _ARCHIVE)
        if content is None:
            raise InputError(
                f"npm: expected {_ARCHIVE} with the integrity {INTEGRITY}, found another file; "
                f"check npm's registry, or {_by_hand(kept)}"
            )
        try:
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(kept, content)
        except OSError as exc:
            where = printable(str(exc.filename or kept))
            stages.watcher.tell(f"{where}: {exc.strerror}; the next page fetches {RUNTIME} again")
        return content


def _pack(folder: Path, kept: Path) -> None:
    """Have npm write the package into a folder; InputError if absent, failing or too slow."""
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"npm: expected it on the PATH to fetch {RUNTIME} {RUNTIME_VERSION}, found none; "
            f"install it, or {_by_hand(kept)}"
        )
    package = f"{RUNTIME}@{RUNTIME_VERSION}"
    command = [npm, "pack", package, "--pack-destination", str(folder), "--ignore-scripts"]
    try:
        # A package.json where the user stands says nothing about this one.
        done = run_leashed(command, folder=folder, timeout_s=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise InputError(
            f"npm: expected it to fetch {package}: {one_line(exc)}; {_by_hand(kept)}"
        ) from exc
    if done.returncode:
        raise InputError(
            f"npm: expected it to fetch {package}, found {_complaint(done.stderr)}; check the "
            f"network and npm's registry, or {_by_hand(kept)}"
        )


def _complaint(stderr: bytes) -> str:
    """The first sentence of npm's error output."""
    marks = ("npm error ", "npm ERR! ")
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    said = [line.removeprefix(mark) for line in lines for mark in marks if line.startswith(mark)]
    words = [line for line in said if line.split()[0] not in _FIELDS] or said or lines[-1:]
    return one_line(words[0], limit=160) if words else "an error without a word"


def _by_hand(kept: Path) -> str:
    return f"put {_ARCHIVE} into {printable(str(kept.parent))}"


def _members(archive: bytes) -> dict[str, bytes]:
    """The three files of a package; InputError if one is missing, no plain file, or too large."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for member in package:
            folder, _, name = member.name.rpartition("/")
            if folder != "package/dist" or name not in RUNTIME_FILES:
                continue
            file = package.extractfile(member) if member.isreg() else None
            if file is None or member.size > _FILE_MAX_BYTES:
                raise InputError(f"{_ARCHIVE}: {name}: expected a file of at most 32 MiB")
            found[name] = file.read(_FILE_MAX_BYTES)
    missing = [name for name in RUNTIME_FILES if name not in found]
    if missing:
        raise InputError(f"{_ARCHIVE}: expected {missing[0]} in it, found none")
    return {name: found[name] for name in RUNTIME_FILES}
