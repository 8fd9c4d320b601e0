"""Reports of runs that never were, one for each way in which a page could break."""

import base64
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from eightbit.benchmarks.accuracy import AccuracyResult, CandidateAccuracy, Flip
from eightbit.benchmarks.artifact import Precision, Runtime
from eightbit.benchmarks.confidence import ConfidenceBin, ConfidenceResult
from eightbit.benchmarks.diagnosis import Histogram, TensorDiagnosis
from eightbit.benchmarks.environment import Environment
from eightbit.benchmarks.fallback import FallbackSection, FallbackStep
from eightbit.benchmarks.fidelity import FidelityResult, ParityResult
from eightbit.benchmarks.latency import LatencyResult
from eightbit.benchmarks.machine import BenchmarkSection, MachineLimit, WholePath
from eightbit.benchmarks.paired import drop_interval_pp
from eightbit.benchmarks.parity import ExecutionsSection, pair_name
from eightbit.benchmarks.per_class import ClassDrop
from eightbit.benchmarks.report import (
    AccuracySection,
    CalibrationSection,
    Check,
    ConvergencePoint,
    CoverageSection,
    EvaluationSection,
    FidelitySection,
    ModelSection,
    OperatorCoverage,
    Report,
    SkippedImage,
    VerificationSection,
)
from eightbit.models.spec import Architecture, ModelSpec

_ARABIC = "\u0645\u0631\u062d\u0628\u0627"
HOSTILE = f"<script>alert(1)</script> \"'&amp; {{{{ 7*7 }}}} $x$ \u202egnp.tac\x1b[31m {_ARABIC}"
LONG = "a" * 150 + "/" + "b" * 149
ANIMALS = ("cat", "dog", "bird", "fish", "horse", "frog", "ship")


def full() -> Report:
    return made_up(ANIMALS)


def without_labels() -> Report:
    report = made_up(ANIMALS)
    accuracy, evaluation = report.accuracy, report.evaluation
    assert accuracy is not None
    assert evaluation is not None
    unknown = {"top1": None, "top5": None, "confidence": None}
    candidates = {
        name: getattr(accuracy, name).model_copy(
            update={
                **unknown,
                **dict.fromkeys(("drop_pp", "drop_ci95_pp", "broke", "fixed", "mcnemar_p")),
                "classes": (),
                "flips": tuple(
                    flip.model_copy(update={"label": None})
                    for flip in getattr(accuracy, name).flips
                ),
            }
        )
        for name in ("torchscript", "onnx")
    }
    fp32 = accuracy.fp32.model_copy(update=unknown)
    return report.model_copy(
        update={
            "accuracy": AccuracySection(fp32=fp32, **candidates),
            "evaluation": evaluation.model_copy(update={"labelled": False, "matched_by": None}),
        }
    )


def one_class() -> Report:
    return made_up(("only",), flips=0)


def thousand_classes() -> Report:
    return made_up(tuple(f"class number {index} of many" for index in range(1000)), tensors=160)


def float_layers() -> Report:
    report = made_up(ANIMALS)
    steps = tuple(
        FallbackStep(
            float_layers=count,
            added=tuple(f"layer{index}.0.conv1" for index in range(count)),
            artifact="onnx",
            drop_pp=drop,
            drop_ci95_pp=(drop - 0.3, drop + 0.3),
            top1_agreement=0.97,
            latency_ratio=1 + 0.1 * count,
            met=drop <= 0.2,
            chosen=count == 4,
        )
        for count, drop in ((0, 1.5), (2, 0.7), (4, 0.1))
    )
    fallback = FallbackSection(
        target_pp=1.0, met=True, evaluations=3, candidates=21, images_needed=None, steps=steps
    )
    coverage = CoverageSection(
        conv=OperatorCoverage(quantized=16, total=20, meant_as_float=4),
        add=OperatorCoverage(quantized=8, total=8),
        linear=OperatorCoverage(quantized=1, total=1),
    )
    return report.model_copy(
        update={"fallback": fallback, "max_drop_pp": 1.0, "coverage": coverage}
    )


def failed() -> Report:
    report = made_up(ANIMALS, broke=200)
    checks = (Check(name="same integers", passed=False, detail="80 % within one last bit"),)
    return report.model_copy(
        update={
            "max_drop_pp": 0.5,
            "verification": VerificationSection(images=64, passed=False, checks=checks),
        }
    )


def almost_empty() -> Report:
    spec = ModelSpec(architecture=Architecture.RESNET18, num_classes=1000)
    return Report(
        eightbit_version="0.1.0", command="", model=ModelSection(spec=spec, weights="DEFAULT")
    )


def hostile() -> Report:
    """Every text that a stranger could have written is meant to do harm."""
    report = made_up((HOSTILE, LONG, *ANIMALS[2:]), names=(HOSTILE, LONG))
    calibration, evaluation = report.calibration, report.evaluation
    assert calibration is not None
    assert evaluation is not None
    skipped = (SkippedImage(name=HOSTILE, reason=HOSTILE), SkippedImage(name=LONG, reason=LONG))
    return report.model_copy(
        update={
            "command": f"eightbit quantize {HOSTILE} {LONG}",
            "model": report.model.model_copy(update={"weights": HOSTILE}),
            "config": {HOSTILE: LONG, "method": HOSTILE},
            "calibration": calibration.model_copy(update={"source": HOSTILE, "skipped": skipped}),
            "evaluation": evaluation.model_copy(
                update={
                    "source": LONG,
                    "skipped": skipped,
                    "thumbnails": {HOSTILE: "AAAA", LONG: "AAA"},
                }
            ),
            "size_bytes": {**report.size_bytes, f"{HOSTILE}.int8.onnx": 5, f"{LONG}.pt": 7},
            "parity": {
                pair_name(HOSTILE, LONG): _parity(7),
                pair_name("onnx", LONG): _parity(0),
                HOSTILE: _parity(1),
            },
        }
    )


REPORTS: dict[str, Callable[[], Report]] = {
    "full": full,
    "without labels": without_labels,
    "one class": one_class,
    "thousand classes": thousand_classes,
    "float layers": float_layers,
    "failed": failed,
    "almost empty": almost_empty,
    "hostile": hostile,
}


def made_up(
    labels: Sequence[str],
    *,
    names: Sequence[str] = (),
    flips: int = 12,
    tensors: int = 24,
    broke: int = 30,
) -> Report:
    """A report in which everything was measured."""
    images = tuple(names) or tuple(f"{labels[0][:40]}/{index}.png" for index in range(flips))
    return Report(
        eightbit_version="0.1.0",
        command="eightbit quantize resnet18 --weights DEFAULT --calibrate photos --out out",
        model=ModelSection(
            spec=ModelSpec(
                architecture=Architecture.RESNET18, num_classes=len(labels), labels=tuple(labels)
            ),
            weights="DEFAULT",
            weights_sha256="cd" * 32,
        ),
        config={"method": "auto", "samples": 128, "target": "portable", "mode": "fx", "seed": None},
        recipe_sha256="ab" * 32,
        calibration=CalibrationSection(
            source="photos.tar",
            images=128,
            convergence=tuple(
                ConvergencePoint(images=images, tensor="layer1.0.conv1", largest_change=4 / images)
                for images in (64, 96, 128)
            ),
            watched="percentile",
        ),
        evaluation=EvaluationSection(
            source="photos-test.tar",
            images=4000,
            labelled=True,
            matched_by="name",
            images_per_s=900.0,
            thumbnails={name: _thumbnail(index) for index, name in enumerate(images)},
        ),
        verification=VerificationSection(
            images=64,
            passed=True,
            checks=(
                Check(name="onnx: finite logits", passed=True, detail="0 of 640 are NaN"),
                Check(name="same predictions", passed=True, detail="0.0% differ, 5% allowed"),
            ),
        ),
        accuracy=AccuracySection(
            fp32=AccuracyResult(
                top1=0.811,
                top5=None if len(labels) < 6 else 0.96,
                n=4000,
                confidence=_confidence(0),
            ),
            torchscript=_candidate(labels, images, broke=broke + 2, fixed=26),
            onnx=_candidate(labels, images, broke=broke, fixed=26),
        ),
        fidelity=FidelitySection(torchscript=_fidelity(35.9), onnx=_fidelity(None)),
        diagnosis=tuple(_tensor(index, tensors) for index in range(tensors)),
        parity={
            pair_name(first, second): _parity(0 if "openvino" not in (first, second) else 2)
            for first, second in (
                *(("onnx", other) for other in ("openvino", "reference", "torchscript")),
                ("openvino", "reference"),
                ("torchscript", "reference"),
                ("torchscript", "onnx"),
            )
        },
        executions=ExecutionsSection(source="photos.tar", images=64),
        latency=_latency(),
        benchmark=BenchmarkSection(
            products_per_image=1_814_000_000,
            limits=tuple(
                MachineLimit(
                    precision=precision, threads=2, products_per_s=rate, library="onnxruntime"
                )
                for precision, rate in ((Precision.FP32, 7e10), (Precision.INT8, 3e11))
            ),
            whole_path=tuple(
                WholePath(
                    runtime=runtime,
                    artifact=artifact,
                    threads=2,
                    photo="JPEG, 500 x 375 pixels",
                    n=16,
                    decode_ms=2.2,
                    resize_ms=0.9,
                    normalise_ms=0.4,
                    infer_ms=infer_ms,
                    total_ms=3.5 + infer_ms,
                )
                for runtime, artifact, infer_ms in (
                    (Runtime.ONNXRUNTIME, "model.int8.onnx", 9.9),
                    (Runtime.TORCHSCRIPT, "model.int8.pt", 14.2),
                )
            ),
            launches=5,
            rounds=10,
            busy_fraction=0.01,
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
        environment=Environment(
            cpu="Example CPU @ 3 GHz",
            architecture="x86_64",
            logical_cores=2,
            isa=("avx2", "avx512_vnni"),
            memory_bytes=8_000_000_000,
            os="Linux 6.1",
            python="3.11.2",
            versions={"torch": "2.13.0", "onnxruntime": "1.31.1"},
        ),
        timings_s={"calibrate": 6.6, "export": 2.25},
        peak_rss_bytes=1_234_000_000,
    )


def _candidate(
    labels: Sequence[str], images: Sequence[str], *, broke: int, fixed: int
) -> CandidateAccuracy:
    count = len(labels)
    return CandidateAccuracy(
        top1=0.811 - (broke - fixed) / 4000,
        top5=None if count < 6 else 0.959,
        n=4000,
        confidence=_confidence(1),
        drop_pp=100 * (broke - fixed) / 4000,
        drop_ci95_pp=drop_interval_pp(broke, fixed, 4000),
        flips=tuple(
            Flip(
                image=name,
                label=index % count,
                float_class=(index % 3) % count,
                int8_class=(index % 3 + 1) % count,
                float_probability=0.51,
                int8_probability=0.48,
            )
            for index, name in enumerate(images)
        ),
        flip_count=broke + fixed + 10 if images else 0,
        broke=broke,
        fixed=fixed,
        top1_agreement=1 - (broke + fixed + 10) / 4000,
        mcnemar_p=0.69,
        classes=tuple(
            ClassDrop(
                index=index,
                n=4,
                top1_fp32=0.8,
                drop_pp=(index * 37 % 11) - 4.0,
                broke=6,
                fixed=2,
                p_value=0.001 if index == 3 else 0.29,
                p_adjusted=0.01 if index == 3 else 0.9,
            )
            for index in range(count)
        ),
    )


def _confidence(offset: int) -> ConfidenceResult:
    bins = tuple(
        ConfidenceBin(images=0, mean_confidence=None, accuracy=None)
        if index < 3
        else ConfidenceBin(
            images=90 * index,
            mean_confidence=(index + 0.5) / 15,
            accuracy=max(0.0, (index - offset) / 15),
        )
        for index in range(15)
    )
    return ConfidenceResult(ece=0.05 + 0.01 * offset, mean_confidence=0.86, bins=bins)


def _fidelity(sqnr_db: float | None) -> FidelityResult:
    return FidelityResult(
        sqnr_db=sqnr_db, median_image_sqnr_db=37.3, mean_kl=0.0043, top1_agreement=0.97, n=4000
    )


def _parity(max_lsb: int) -> ParityResult:
    return ParityResult(
        max_lsb=max_lsb,
        identical_fraction=1.0 if max_lsb == 0 else 0.5,
        within_one_lsb_fraction=1.0 if max_lsb < 2 else 0.9,
        top1_agreement=1.0 if max_lsb < 7 else 0.5,
        n=64,
    )


def _tensor(index: int, count: int) -> TensorDiagnosis:
    """The worst first; executed in another order."""
    bell = tuple(round(2000 * math.exp(-(((bin - 32) / 12) ** 2))) for bin in range(64))
    shown = index < 6
    return TensorDiagnosis(
        name=f"layer{index % 4}.{index // 4}.conv{index % 2 + 1}",
        low=-1.5,
        high=2.5,
        observed_low=-2.0,
        observed_high=3.0,
        saturated_fraction=0.0003,
        sqnr_alone_db=None if index == count - 1 else 24.0 + index / 10,
        sqnr_accumulated_db=22.0 + index / 20,
        weight_sqnr_db=38.0 if index % 3 else None,
        position=(index * 7) % count,
        values=Histogram(low=-2.0, high=3.0, counts=bell) if shown else None,
        weights=Histogram(low=-140.0, high=140.0, counts=bell) if shown and index % 3 else None,
    )


def _latency() -> tuple[LatencyResult, ...]:
    entries = []
    for batch in (1, 8):
        for runtime, artifact, precision, p50_ms in (
            (Runtime.ONNXRUNTIME, "model.fp32.onnx", Precision.FP32, 31.0),
            (Runtime.ONNXRUNTIME, "model.int8.onnx", Precision.INT8, 10.0),
            (Runtime.TORCHSCRIPT, "float TorchScript, frozen", Precision.FP32, 42.0),
            (Runtime.TORCHSCRIPT, "model.int8.pt", Precision.INT8, 14.0),
        ):
            is_int8 = precision is Precision.INT8
            entries.append(
                LatencyResult(
                    runtime=runtime,
                    artifact=artifact,
                    precision=precision,
                    threads=2,
                    batch=batch,
                    n=100,
                    p50_ms=p50_ms * batch,
                    p90_ms=p50_ms * batch * 1.1,
                    p99_ms=p50_ms * batch * 1.5,
                    images_per_s=1000 / p50_ms,
                    launches=5,
                    load_s=1.1,
                    peak_rss_bytes=200_000_000,
                    is_baseline=not is_int8,
                    speedup=3.05 if is_int8 else None,
                    speedup_ci95=(2.94, 3.16) if is_int8 else None,
                    limit_fraction=0.61,
                )
            )
    return tuple(entries)


def _thumbnail(seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((96, 72)).save(file, format="JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode("ascii")
