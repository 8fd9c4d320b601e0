"""The packed model on an emulated x86 processor without VNNI."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.runtimes.execution import Execution, emulator_problem

HASWELL = Execution(runtime=ONNX.runtime, emulated_cpu="Haswell")


def test_the_self_test_passes_without_vnni(packed: Path) -> None:
    if (problem := emulator_problem()) is not None:
        pytest.skip(f"Haswell cannot be emulated: {problem}")
    command = (*HASWELL.command_prefix(), sys.executable, packed, "--self-test", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    answers = json.loads(done.stdout)
    with zipfile.ZipFile(packed) as archive:
        expected = json.loads(archive.read("self_test.json"))
    assert answers["model_sha256"] == expected["model_sha256"]
    assert answers["pixels_sha256"] == [image["pixels_sha256"] for image in expected["images"]]
    found = np.array(answers["logits"])
    wanted = np.array([image["logits"] for image in expected["images"]])
    assert np.abs(found - wanted).max() <= 2 * expected["last_bit"]
    np.testing.assert_array_equal(found.argmax(axis=1), wanted.argmax(axis=1))
