"""Several runs that share a pass over the images give what the command line gives one by one."""

import json
from pathlib import Path

import pytest

from eightbit.benchmarks.studies.peers.candidates.job import OwnJob, OwnOutcome
from eightbit.benchmarks.studies.peers.candidates.worker import FAILURE, OUTCOME
from eightbit.models import load_pretrained
from eightbit.models.spec import Architecture
from eightbit.quantize.studies import recipes

pytestmark = pytest.mark.study

SAMPLES = 8
PLAIN = {"method": "minmax", "rounding": "nearest", "bias-correction": "off"}


@pytest.fixture
def job(checkpoint: Path, photos: Path, tmp_path: Path) -> OwnJob:
    loaded = load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint))
    (tmp_path / "job").mkdir()
    return OwnJob(
        spec=loaded.spec,
        weights=checkpoint,
        calibrate=photos,
        samples=SAMPLES,
        threads=1,
        folder=tmp_path / "job",
        runs={"default": {}, "plain": PLAIN},
    )


def test_the_models_are_those_of_the_command_line_byte_for_byte(job, quick, eightbit, tmp_path):
    recipes.work(job)
    for name, options in job.runs.items():
        typed = [part for option, value in options.items() for part in (f"--{option}", value)]
        out = tmp_path / name
        outcome = eightbit(*quick, *typed, "--out", out)
        assert outcome.code == 0, outcome
        for file in ("model.int8.onnx", "model.fp32.onnx"):
            assert (job.folder / name / file).read_bytes() == (out / file).read_bytes()
        cost = OwnOutcome.model_validate_json((job.folder / name / OUTCOME).read_bytes())
        assert cost.seconds > 0
    default, plain = (
        json.loads((job.folder / name / "recipe.json").read_text()) for name in job.runs
    )
    assert default["config"] != plain["config"]


def test_runs_that_would_need_a_pass_of_their_own_are_refused_in_one_line(job):
    update = {"runs": {"a": {}, "b": {"equalize": "off"}}}
    (job.folder / "job.json").write_text(job.model_copy(update=update).model_dump_json())
    with pytest.raises(ValueError, match="ranges, rounding and target alone"):
        recipes.main(job.folder / "job.json")
    assert (job.folder / FAILURE).read_text().startswith("ValueError: expected runs")
