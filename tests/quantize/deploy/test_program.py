"""classify.py where it will live: unpacked or in its archive, on a machine without torch."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eightbit.quantize import classify


def run(program: Path, *arguments: object, python: Path | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the program in a fresh process, from another folder."""
    command = [python or sys.executable, "-I", program, *arguments]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd="/"
    )
    return done.returncode, done.stdout, done.stderr


def test_from_the_archive_and_unpacked_it_answers_what_eightbit_answers(
    packed: Path, unpacked: Path, bundle_folder: Path, photo: Path
) -> None:
    ((_, guesses),) = classify(bundle_folder / "model.int8.onnx", [photo], threads=1, top=3)
    expected = [f"{guess.probability:8.1%}  {guess.label}" for guess in guesses]
    for where in (packed, unpacked / "classify.py"):
        code, out, err = run(where, photo, "--top", 3)
        assert (code, err) == (0, "")
        assert out.splitlines() == [str(photo), *expected]


def test_the_self_test_passes_and_says_where(packed: Path) -> None:
    code, out, err = run(packed, "--self-test")
    assert (code, err) == (0, "")
    *pictures, verdict = out.splitlines()
    assert [line.partition(":")[0] for line in pictures] == [f"self_test/{i}.png" for i in range(3)]
    assert all(line.endswith("largest difference of a logit: 0 last bits") for line in pictures)
    assert verdict.startswith("passed: the same classes, within 2 last bits (python ")
    assert platform.machine() in verdict


def test_the_self_test_as_json_is_what_the_report_takes_in(unpacked: Path) -> None:
    code, out, _ = run(unpacked / "classify.py", "--self-test", "--json")
    assert code == 0
    said = json.loads(out)
    test = json.loads((unpacked / "self_test.json").read_text())
    assert said["format_version"] == 1
    assert said["model_sha256"] == test["model_sha256"]
    assert said["machine"] == platform.machine()
    assert set(said["versions"]) == {"python", "onnxruntime", "numpy", "pillow"}
    assert said["pixels_sha256"] == [image["pixels_sha256"] for image in test["images"]]
    document = (unpacked / "self_test.json").read_bytes()
    assert said["self_test_sha256"] == hashlib.sha256(document).hexdigest()
    assert said["logits"] == [image["logits"] for image in test["images"]]


def changed(folder: Path, change: Callable[[dict[str, object]], None]) -> Path:
    """The program, beside a self-test whose first picture expects something else."""
    path = folder / "self_test.json"
    test = json.loads(path.read_text())
    change(test)
    path.write_text(json.dumps(test))
    return folder / "classify.py"


@pytest.mark.parametrize(("last_bits", "passes"), [(2, True), (3, False), (-2, True), (-3, False)])
def test_a_logit_may_be_two_last_bits_away_and_no_more(
    unpacked: Path, last_bits: int, passes: bool
) -> None:
    def change(test: dict) -> None:
        lowest = int(np.argmin(test["images"][1]["logits"]))
        test["images"][1]["logits"][lowest] += last_bits * test["last_bit"]

    code, out, _ = run(changed(unpacked, change), "--self-test")
    assert code == (0 if passes else 1)
    assert f"a logit: {abs(last_bits)} last bits" in out.splitlines()[1]
    assert ("failed: this machine's runtime computes differently" in out) == (not passes)


def test_another_class_fails_however_few_last_bits_it_takes(unpacked: Path) -> None:
    def change(test: dict) -> None:
        logits = test["images"][0]["logits"]
        first, second = np.argsort(logits)[:-3:-1]
        test["last_bit"] = 0.49 * max(abs(logit) for logit in logits)
        logits[first], logits[second] = logits[second], logits[first]

    program = changed(unpacked, change)
    code, out, _ = run(program, "--self-test")
    assert code == 1
    assert "another class than expected; largest difference of a logit: " in out
    assert out.splitlines()[-1].startswith("failed: ")
    code, out, _ = run(program, "--self-test", "--json")
    assert code == 1
    assert json.loads(out)["format_version"] == 1  # a failure can be kept as well


@pytest.mark.parametrize("last_bit", ["Infinity", "1e999", "1e300", "1e9", "0", "-0.1", "NaN"])
def test_a_last_bit_in_which_no_logit_could_differ_is_refused(
    unpacked: Path, last_bit: str
) -> None:
    path = unpacked / "self_test.json"
    kept = json.loads(path.read_text())["last_bit"]
    path.write_text(path.read_text().replace(f'"last_bit": {kept}', f'"last_bit": {last_bit}'))
    code, out, err = run(unpacked / "classify.py", "--self-test")
    assert (code, out) == (2, "")
    assert "self_test.json: cannot be used: ValueError: a last_bit above 0" in err


@pytest.mark.parametrize("logits", [[0.0], [float("inf")] * 10, []])
def test_expected_logits_that_are_none_are_refused(unpacked: Path, logits: list[float]) -> None:
    def change(test: dict) -> None:
        for image in test["images"]:
            image["logits"] = logits

    code, _, err = run(changed(unpacked, change), "--self-test")
    assert code == 2
    assert "finite logits were expected" in err


@pytest.mark.parametrize("logits_too", [False, True])
def test_other_pixels_are_told_apart_from_other_arithmetic(
    unpacked: Path, logits_too: bool
) -> None:
    def change(test: dict) -> None:
        test["images"][2]["pixels_sha256"] = "0" * 64
        if logits_too:
            test["images"][2]["logits"][0] += 3 * test["last_bit"]

    code, out, _ = run(changed(unpacked, change), "--self-test")
    assert code == int(logits_too)
    assert "this machine decodes or resizes pictures differently" in out.splitlines()[-1]
    assert "runtime computes" not in out


def test_photos_before_a_bad_one_are_answered(unpacked: Path, photo: Path) -> None:
    code, out, err = run(unpacked / "classify.py", photo, unpacked / "README.md")
    assert code == 2
    assert out.splitlines()[0] == str(photo)
    assert "README.md: expected an image" in err


def test_without_its_packages_it_says_what_to_install(unpacked: Path, photo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", unpacked / "classify.py", photo],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("classify: expected onnxruntime, numpy and pillow, found: No module")
    assert line.endswith("pip install -U onnxruntime numpy pillow")


@pytest.mark.parametrize("member", ["model.int8.onnx", "self_test.json"])
def test_a_flipped_byte_in_the_archive_is_refused(
    packed: Path, tmp_path: Path, member: str
) -> None:
    with zipfile.ZipFile(packed) as archive:
        content = archive.read(member)
    data = bytearray(packed.read_bytes())
    data[data.index(content) + len(content) // 2] ^= 1
    damaged = tmp_path / "model.zip"
    damaged.write_bytes(data)
    code, out, err = run(damaged, "--self-test")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert "expected a whole archive, found" in line
    assert f"Bad CRC-32 for file '{member}'" in line


@pytest.mark.parametrize("in_archive", [True, False])
def test_output_that_nobody_takes_is_no_failed_self_test(
    packed: Path, unpacked: Path, in_archive: bool
) -> None:
    program = packed if in_archive else unpacked / "classify.py"
    command = [sys.executable, program, "--self-test"]
    reading, writing = os.pipe()
    os.close(reading)
    piped = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (piped.returncode, piped.stderr) == (141, "")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("classify: ")
    assert "No space left on device" in line


def test_names_of_classes_cannot_move_the_cursor(unpacked: Path, photo: Path) -> None:
    (unpacked / "labels.txt").write_text("".join(f"class \x1b[31m{i}\n" for i in range(10)))
    code, out, _ = run(unpacked / "classify.py", photo)
    assert code == 0
    assert "\x1b" not in out
    assert r"class \x1b[31m" in out


@pytest.fixture(scope="session")
def bare_python(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with what requirements.txt asks for, and nothing else."""
    home = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    with zipfile.ZipFile(packed) as archive:
        requirements = Path(archive.extract("requirements.txt", home))
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    options = ("--quiet", "--no-compile", "--only-binary=:all:", "--retries", "1")
    installed = subprocess.run(
        [*pip, "install", *options, "-r", requirements], capture_output=True, text=True, check=False
    )
    if "connection broken by" in installed.stderr:  # as pip says where it reaches no index
        pytest.skip(f"no package index: {installed.stderr.splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    return python


def test_on_a_machine_without_torch_two_commands_classify_a_photo(
    bare_python: Path, packed: Path, unpacked: Path, photo: Path, bundle_folder: Path
) -> None:
    missing = subprocess.run(
        [bare_python, "-I", "-c", "import torch"], capture_output=True, text=True, check=False
    )
    assert "No module named 'torch'" in missing.stderr
    ((_, guesses),) = classify(bundle_folder / "model.int8.onnx", [photo], threads=1, top=1)
    for program in (packed, unpacked / "classify.py"):
        code, out, err = run(program, "--self-test", python=bare_python)
        assert (code, err) == (0, "")
        assert out.splitlines()[-1].startswith("passed: ")
        code, out, err = run(program, photo, "--top", 1, python=bare_python)
        assert (code, err) == (0, "")
        assert out.splitlines()[1] == f"{guesses[0].probability:8.1%}  {guesses[0].label}"
