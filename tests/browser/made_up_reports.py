"""Reports of runs that never were, one for each way in which a page could break."""

import base64
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from tests.benchmarks.made_up_reports import ENVIRONMENT
from tests.browser.made_up_costs import made_up_edge, made_up_latency
from tests.browser.made_up_predictions import IMAGES, made_up_accuracy

from eightbit.benchmarks.accuracy.fidelity import FidelityResult, ParityResult
from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.accuracy.parity import ExecutionsSection, pair_name
from eightbit.benchmarks.artifact.artifact import Precision, Runtime
from eightbit.benchmarks.latency.machine import BenchmarkSection, MachineLimit, WholePath
from eightbit.benchmarks.report.diagnosis import Histogram, TensorDiagnosis
from eightbit.benchmarks.report.document import (
    CalibrationSection,
    Check,
    ConvergencePoint,
    CoverageSection,
    EvaluationSection,
    FidelitySection,
    ModelSection,
    OperatorCoverage,
    Report,
    VerificationSection,
)
from eightbit.benchmarks.report.fallback import FallbackSection, FallbackStep
from eightbit.models.images.loading import SkippedImage
from eightbit.models.spec import Architecture, ModelSpec

_ARABIC = "\u0645\u0631\u062d\u0628\u0627"
HOSTILE = f"<script>alert(1)</script> \"'&amp; {{{{ 7*7 }}}} $x$ \u202egnp.tac\x1b[31m {_ARABIC}"
LONG = "a" * 150 + "/" + "b" * 149
ANIMALS = ("cat", "dog", "bird", "fish", "horse", "frog", "ship")


def full() -> Report:
    return made_up(ANIMALS)


def without_labels() -> Report:
    return made_up(ANIMALS, labelled=False)


def one_class() -> Report:
    return made_up(("only",), broke=0, fixed=0)


def thousand_classes() -> Report:
    return made_up(tuple(f"class number {index} of many" for index in range(1000)), tensors=100)


def float_layers() -> Report:
    report = made_up(ANIMALS, more_broke=0)
    target_pp = 1.0
    steps = tuple(
        FallbackStep(
            float_layers=count,
            added=tuple(f"layer{index}.0.conv1" for index in range(count)),
            artifact="onnx",
            drop_pp=100 * (broke - fixed) / IMAGES,
            drop_ci95_pp=drop_interval_pp(broke, fixed, IMAGES),
            top1_agreement=1 - (broke + fixed) / IMAGES,
            latency_ratio=1 + 0.1 * count,
            met=drop_interval_pp(broke, fixed, IMAGES)[1] <= target_pp,
            chosen=count == 4,
        )
        for count, broke, fixed in ((0, 90, 30), (2, 58, 30), (4, 30, 26))
    )
    fallback = FallbackSection(
        target_pp=target_pp, met=True, evaluations=3, candidates=21, images_needed=None, steps=steps
    )
    coverage = CoverageSection(
        conv=OperatorCoverage(quantized=16, total=20, meant_as_float=4),
        add=OperatorCoverage(quantized=8, total=8),
        linear=OperatorCoverage(quantized=1, total=1),
    )
    return report.model_copy(
        update={"fallback": fallback, "max_drop_pp": target_pp, "coverage": coverage}
    )


def failed() -> Report:
    report = made_up(ANIMALS, broke=200)
    checks = (Check(name="same integers", passed=False, detail="80 % within one last bit"),)
    return report.model_copy(
        update={
            "max_drop_pp": 0.5,
            "verification": VerificationSection(images=64, passed=False, checks=checks),
            "edge": None,
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
    tensors: int = 24,
    broke: int = 30,
    fixed: int = 26,
    more_broke: int = 2,
    labelled: bool = True,
) -> Report:
    """A report in which everything was measured.

    The arguments are those of `made_up_accuracy`, and how many tensors the network has.
    """
    accuracy = made_up_accuracy(
        labels, names, broke=broke, fixed=fixed, more_broke=more_broke, labelled=labelled
    )
    assert accuracy.onnx is not None
    flipped = tuple(flip.image for flip in accuracy.onnx.flips)[:12]
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
            images=IMAGES,
            labelled=labelled,
            matched_by="name" if labelled else None,
            images_per_s=900.0,
            thumbnails={name: _thumbnail(index) for index, name in enumerate(flipped)},
        ),
        verification=VerificationSection(
            images=64,
            passed=True,
            checks=(
                Check(name="onnx: finite logits", passed=True, detail="0 of 640 are NaN"),
                Check(name="same predictions", passed=True, detail="0.0% differ, 5% allowed"),
            ),
        ),
        accuracy=accuracy,
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
        latency=made_up_latency(),
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
        edge=made_up_edge(),
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


def _fidelity(sqnr_db: float | None) -> FidelityResult:
    return FidelityResult(
        sqnr_db=sqnr_db, median_image_sqnr_db=37.3, mean_kl=0.0043, top1_agreement=0.97, n=IMAGES
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


def _thumbnail(seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((96, 72)).save(file, format="JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode("ascii")
