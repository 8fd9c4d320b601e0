"""Tiny models and reports that the tests of this folder share."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.benchmarks.made_up_reports import ENVIRONMENT

from eightbit.benchmarks.accuracy.confidence import ConfidenceMeter, ConfidenceResult
from eightbit.benchmarks.accuracy.fidelity import FidelityResult, ParityResult
from eightbit.benchmarks.accuracy.paired import drop_interval_pp, mcnemar_p
from eightbit.benchmarks.accuracy.per_class import ClassDrop, adjusted
from eightbit.benchmarks.accuracy.tally import AccuracyResult, CandidateAccuracy, Flip
from eightbit.benchmarks.artifact.artifact import ArtifactMetadata, Precision, Runtime
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.document import (
    AccuracySection,
    CalibrationSection,
    Check,
    CoverageSection,
    EvaluationSection,
    FidelitySection,
    ModelSection,
    OperatorCoverage,
    Report,
    VerificationSection,
)
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.models.images.loading import SkippedImage
from eightbit.models.spec import Architecture, ModelSpec, Preprocessing

CLASSES = 7
WEIGHT = np.linspace(-1, 1, 3 * CLASSES, dtype=np.float32).reshape(3, CLASSES)


@pytest.fixture
def batch() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 3, 8, 6), dtype=np.float32)


@pytest.fixture
def expected_logits(batch: np.ndarray) -> np.ndarray:
    """What both tiny models compute: the mean of every channel times WEIGHT."""
    return batch.mean(axis=(2, 3)) @ WEIGHT


@pytest.fixture
def metadata() -> ArtifactMetadata:
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=CLASSES),
        recipe_sha256="ab" * 32,
        engine=torch.backends.quantized.engine,
        versions={"torch": "2.13.0", "onnx": "1.23.2"},
    )


@pytest.fixture(scope="session")
def small_metadata() -> ArtifactMetadata:
    """Of a tiny model for images of 8 px, without an engine of its own."""
    return ArtifactMetadata(
        precision=Precision.INT8,
        spec=ModelSpec(
            architecture=Architecture.CIFAR_RESNET20,
            num_classes=CLASSES,
            preprocessing=Preprocessing(resize=8, crop=8),
        ),
    )


def _write_onnx(path: Path, metadata: str | None) -> None:
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {"eightbit": metadata})
    onnx.save(model, path)


class _Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(WEIGHT))

    def forward(self, x):
        return x.mean((2, 3)) @ self.weight


class _Talkative(_Tiny):
    def forward(self, x):
        for _ in range(20000):  # more than a pipe holds
            print("a library that prints to standard output")
        return x.mean((2, 3)) @ self.weight


def _write_torchscript(path: Path, metadata: str | None, module: torch.nn.Module) -> None:
    with warnings.catch_warnings():
        # TorchScript is deprecated upstream; it is what is tested here.
        warnings.filterwarnings("ignore", ".*torch.jit.*", DeprecationWarning)
        extra = {} if metadata is None else {"eightbit.json": metadata}
        torch.jit.save(torch.jit.script(module.eval()), str(path), _extra_files=extra)


@pytest.fixture(scope="session")
def write_model() -> Callable[..., Path]:
    """Writes the tiny model for a runtime into a folder and returns the file."""

    def write(runtime: Runtime, folder: Path, metadata: str | None = None) -> Path:
        if runtime is Runtime.TORCHSCRIPT:
            path = folder / "tiny.pt"
            _write_torchscript(path, metadata, _Tiny())
        else:
            path = folder / "tiny.onnx"
            _write_onnx(path, metadata)
        return path

    return write


@pytest.fixture
def talkative_model(tmp_path: Path) -> Path:
    path = tmp_path / "talkative.pt"
    _write_torchscript(path, None, _Talkative())
    return path


@pytest.fixture(scope="session", params=list(Runtime), ids=lambda runtime: runtime.value)
def execution(request: pytest.FixtureRequest) -> Execution:
    """Once per runtime, as it executes by itself."""
    if request.param is Runtime.OPENVINO:
        pytest.importorskip("openvino", exc_type=ImportError)
    return Execution(runtime=request.param)


@pytest.fixture(scope="session")
def model_file(
    execution: Execution,
    tmp_path_factory: pytest.TempPathFactory,
    write_model: Callable[..., Path],
) -> Path:
    """The tiny model without metadata, once per runtime."""
    return write_model(execution.runtime, tmp_path_factory.mktemp("model"))


@pytest.fixture
def almost_empty_report() -> Report:
    return Report(
        eightbit_version="0.1.0",
        command="eightbit benchmark out",
        model=ModelSection(
            spec=ModelSpec(architecture=Architecture.RESNET18, num_classes=1000), weights="DEFAULT"
        ),
    )


@pytest.fixture
def full_report() -> Report:
    return Report(
        eightbit_version="0.1.0",
        command="eightbit quantize resnet18 --weights DEFAULT --calibrate photos --out out",
        model=ModelSection(
            spec=ModelSpec(
                architecture=Architecture.RESNET18,
                num_classes=7,
                labels=("cat", "dog", "bird", "fish", "horse", "frog", "ship"),
            ),
            weights="DEFAULT",
            weights_sha256="cd" * 32,
        ),
        config={"method": "minmax", "samples": 128, "target": "portable"},
        recipe_sha256="ab" * 32,
        calibration=CalibrationSection(
            source="photos.tar",
            images=128,
            skipped=(SkippedImage(name="broken.png", reason="truncated"),),
            also_in_evaluation=3,
        ),
        evaluation=EvaluationSection(source="photos-test.tar", images=4000, labelled=True),
        verification=VerificationSection(
            images=64,
            passed=True,
            checks=(
                Check(name="same integers", passed=True, detail="99.98 % within one last bit"),
                Check(name="every convolution in integers", passed=True, detail="20 of 20"),
            ),
        ),
        accuracy=AccuracySection(
            fp32=AccuracyResult(top1=0.811, top5=0.96, n=4000, confidence=_confidence(right=3244)),
            torchscript=_candidate_accuracy(broke=60, fixed=52),
            onnx=_candidate_accuracy(broke=30, fixed=26),
        ),
        fidelity=FidelitySection(
            torchscript=FidelityResult(
                sqnr_db=35.87,
                median_image_sqnr_db=37.25,
                mean_kl=0.004321,
                top1_agreement=0.9695,
                n=4000,
            ),
            onnx=FidelityResult(
                sqnr_db=35.91,
                median_image_sqnr_db=37.42,
                mean_kl=0.003456,
                top1_agreement=0.9835,
                n=4000,
            ),
        ),
        parity={
            "torchscript-onnx": ParityResult(
                max_lsb=1,
                identical_fraction=0.9512,
                within_one_lsb_fraction=1.0,
                top1_agreement=0.99,
                n=64,
            )
        },
        latency=tuple(
            _latency(runtime, artifact, precision, p50_ms)
            for runtime, artifact, precision, p50_ms in (
                (Runtime.ONNXRUNTIME, "model.fp32.onnx", Precision.FP32, 31.0),
                (Runtime.ONNXRUNTIME, "model.int8.onnx", Precision.INT8, 10.0),
                (Runtime.TORCHSCRIPT, "float TorchScript", Precision.FP32, 42.0),
                (Runtime.TORCHSCRIPT, "model.int8.pt", Precision.INT8, 14.0),
            )
        ),
        size_bytes={
            "model.int8.onnx": 11_700_000,
            "model.int8.pt": 12_000_000,
            "model.fp32.onnx": 44_700_000,
            "recipe.json": 81_234,
        },
        coverage=CoverageSection(
            conv=OperatorCoverage(quantized=20, total=20),
            add=OperatorCoverage(quantized=8, total=8),
            linear=OperatorCoverage(quantized=1, total=1),
            pool=OperatorCoverage(quantized=2, total=2),
        ),
        environment=ENVIRONMENT,
        timings_s={"calibrate": 6.6, "export": 2.25},
        peak_rss_bytes=1_234_000_000,
    )


def _candidate_accuracy(*, broke: int, fixed: int) -> CandidateAccuracy:
    return CandidateAccuracy(
        top1=0.811 - (broke - fixed) / 4000,
        top5=0.959,
        n=4000,
        drop_pp=100 * (broke - fixed) / 4000,
        drop_ci95_pp=drop_interval_pp(broke, fixed, 4000),
        flips=(Flip(image="bird/7.png", label=2, float_class=2, int8_class=3),),
        flip_count=broke + fixed + 10,
        broke=broke,
        fixed=fixed,
        top1_agreement=1 - (broke + fixed + 10) / 4000,
        confidence=_confidence(right=3244 - broke + fixed),
        mcnemar_p=mcnemar_p(broke, fixed),
        classes=_classes(broke=broke, fixed=fixed),
    )


def _confidence(*, right: int) -> ConfidenceResult:
    """Of 4,000 images, a quarter of them at 55 % and half of those right."""
    meter = ConfidenceMeter()
    meter.update(np.full(1000, 0.55), np.arange(1000) < 500)
    meter.update(np.full(3000, 0.95), np.arange(3000) < right - 500)
    return meter.result()


def _classes(*, broke: int, fixed: int) -> tuple[ClassDrop, ...]:
    """Seven classes: a tenth of what changed in each, and the rest in the third and the sixth."""
    counts = [(broke // 10, fixed // 10)] * 7
    counts[2] = (broke - 6 * (broke // 10), fixed // 10)
    counts[5] = (broke // 10, fixed - 6 * (fixed // 10))
    p_values = [mcnemar_p(*count) for count in counts]
    return tuple(
        ClassDrop(
            index=index,
            n=600 if index else 400,
            top1_fp32=0.811,
            drop_pp=100 * (lost - won) / (600 if index else 400),
            broke=lost,
            fixed=won,
            p_value=p_value,
            p_adjusted=p_adjusted,
        )
        for index, ((lost, won), p_value, p_adjusted) in enumerate(
            zip(counts, p_values, adjusted(p_values), strict=True)
        )
    )


def _latency(runtime: Runtime, artifact: str, precision: Precision, p50_ms: float) -> LatencyResult:
    return LatencyResult(
        runtime=runtime,
        artifact=artifact,
        precision=precision,
        threads=2,
        batch=1,
        n=100,
        p50_ms=p50_ms,
        p90_ms=p50_ms * 1.1,
        p99_ms=p50_ms * 1.5,
        images_per_s=1000 / p50_ms,
    )
