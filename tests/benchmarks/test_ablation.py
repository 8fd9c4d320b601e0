from pathlib import Path

from eightbit.benchmarks import ablation
from eightbit.benchmarks.networks import parse_network

NETWORK = parse_network("resnet18:some/r18.pth:64")


def test_each_artifact_of_a_run_is_one_line_of_the_table(full_report):
    lines = list(ablation.rows(NETWORK, "default", full_report))
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert [(row[0], row[1], row[3]) for row in cells] == [
        ("r18", "default", "torchscript"),
        ("r18", "default", "onnx"),
    ]
    assert {len(row) for row in cells} == {len(ablation.COLUMNS)}
    assert cells[0][-1] == f"{sum(full_report.timings_s.values()):.0f}"


def test_every_configuration_is_run_on_the_same_images(full_report, monkeypatch):
    commands = []

    def run(arguments, out):
        commands.append(arguments)
        return full_report

    monkeypatch.setattr(ablation, "quantize", run)
    lines = list(ablation.measure([NETWORK], Path("calibrate"), Path("evaluate")))
    assert len(lines) == 2 * len(ablation.CONFIGURATIONS)
    for command, options in zip(commands, ablation.CONFIGURATIONS.values(), strict=True):
        assert command[:3] == ["resnet18", "--weights", "some/r18.pth"]
        assert command[3 : 3 + len(options)] == list(options)
        assert command[-4:] == ["--calibrate", "calibrate", "--evaluate", "evaluate"]
