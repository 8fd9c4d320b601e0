from pathlib import Path

from eightbit.benchmarks.studies import ablation
from eightbit.benchmarks.studies.command import parse_network
from eightbit.calibration import Method

NETWORK = parse_network("resnet18:some/r18.pth:64")


def test_every_range_method_is_measured():
    typed = {options[1] for options in ablation.CONFIGURATIONS.values() if "--method" in options}
    # The default is the first configuration.
    assert typed | {Method.AUTO} == set(Method)


def test_a_run_is_one_line_of_the_table(full_report):
    line = ablation.row(NETWORK, "default", full_report)
    cells = line.strip("| ").split(" | ")
    assert cells[:2] == ["r18", "default"]
    assert len(cells) == len(ablation.COLUMNS)
    # Evaluation and latency cost the same whatever is chosen.
    chosen = full_report.model_copy(update={"timings_s": {"calibrate": 2.0, "evaluate": 99.0}})
    assert ablation.row(NETWORK, "default", chosen).endswith(" 2.0 |")


def test_every_configuration_is_run_on_the_same_images(full_report, monkeypatch):
    commands = []

    def run(arguments, out):
        commands.append(arguments)
        return full_report

    monkeypatch.setattr(ablation, "quantize", run)
    lines = list(ablation.measure([NETWORK], Path("calibrate"), Path("evaluate")))
    assert len(lines) == len(ablation.CONFIGURATIONS)
    for command, options in zip(commands, ablation.CONFIGURATIONS.values(), strict=True):
        assert command[:3] == ["resnet18", "--weights", "some/r18.pth"]
        assert command[3 : 3 + len(options)] == list(options)
        assert command[-4:] == ["--calibrate", "calibrate", "--evaluate", "evaluate"]
