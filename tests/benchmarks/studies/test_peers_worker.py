"""The peers on a tiny random network: their real work, where a library need not be installed."""

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter
from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.studies.made_networks import KINDS, Kind
from eightbit.benchmarks.studies.peers import bench, runs, study
from eightbit.benchmarks.studies.peers.candidates import process as process_module
from eightbit.benchmarks.studies.peers.candidates import worker
from eightbit.benchmarks.studies.peers.candidates.by_torch import load_fx, without_stubs
from eightbit.benchmarks.studies.peers.candidates.job import (
    PEERS,
    Candidate,
    Job,
    calibration_batches,
)
from eightbit.benchmarks.studies.peers.candidates.process import Failed, Measured, run
from eightbit.benchmarks.studies.peers.results import Results, Row
from eightbit.models import Architecture
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.models.torch_warnings import EXPECTED
from eightbit.quantize.artifacts.onnx_export import export_float_onnx
from eightbit.quantize.network.network import fuse

SIDE = 32
CLASSES = 10
ENGINES = (Candidate.FX_X86, Candidate.FX_ONEDNN, Candidate.FX_FBGEMM)

# torch.ao is deprecated upstream, and what is compared with here.
in_torch = pytest.mark.filterwarnings(
    *(f"ignore:{message}" for message in EXPECTED),
    "ignore:Please use quant_min and quant_max",
    "ignore:Default qconfig of oneDNN backend with reduce_range of false",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(2 * CLASSES):
        path = folder / str(index % CLASSES) / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def tiny_job(
    tmp_path: Path, pictures: Path, random_network: Callable
) -> Callable[[Architecture, Candidate], Job]:
    def make(architecture: Architecture, candidate: Candidate) -> Job:
        network = random_network(architecture, side=SIDE, num_classes=CLASSES)
        torch.save(network.model.state_dict(), tmp_path / "weights.pth")
        metadata = ArtifactMetadata(
            precision=Precision.FP32,
            spec=network.spec,
            recipe_sha256=None,
            engine=None,
            versions={},
        )
        export_float_onnx(fuse(network), metadata, tmp_path / "float.onnx")
        return Job(
            candidate=candidate,
            spec=network.spec,
            weights=tmp_path / "weights.pth",
            file=tmp_path / "float.onnx",
            calibrate=pictures,
            evaluate=pictures,
            samples=8,
            limit=15,
            threads=1,
            folder=tmp_path / candidate.name,
        )

    return make


@pytest.fixture
def _engine_restored() -> Iterator[None]:
    before = torch.backends.quantized.engine
    yield
    torch.backends.quantized.engine = before


def test_every_candidate_can_be_loaded():
    assert set(worker.LOADERS) == set(Candidate)
    assert set(Candidate) == {Candidate.FLOAT, Candidate.ARTIFACT, *PEERS}


def test_a_job_survives_its_way_to_the_worker(tiny_job):
    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.NNCF)
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_the_draw_is_that_of_our_command_line(tiny_job, pictures):
    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.FLOAT)
    with open_source(pictures) as source:
        expected = [item.name for item in balanced_order(source.items, seed=0)[:8]]
    batches = list(calibration_batches(job, size=3))
    assert [name for batch in batches for name in batch.names] == expected
    assert [len(batch.pixels) for batch in batches] == [3, 3, 2]


@pytest.mark.parametrize("architecture", [Architecture.CIFAR_RESNET20, Architecture.RESNET50])
def test_the_network_without_stubs_computes_the_same(architecture, random_network, noise_images):
    network = random_network(architecture).model
    plain = copy.deepcopy(network)
    without_stubs(plain)
    images = torch.from_numpy(noise_images(4, 64))
    with torch.inference_mode():
        assert torch.equal(plain(images), network(images))
    left = {type(module).__name__ for module in plain.modules()}
    assert not left & {"QuantStub", "DeQuantStub", "FloatFunctional"}


@in_torch
@pytest.mark.usefixtures("_engine_restored")
@pytest.mark.parametrize("candidate", ENGINES, ids=lambda candidate: candidate.name)
@pytest.mark.parametrize(
    ("architecture", "convolutions", "adds"),
    [(Architecture.CIFAR_RESNET20, 19, 9), (Architecture.RESNET18, 20, 8)],
    ids=["cifar_resnet20", "resnet18"],
)
def test_fx_quantizes_every_convolution_sum_and_the_classifier(
    candidate, architecture, convolutions, adds, tiny_job
):
    graph = load_fx(tiny_job(architecture, candidate))().network
    kinds = [module._get_name() for module in graph.modules()]
    assert kinds.count("QuantizedConvReLU2d") + kinds.count("QuantizedConv2d") == convolutions
    assert kinds.count("QuantizedLinear") == 1
    assert not {"Conv2d", "Linear", "BatchNorm2d"} & set(kinds)
    sums = [node for node in graph.graph.nodes if node.target is torch.ops.quantized.add_relu]
    assert len(sums) == adds


@pytest.mark.parametrize("candidate", [Candidate.FX_ONEDNN, Candidate.ORT_MINMAX])
def test_a_peer_gives_logits_close_to_those_of_the_float_network(candidate, tiny_job):
    job = tiny_job(Architecture.CIFAR_RESNET20, candidate)
    update = {"candidate": Candidate.FLOAT, "folder": job.folder.with_name("float")}
    reference = run(job.model_copy(update=update))
    peer = run(job)
    assert isinstance(reference, Measured), reference
    assert isinstance(peer, Measured), peer
    assert len(peer.outcome.images) == 15
    assert peer.outcome.images == reference.outcome.images
    assert peer.outcome.seconds > 0
    assert peer.outcome.peak_rss_bytes > 50e6
    meter = FidelityMeter()
    meter.update(reference.logits, peer.logits)
    sqnr_db = meter.result().sqnr_db
    # Far above noise, and not float: eight bits of a network of twenty layers.
    assert sqnr_db is not None
    assert 15 < sqnr_db < 60
    # And so are the features that the classifier reads; what pools them has one scale of its own.
    assert reference.features is not None
    assert peer.features is not None
    assert peer.features.shape == reference.features.shape == (15, 64)
    meter = FidelityMeter()
    meter.update(reference.features, peer.features)
    assert 15 < (meter.result().sqnr_db or 0) < 60
    assert len(np.unique(peer.features)) <= 256


def test_features_are_what_the_classifier_multiplies(tiny_job):
    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.ARTIFACT)
    measured = run(job)
    assert isinstance(measured, Measured), measured
    assert measured.features is not None
    state = torch.load(job.weights, weights_only=True)
    product = measured.features @ state["fc.weight"].numpy().T + state["fc.bias"].numpy()
    np.testing.assert_allclose(product, measured.logits, rtol=1e-4, atol=1e-4)


def test_a_file_is_run_as_it_is(tiny_job):
    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.ARTIFACT)
    measured = run(job)
    assert isinstance(measured, Measured), measured
    assert measured.logits.shape == (15, CLASSES)


def test_a_file_as_written_answers_the_same_float_network(tiny_job):
    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.ARTIFACT)
    fused, written = (
        run(job.model_copy(update={"as_written": how, "folder": job.folder.with_name(str(how))}))
        for how in (False, True)
    )
    assert isinstance(fused, Measured), fused
    assert isinstance(written, Measured), written
    np.testing.assert_allclose(written.logits, fused.logits, rtol=1e-3, atol=1e-3)
    assert written.features is not None


def test_a_failure_is_told_in_the_first_line_of_its_error(tiny_job):
    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.ORT_MINMAX)
    failed = run(job.model_copy(update={"file": None}))
    assert failed == Failed(reason="no model.fp32.onnx to start from: eightbit quantize wrote none")


def test_an_error_of_a_library_has_its_kind_before_its_first_line(tiny_job, monkeypatch):
    def broken(job: Job) -> None:
        raise RuntimeError("first\nsecond")

    job = tiny_job(Architecture.CIFAR_RESNET20, Candidate.ORT_MINMAX)
    job.folder.mkdir()
    (job.folder / "job.json").write_text(job.model_dump_json())
    monkeypatch.setitem(worker.LOADERS, Candidate.ORT_MINMAX, broken)
    with pytest.raises(RuntimeError):
        worker.main(job.folder / "job.json")
    assert (job.folder / worker.FAILURE).read_text() == "RuntimeError: first"


def test_a_missing_nncf_is_told_with_the_extra_that_brings_it(tiny_job, monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ValueError, match=r"pip install 'eightbit\[peers\]'"):
        worker.LOADERS[Candidate.NNCF](tiny_job(Architecture.CIFAR_RESNET20, Candidate.NNCF))


def test_a_process_that_is_killed_is_a_failure(tiny_job, monkeypatch):
    def killed(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        return real(command, capture_output=True, text=True, check=False)

    real = subprocess.run
    monkeypatch.setattr(process_module.subprocess, "run", killed)
    failed = run(tiny_job(Architecture.CIFAR_RESNET20, Candidate.NNCF))
    assert failed == Failed(reason="its process was ended by SIGKILL (out of memory?)")


def test_the_study_quantizes_a_made_network_with_everybody_and_writes_its_table(
    pictures, tmp_path, monkeypatch
):
    """The whole program on a structure that has no name, with two peers and two of the methods."""
    tiny = Kind(
        architecture=Architecture.RESNET50,
        side=SIDE,
        seed=1,
        structure={"width_per_group": 4},
        num_classes=3,
        residual_gain=0.6,  # what the last blocks add is little: errors do not grow
    )
    monkeypatch.setitem(KINDS, "tiny", tiny)
    monkeypatch.setattr(bench, "PEERS", (Candidate.FX_ONEDNN, Candidate.ORT_MINMAX))
    monkeypatch.setattr(runs, "METHODS", runs.METHODS[:2])
    out = tmp_path / "table.md"
    study.main(
        results=tmp_path / "results.jsonl",
        out=out,
        networks=["tiny"],
        photos=pictures,
        part=[runs.Part.PEERS, runs.Part.METHODS],
        samples=8,
    )
    found = [result.row for result in Results(tmp_path / "results.jsonl")]
    assert [row.label for row in found] == [
        "eightbit",
        *("torch FX, onednn", "ONNX Runtime, MinMax"),
        "eightbit --method minmax --rounding nearest --bias-correction off",
        "eightbit --method minmax --rounding nearest --bias-correction on",
    ]
    for row in found:
        assert isinstance(row, Row), row
        assert row.top1 is None
        assert row.features is not None
        assert len(row.agreeing) == row.fidelity.n == 7  # a third of the pictures
        assert row.fidelity.sqnr_db is not None
        assert row.fidelity.sqnr_db > 5
    lines = out.read_text().splitlines()
    assert sum(line.startswith(f"| tiny | {SIDE} | 8 | 7 |") for line in lines) == 3
