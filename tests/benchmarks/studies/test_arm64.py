"""What of emulated ARM needs no emulator: processors, roots, instructions, the page."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer.testing

from eightbit.benchmarks.studies.arm64 import page as page_module
from eightbit.benchmarks.studies.arm64 import processors as processors_module
from eightbit.benchmarks.studies.arm64 import root as root_module
from eightbit.benchmarks.studies.arm64 import study, torchscript
from eightbit.benchmarks.studies.arm64.page import Answers, Compared, Network, markdown
from eightbit.benchmarks.studies.arm64.processors import (
    ARM_PROCESSORS,
    arm_environment,
    arm_problem,
    multiplications,
)
from eightbit.benchmarks.studies.arm64.root import debian_mirror, make_arm_root, write_processors
from eightbit.benchmarks.studies.arm64.torch_build import write_stubs
from eightbit.models.errors import InputError


def test_a_root_of_each_processor_tells_programs_which_one_it_is(tmp_path: Path) -> None:
    (tmp_path / "root" / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "lib").mkdir()
    (tmp_path / "root" / "usr" / "bin" / "python3.11").write_text("an ARM program")
    write_processors(tmp_path)
    write_processors(tmp_path)  # once more, as `make arm64` does
    for processor in ARM_PROCESSORS:
        *_, model, python = processor.command(tmp_path)
        assert model == processor.model
        assert Path(python).read_text() == "an ARM program"
        told = Path(python).parents[2] / "proc" / "cpuinfo"
        first, *_ = told.read_text().split("\n\n")
        lines = dict(line.split("\t: ") for line in first.splitlines() if "\t: " in line)
        assert lines["processor"] == "0"
        assert lines["model name"] == f"{processor.name} (QEMU)"
        assert (lines["CPU implementer"], lines["CPU part"]) == processor.part
        # What hides a place of this machine is no more than it has to be.
        assert {entry.name for entry in Path(python).parents[2].iterdir()} == {
            *("lib", "usr", "proc")
        }


def test_what_is_missing_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors_module.shutil, "which", lambda _: None)
    assert arm_problem(tmp_path) == "qemu-user is not installed: apt-get install qemu-user"
    monkeypatch.setattr(processors_module.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert arm_problem(tmp_path) == f"{tmp_path} has no site: `make arm64` makes it"
    (tmp_path / "site").mkdir()
    (tmp_path / "processors").mkdir()
    assert arm_problem(tmp_path) is None


def test_an_emulated_python_sees_nothing_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "x86.so")
    monkeypatch.setenv("PYTHONHOME", "/usr")
    environment = arm_environment(Path("build/arm64"))
    assert not {"LD_PRELOAD", "PYTHONHOME"} & environment.keys()
    assert environment["PYTHONPATH"].endswith("build/arm64/site")


class _Apt:
    """Answers as programs do; remembers what was asked."""

    def __init__(self, out: str = "", err: str = "", code: int = 0) -> None:
        self.asked: list[list[str]] = []
        self._done = code, out, err

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(list(command))
        code, out, err = self._done
        return subprocess.CompletedProcess(command, code, out, err)


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., _Apt]:
    def install(**answer: object) -> _Apt:
        program = _Apt(**answer)  # type: ignore[arg-type]
        monkeypatch.setattr(root_module.subprocess, "run", program)
        monkeypatch.setattr(root_module.shutil, "which", lambda name: f"/usr/bin/{name}")
        return program

    return install


def test_the_mirror_is_that_of_this_machine_s_apt(apt: Callable[..., _Apt]) -> None:
    program = apt(out="http://mirror.example/debian/\nhttp://mirror.example/debian/\n")
    assert debian_mirror() == "http://mirror.example/debian/"
    assert {"Origin: Debian", "Codename: bookworm"} <= set(program.asked[0])


def test_a_machine_that_knows_no_debian_is_told_what_to_give(apt: Callable[..., _Apt]) -> None:
    apt(out="\n")
    with pytest.raises(InputError, match=r"expected a source of Debian bookworm.*--mirror"):
        debian_mirror()


def test_a_failed_download_says_why_and_leaves_nothing_that_counts(
    apt: Callable[..., _Apt], tmp_path: Path
) -> None:
    (tmp_path / "made.json").write_text("{}")  # of an earlier version
    program = apt(err="W: a warning\nE: no route\nWARNING: and more\n", code=1)
    with pytest.raises(InputError, match="Debian for ARM: `mmdebstrap` failed: E: no route"):
        make_arm_root(tmp_path, "http://mirror.example/debian/")
    assert program.asked[0][-1] == "http://mirror.example/debian/"
    assert not (tmp_path / "made.json").exists()


def test_without_mmdebstrap_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_module.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="apt-get install mmdebstrap"):
        make_arm_root(tmp_path, "http://mirror.example/debian/")


LISTED = {
    "0x4000:  4e829410  .byte": ("sdot",),
    "0x4000:  4fa2e210  .byte": ("sdot",),
    "0x4000:  6f82e210  .byte": ("udot",),
    "0x4000:  6e82a410  .byte": ("ummla",),
    "0x4000:  45c29810  .byte": ("ummla of SVE",),
    "0x4000:  0e20c000  smull    v0.8h, v0.8b, v0.8b": ("smull",),
    "0x4000:  0e618000  smlal    v0.4s, v0.4h, v1.4h": ("smlal",),
    "0x4000:  4ea18400  add      v0.4s, v0.4s, v1.4s": (),
    "IN: 4e829410": (),
}


@pytest.mark.parametrize(("line", "expected"), LISTED.items())
def test_multiplications_are_known_by_their_bits(line: str, expected: tuple[str, ...]) -> None:
    assert multiplications(["----------------", "IN: ", line]) == expected


def test_what_an_assembler_makes_is_recognised(tmp_path: Path) -> None:
    assembler = shutil.which("aarch64-linux-gnu-as")
    if assembler is None:
        pytest.skip("no assembler for ARM: apt-get install binutils-aarch64-linux-gnu")
    lines = {
        "sdot v1.4s, v2.16b, v3.16b": "sdot",
        "sdot v1.4s, v2.16b, v3.4b[3]": "sdot",
        "udot v31.2s, v2.8b, v3.8b": "udot",
        "udot v1.4s, v2.16b, v31.4b[2]": "udot",
        "usdot v1.4s, v2.16b, v3.16b": "usdot",
        "smmla v1.4s, v2.16b, v3.16b": "smmla",
        "ummla v1.4s, v2.16b, v3.16b": "ummla",
        "usmmla v1.4s, v2.16b, v3.16b": "usmmla",
        "sdot z1.s, z2.b, z3.b": "sdot of SVE",
        "udot z1.s, z2.b, z3.b": "udot of SVE",
        "smmla z1.s, z2.b, z3.b": "smmla of SVE",
        "ummla z1.s, z2.b, z3.b": "ummla of SVE",
        "usmmla z1.s, z2.b, z3.b": "usmmla of SVE",
        "smull v1.8h, v2.8b, v3.8b": "smull",
        "smull2 v1.8h, v2.16b, v3.16b": "smull",
        "smlal v1.8h, v2.8b, v3.8b": "smlal",
        "smlal2 v1.4s, v2.8h, v3.8h": "smlal",
        "umull v1.8h, v2.8b, v3.8b": "umull",
        "umlal v1.4s, v2.4h, v3.4h": "umlal",
    }
    source, made, binary = (tmp_path / name for name in ("a.s", "a.o", "a.bin"))
    source.write_text("\n".join(lines) + "\n")
    subprocess.run([assembler, "-march=armv8.6-a+sve", "-o", made, source], check=True)
    objcopy = assembler.removesuffix("as") + "objcopy"
    subprocess.run([objcopy, "-O", "binary", "-j", ".text", made, binary], check=True)
    words = np.frombuffer(binary.read_bytes(), "<u4")
    for word, (line, expected) in zip(words, lines.items(), strict=True):
        assert multiplications([f"0x1:  {word:08x}  .byte"]) == (expected,), line


def test_a_missing_library_is_replaced_with_all_that_is_wanted_of_it(tmp_path: Path) -> None:
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        pytest.skip("no compiler for ARM: apt-get install gcc-aarch64-linux-gnu")

    def library(name: str, source: str, *options: object) -> Path:
        path = tmp_path / name
        build = (compiler, "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-x", "none")
        subprocess.run(
            [*build, "-o", path, f"-Wl,-soname,{name}", *options],
            input=source,
            text=True,
            check=True,
        )
        return path

    script = tmp_path / "versions"
    script.write_text("V13 { global: cudaOpen; };")
    versioned = library(
        "libcudart.so.13", "int cudaOpen(void){return 1;}", f"-Wl,--version-script={script}"
    )
    plain = library("libnccl.so.2", "int ncclOpen(void){return 1;}")
    there = library("libm.so.6", "int root(void){return 1;}")
    calls = "int cudaOpen(void), ncclOpen(void), root(void), Py_Init(void);"
    needy = library(
        "libtorch.so",
        calls + "int all(void){return cudaOpen()+ncclOpen()+root()+Py_Init();}",
        *(versioned, plain, there),
    )
    (tmp_path / "root").mkdir()
    there.rename(tmp_path / "root" / "libm.so.6")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    write_stubs([needy], tmp_path / "root", stubs)
    assert {path.name for path in stubs.iterdir()} == {"libcudart.so.13", "libnccl.so.2"}
    listed = subprocess.run(
        ["aarch64-linux-gnu-nm", "-D", "--defined-only", stubs / "libcudart.so.13"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = {line.split()[-1] for line in listed.splitlines()}
    assert names == {"cudaOpen@@V13", "ncclOpen", "V13"}


def _compared(apart: float, *, pixels: str = "a") -> Compared:
    logits = np.arange(20, dtype=np.float32).reshape(5, 4)
    expected = Answers(pixels=("a",) * 5, logits=logits)
    found = Answers(pixels=("a",) * 4 + (pixels,), logits=logits - apart * np.eye(5, 4, dtype="f"))
    return Compared.of(expected, found, 0.5, 3)


def test_the_page_shows_each_machine_with_its_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "emulator_version", lambda: "qemu-aarch64 version 0")
    networks = (
        Network(name="small", rows={"a72": _compared(0.0)}, torchscript={}),
        Network(name="large", rows={"a72": _compared(1.0, pixels="b")}, torchscript={}),
    )
    page = markdown(networks, {ARM_PROCESSORS[0]: ("smull",)}, "photos.tar", "the command")
    assert "`the command`" in page
    assert "| ONNX Runtime on | small | large |\n|---|---|---|\n" in page
    assert (
        "| `a72` | 100.00 %, 0, 100.00 % (3); 100.00 %, 0, 100.00 % (2) "
        "| 75.00 %, 2, 100.00 % (3); 87.50 %, 2, 50.00 % (2) |"
    ) in page
    assert "the same pixels as here for 9 of 10 images" in page
    assert "| `cortex-a72` | Raspberry Pi 4; no dot product | smull |" in page
    assert "TorchScript" not in page


def test_torch_has_a_table_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "emulator_version", lambda: "qemu-aarch64 version 0")
    answered = {"qnnpack on cortex-a72": _compared(0.5)}
    network = Network(name="small", rows={"a72": _compared(0.0)}, torchscript=answered)
    page = markdown([network], {}, "photos.tar", "the command")
    assert "| torch | small |\n|---|---|\n| `qnnpack on cortex-a72` | 75.00 %, 1, " in page


@pytest.mark.parametrize("module", [study, torchscript])
def test_the_program_for_the_emulator_lies_beside_its_caller(module) -> None:
    assert module._WORKER.is_file()


def test_a_benchmark_without_an_emulator_ends_with_what_to_do(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(study.main)
    given = ("nowhere", "--images", "x", "--out", tmp_path / "page.md", "--arm", tmp_path)
    outcome = typer.testing.CliRunner().invoke(app, list(map(str, given)))
    assert outcome.exit_code == 2
    assert "ARM: cannot be emulated: " in outcome.output
    assert not (tmp_path / "page.md").exists()
