"""A packed model on emulated ARM processors: the same logits, by their own instructions."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.benchmarks.studies.arm64.processors import (
    ARM_PROCESSORS,
    ArmProcessor,
    arm_environment,
)
from eightbit.benchmarks.studies.arm64.study import instructions
from eightbit.quantize.deploy.boards import compare_self_tests
from eightbit.quantize.stages import Stages

Made = Callable[[str], tuple[Path, Path]]

each_processor = pytest.mark.parametrize("processor", ARM_PROCESSORS, ids=lambda one: one.name)


def run(arm: Path, processor: ArmProcessor, *arguments: object) -> str:
    """What a Python on that processor prints; anything but a good end fails the test."""
    done = subprocess.run(
        [*processor.command(arm), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=arm_environment(arm),
    )
    assert done.returncode == 0, done
    return done.stdout


@each_processor
@pytest.mark.parametrize("network", ["cifar_resnet20", "resnet18", "resnet50"])
def test_the_self_test_passes_and_goes_into_the_report(
    arm: Path, made: Made, tmp_path: Path, processor: ArmProcessor, network: str
) -> None:
    folder, archive = made(network)
    answers = tmp_path / "answers.json"
    answers.write_text(run(arm, processor, archive, "--self-test", "--json"))
    found = compare_self_tests(folder, [answers], Stages(), threads=1)
    assert found.gate.passed, found.gate
    assert found.report.edge is not None
    (entry,) = (one for one in found.report.edge.elsewhere if one.processor == processor.title)
    assert entry.machine == "aarch64"
    assert entry.same_pixels
    for other in ("onnx", "reference"):
        parity = found.report.parity[f"{entry.name}_vs_{other}"]
        assert (parity.n, parity.top1_agreement) == (3, 1.0)
        assert parity.max_lsb <= 2


@each_processor
def test_a_processor_multiplies_by_its_own_instructions(
    arm: Path, made: Made, processor: ArmProcessor
) -> None:
    assert instructions(processor, arm, made("cifar_resnet20")[1]) == processor.products


def test_a_photo_is_classified_on_arm(arm: Path, made: Made, photos: Path) -> None:
    printed = run(arm, ARM_PROCESSORS[0], made("cifar_resnet20")[1], photos / "0.png", "--top", 2)
    name, *guesses = printed.splitlines()
    assert name == str(photos / "0.png")
    assert len(guesses) == 2
