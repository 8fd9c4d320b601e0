"""The runtime of the page: fetched by npm once, refused unless it is the very one."""

import base64
import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.quantize.deploy import npm
from eightbit.quantize.stages import Silence, Stages

CONTENT = {name: f"content of {name}".encode() for name in npm.RUNTIME_FILES}
ARCHIVE = "onnxruntime-web-1.30.0.tgz"

# What stands in for npm: it leaves its words and the archive that lies beside it.
NPM = f"""#!{sys.executable}
import os, shutil, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "called"), "a") as file:
    print(*sys.argv[1:], file=file)
if os.path.exists(os.path.join(here, "complaint")):
    sys.exit(open(os.path.join(here, "complaint")).read())
target = sys.argv[sys.argv.index("--pack-destination") + 1]
shutil.copy(os.path.join(here, "{ARCHIVE}"), target)
"""


def archive(members: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"package/dist/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo(f"package/dist/{link}")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return buffer.getvalue()


def integrity(content: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


class Registry:
    """A folder with npm in it, the only one on the PATH, and the cache."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.patch = folder / "bin", patch
        self.folder.mkdir()
        self.kept = folder / "cache" / "eightbit" / "npm" / ARCHIVE
        program = self.folder / "npm"
        program.write_text(NPM)
        program.chmod(0o755)
        patch.setenv("PATH", str(self.folder))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        self.offer(archive({"other.mjs": b"not asked for", **CONTENT}))

    def offer(self, content: bytes, *, expected: bool = True) -> None:
        (self.folder / ARCHIVE).write_bytes(content)
        if expected:
            self.patch.setattr(npm, "INTEGRITY", integrity(content))

    def close(self) -> None:
        (self.folder / "npm").unlink()

    @property
    def calls(self) -> list[str]:
        called = self.folder / "called"
        return called.read_text().splitlines() if called.exists() else []


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(tmp_path, monkeypatch)


def refusal() -> str:
    with pytest.raises(InputError) as raised:
        npm.runtime_files(Stages())
    (line,) = str(raised.value).splitlines()
    return line


def test_the_digest_in_the_code_is_a_sha512() -> None:
    kind, _, digest = npm.INTEGRITY.partition("-")
    assert (kind, len(base64.b64decode(digest, validate=True))) == ("sha512", 64)


def test_npm_is_asked_once_for_the_very_version(registry: Registry) -> None:
    assert npm.runtime_files(Stages()) == CONTENT
    (call,) = registry.calls
    assert call.startswith("pack onnxruntime-web@1.30.0 --pack-destination ")
    registry.close()
    assert npm.runtime_files(Stages()) == CONTENT
    assert [path.name for path in registry.kept.parent.iterdir()] == [ARCHIVE]


def test_a_package_that_was_put_there_by_hand_needs_no_npm(registry: Registry) -> None:
    registry.close()
    registry.kept.parent.mkdir(parents=True)
    registry.kept.write_bytes((registry.folder / ARCHIVE).read_bytes())
    assert npm.runtime_files(Stages()) == CONTENT


def test_another_package_is_refused_and_not_kept(registry: Registry) -> None:
    registry.offer(archive({**CONTENT, "ort.wasm.min.mjs": b"evil"}), expected=False)
    line = refusal()
    assert line.startswith("npm: expected onnxruntime-web-1.30.0.tgz with the integrity sha512-")
    assert "found another file; check npm's registry, or put" in line
    assert not registry.kept.exists()


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_damaged_cache_is_fetched_again(registry: Registry, content: bytes) -> None:
    registry.kept.parent.mkdir(parents=True)
    registry.kept.write_bytes(content)
    assert npm.runtime_files(Stages()) == CONTENT
    assert len(registry.calls) == 1
    assert integrity(registry.kept.read_bytes()) == npm.INTEGRITY


def test_a_file_that_is_too_large_is_not_read_to_its_end(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "_ARCHIVE_MAX_BYTES", 10)
    assert "found another file" in refusal()


def test_without_npm_it_says_where_to_put_the_package(registry: Registry) -> None:
    registry.close()
    assert refusal() == (
        "npm: expected it on the PATH to fetch onnxruntime-web 1.30.0, found none; install it, "
        f"or put {ARCHIVE} into {registry.kept.parent}"
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("npm error code E404\nnpm error 404 Not Found - GET\n", "found 404 Not Found - GET;"),
        ("npm ERR! code ENOTFOUND\nnpm ERR! network is down\n", "found network is down;"),
        (
            "npm error code E\nnpm error syscall connect\nnpm error errno E\nnpm error no way\n",
            "found no way;",
        ),
        ("npm error code EX\n", "found code EX;"),
        ("segmentation fault\n", "found segmentation fault;"),
        ("\x1b[31mred\x1b[0m\n", r"found \x1b[31mred"),
    ],
)
def test_what_npm_complains_of_is_told(registry: Registry, said: str, shown: str) -> None:
    (registry.folder / "complaint").write_text(said)
    line = refusal()
    assert line.startswith("npm: expected it to fetch onnxruntime-web@1.30.0, ")
    assert shown in line
    assert str(registry.kept.parent) in line


def test_npm_that_never_ends_is_ended(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    (registry.folder / "npm").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(npm, "_PATIENCE_S", 0.2)
    assert "timed out" in refusal()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: archive(dict(list(CONTENT.items())[:2])), "expected ort-wasm-simd-threaded.wasm"),
        (
            lambda: archive(dict(list(CONTENT.items())[1:]), link="ort.wasm.min.mjs"),
            "ort.wasm.min.mjs: expected a file",
        ),
    ],
    ids=["missing", "link"],
)
def test_a_package_without_the_three_files_is_refused(
    registry: Registry, content: Callable[[], bytes], said: str
) -> None:
    registry.offer(content())
    assert said in refusal()


def test_a_member_that_is_too_large_is_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(npm, "_FILE_MAX_BYTES", 5)
    assert "expected a file of at most 32 MiB" in refusal()


def test_where_nothing_can_be_kept_the_page_is_made_all_the_same(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Listener(Silence):
        def tell(self, line: str) -> None:
            told.append(line)

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert npm.runtime_files(Stages(Listener())) == CONTENT
    (line,) = told
    assert line.endswith("the next page fetches onnxruntime-web again")
    assert os.path.isfile(tmp_path / "file")
