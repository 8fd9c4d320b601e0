"""Reports of runs that never were: those that are compared, and whole ones of every kind."""

import base64
import io
import math
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Final

import numpy as np
from PIL import Image
from tests.synthetic_reports.answers import IMAGES, RIGHT, accuracy, answers, tallied
from tests.synthetic_reports.choices import choices
from tests.synthetic_reports.costs import benchmark, benchmarked, edge, latencies

from eightbit.benchmarks.accuracy.fidelity import (
    FidelityMeter,
    FidelityResult,
    ParityMeter,
    ParityResult,
)
from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.accuracy.multi_label import MultiLabelTally
from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.accuracy.parity import ExecutionsSection, pair_name
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.diagnosis import Histogram, TensorDiagnosis
from eightbit.benchmarks.report.document import (
    CoverageSection,
    FidelitySection,
    ModelSection,
    MultiLabelSection,
    OperatorCoverage,
    Report,
)
from eightbit.benchmarks.report.fallback import FallbackSection, FallbackStep
from eightbit.benchmarks.report.images import (
    CalibrationSection,
    ConvergencePoint,
    EvaluationSection,
)
from eightbit.benchmarks.report.plausibility import (
    Alternative,
    Doubt,
    PlausibilitySection,
    plausible_check,
)
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.images.loading import SkippedImage
from eightbit.models.spec import Architecture, ModelSpec, Task

ANIMALS: Final = ("cat", "dog", "bird", "fish", "horse", "frog", "ship")
LONG: Final = "a" * 150 + "/" + "b" * 149
_ARABIC: Final = "\u0645\u0631\u062d\u0628\u0627"
HOSTILE: Final = (
    f"<script>alert(1)</script> \"'&amp; {{{{ 7*7 }}}} $x$ \u202egnp.tac\x1b[31m {_ARABIC}"
)

ENVIRONMENT: Final = Environment(
    cpu="Example CPU @ 3 GHz",
    architecture="x86_64",
    logical_cores=2,
    isa=("avx2", "avx512_vnni"),
    memory_bytes=8_000_000_000,
    os="Linux 6.1",
    python="3.11.2",
    versions={"onnxruntime": "1.31.1", "torch": "2.13.0"},
)


def evaluation(source: str = "photos.tar", **changes: object) -> EvaluationSection:
    """The images of a source; those of another one are others."""
    return EvaluationSection(
        **{
            "source": source,
            "images": IMAGES,
            "labelled": True,
            "skipped_count": 0,
            "images_sha256": sha256(source.encode()).hexdigest(),
            **changes,
        }
    )


def verification(*, passed: bool = True) -> VerificationSection:
    check = Check(name="same integers", passed=passed, detail="all within one last bit")
    return VerificationSection(images=64, passed=passed, checks=(check,))


def coverage(conv: int = 20) -> CoverageSection:
    return CoverageSection(
        conv=OperatorCoverage(quantized=conv, total=20, meant_as_float=20 - conv),
        add=OperatorCoverage(quantized=8, total=8),
        linear=OperatorCoverage(quantized=1, total=1),
    )


def synthetic_report(**sections: object) -> Report:
    """A report of ONNX with everything that is compared; sections are replaced by name."""
    return Report(
        **{
            "eightbit_version": "0.1.0",
            "command": "eightbit quantize resnet18 --out out",
            "model": ModelSection(
                spec=ModelSpec(architecture=Architecture.RESNET18, num_classes=10),
                weights="photos.pth",
                weights_sha256="cd" * 32,
            ),
            "config": {"method": "auto", "target": "portable", "rounding": "gptq"},
            "recipe_sha256": "ab" * 32,
            "evaluation": evaluation(),
            "verification": verification(),
            "accuracy": accuracy(answers(range(10), range(RIGHT, RIGHT + 6))),
            "fidelity": FidelitySection(onnx=_fidelity(30.0)),
            "parity": {
                f"{execution}_vs_reference": ParityResult(
                    max_lsb=lsb,
                    identical_fraction=1 - lsb / 10,
                    within_one_lsb_fraction=1 - lsb / 100,
                    top1_agreement=1.0,
                    n=64,
                )
                for execution, lsb in (("onnx", 0), ("openvino", 3))
            },
            "latency": latencies(3.0, (2.8, 3.2)),
            "benchmark": BenchmarkSection(products_per_image=1_814_000_000, launches=5, rounds=8),
            "size_bytes": {"model.fp32.onnx": 4_000_000, "model.int8.onnx": 1_000_000},
            "coverage": coverage(),
            "environment": ENVIRONMENT,
            "peak_rss_bytes": 1_234_000_000,
            **sections,
        }
    )


@cache
def full(
    labels: tuple[str, ...] = ANIMALS,
    *,
    tensors: int = 24,
    labelled: bool = True,
    **predictions: object,
) -> Report:
    """A report of both artefacts in which everything was measured.

    Args:
        labels: Of the classes.
        tensors: How many the network has.
        labelled: Whether the true classes are known.
        **predictions: As `tallied` takes them.
    """
    counted = tallied(labels, labelled=labelled, **predictions)
    flipped = tuple(flip.image for flip in counted.onnx.flips)[:12]
    spec = ModelSpec(architecture=Architecture.RESNET18, num_classes=len(labels), labels=labels)
    pairs = (
        *(("onnx", other) for other in ("openvino", "reference", "torchscript")),
        *(("openvino", "reference"), ("torchscript", "reference"), ("torchscript", "onnx")),
    )
    checks = (
        Check(name="onnx: finite logits", passed=True, detail="0 of 640 are NaN"),
        Check(name="same predictions", passed=True, detail="0.0% differ, 5% allowed"),
    )
    return synthetic_report(
        command="eightbit quantize resnet18 --weights DEFAULT --calibrate photos --out out",
        model=ModelSection(spec=spec, weights="DEFAULT", weights_sha256="cd" * 32),
        config={"method": "auto", "samples": 128, "target": "portable", "mode": "fx", "seed": None},
        choices=choices(),
        calibration=CalibrationSection(
            source="photos.tar",
            images=128,
            convergence=tuple(
                ConvergencePoint(images=images, tensor="layer1.0.conv1", largest_change=4 / images)
                for images in (64, 96, 128)
            ),
            watched="percentile",
            digests=("0123456789abcdef",),
        ),
        evaluation=evaluation(
            "photos-test.tar",
            labelled=labelled,
            matched_by="name" if labelled else None,
            images_per_s=900.0,
            thumbnails={name: _thumbnail(index) for index, name in enumerate(flipped)},
        ),
        verification=VerificationSection(images=64, passed=True, checks=checks),
        accuracy=counted,
        fidelity=FidelitySection(torchscript=_fidelity(35.9), onnx=_fidelity(None)),
        diagnosis=tuple(_tensor(index, tensors) for index in range(tensors)),
        parity={pair_name(*pair): _parity(2 if "openvino" in pair else 0) for pair in pairs},
        executions=ExecutionsSection(source="photos.tar", images=64),
        latency=benchmarked(),
        benchmark=benchmark(),
        edge=edge(),
        size_bytes={
            "model.int8.onnx": 11_700_000,
            "model.int8.pt": 12_000_000,
            "model.fp32.onnx": 44_700_000,
            "recipe.json": 81_234,
        },
        coverage=coverage().model_copy(update={"pool": OperatorCoverage(quantized=2, total=2)}),
        timings_s={"calibrate": 6.6, "export": 2.25},
    )


def without_labels() -> Report:
    return full(labelled=False)


def _with_task(spec: ModelSpec, **sections: object) -> Report:
    """A full report of a network of another task."""
    report = full(("cat", "dog"))
    model = report.model.model_copy(update={"spec": spec})
    changed = report.model_copy(update={"model": model, "accuracy": None, **sections})
    return Report.model_validate_json(changed.to_json())


def binary() -> Report:
    spec = ModelSpec(architecture=Architecture.RESNET18, num_classes=1, labels=("cat", "dog"))
    return _with_task(spec, accuracy=full(("cat", "dog")).accuracy)


def _logits(outputs: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    exact = rng.normal(0, 2, (200, outputs)).astype(np.float32)
    return exact, (exact + rng.normal(0, 0.05, exact.shape)).astype(np.float32)


def _measured(spec: ModelSpec) -> dict[str, object]:
    head, meter = Head.of(spec), FidelityMeter(Head.of(spec))
    meter.update(*_logits(spec.num_classes))
    parity = ParityMeter(0.1, head)
    parity.update(*_logits(spec.num_classes))
    found = meter.result()
    return {
        "fidelity": FidelitySection(torchscript=found, onnx=found),
        "parity": dict.fromkeys(full().parity, parity.result()),
    }


def multi_label() -> Report:
    labels = ("animal", "vehicle", "flies")
    spec = ModelSpec(
        architecture=Architecture.RESNET18, num_classes=3, labels=labels, task=Task.MULTI_LABEL
    )
    exact, rounded = _logits(3)
    tally = MultiLabelTally(("onnx",), head=Head.of(spec))
    truth = [tuple(np.flatnonzero(row > 0.5).tolist()) for row in exact]
    tally.update(exact, {"onnx": rounded}, truth, [f"{index}.png" for index in range(200)])
    section = MultiLabelSection(fp32=tally.reference_result(), onnx=tally.candidate_result("onnx"))
    return _with_task(spec, multi_label=section, **_measured(spec))


def regression() -> Report:
    spec = ModelSpec(
        architecture=Architecture.RESNET18,
        num_classes=2,
        labels=("age", "height"),
        task=Task.REGRESSION,
    )
    return _with_task(spec, **_measured(spec))


def thousand_classes() -> Report:
    return full(tuple(f"class number {index} of many" for index in range(1000)), tensors=100)


def float_layers() -> Report:
    """A search for layers in float that met its target with four of them."""
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
    update = {"fallback": fallback, "max_drop_pp": target_pp, "coverage": coverage(16)}
    return full(more_broke=0).model_copy(update=update)


def failed() -> Report:
    update = {"max_drop_pp": 0.5, "verification": verification(passed=False), "edge": None}
    return full(broke=200).model_copy(update=update)


def implausible() -> Report:
    """Of a network whose classes were taken in another order than it was trained with."""
    report = full()
    found = PlausibilitySection(
        classes_present=10,
        classes_predicted=10,
        top1_ci95=(0.159, 0.184),
        chance=0.1,
        enough_images=True,
        doubts=(Doubt.OVERCONFIDENT, Doubt.OTHER_ORDER),
        tried_images=256,
        as_taken=0.168,
        alternatives=(
            Alternative(
                name="classes in sorted order",
                option="--class-order sorted",
                top1=0.789,
                top1_ci95=(0.734, 0.838),
                better=True,
            ),
            Alternative(
                name="BGR",
                option="the weights expect blue first",
                top1=0.156,
                top1_ci95=(0.114, 0.207),
                better=False,
            ),
        ),
    )
    check = plausible_check(found, report.accuracy.fp32)
    update = {
        "evaluation": report.evaluation.model_copy(update={"plausibility": found}),
        "max_drop_pp": 1.0,
    }
    return report.model_copy(update=update).with_checks((check,), images=IMAGES)


def almost_empty(**sections: object) -> Report:
    """A report of a run that measured nothing, but for these sections."""
    spec = ModelSpec(architecture=Architecture.RESNET18, num_classes=1000)
    return Report(
        **{
            "eightbit_version": "0.1.0",
            "command": "",
            "model": ModelSection(spec=spec, weights="DEFAULT"),
            "config": {},
            "recipe_sha256": "ab" * 32,
            "environment": ENVIRONMENT,
            "peak_rss_bytes": 1_234_000_000,
            **sections,
        }
    )


def hostile() -> Report:
    """Every text that a stranger could have written is meant to do harm."""
    report = full((HOSTILE, LONG, *ANIMALS[2:]), names=(HOSTILE, LONG))
    skipped = (SkippedImage(name=HOSTILE, reason=HOSTILE), SkippedImage(name=LONG, reason=LONG))
    harmful = {
        "calibration": {"source": HOSTILE, "skipped": skipped},
        "evaluation": {
            "source": LONG,
            "skipped": skipped,
            "skipped_count": len(skipped),
            "thumbnails": {HOSTILE: "AAAA", LONG: "AAA"},
        },
        "model": {"weights": HOSTILE},
    }
    return report.model_copy(
        update={
            **{
                section: getattr(report, section).model_copy(update=texts)
                for section, texts in harmful.items()
            },
            "command": f"eightbit quantize {HOSTILE} {LONG}",
            "config": {HOSTILE: LONG, "method": HOSTILE},
            "size_bytes": {**report.size_bytes, f"{HOSTILE}.int8.onnx": 5, f"{LONG}.pt": 7},
            "parity": {
                pair_name(HOSTILE, LONG): _parity(7),
                pair_name("onnx", LONG): _parity(0),
                HOSTILE: _parity(1),
            },
        }
    )


# One for each way in which a page could break.
REPORTS: Final[dict[str, Callable[[], Report]]] = {
    "full": full,
    "without labels": without_labels,
    "binary": binary,
    "multi-label": multi_label,
    "regression": regression,
    "thousand classes": thousand_classes,
    "float layers": float_layers,
    "failed": failed,
    "implausible": implausible,
    "almost empty": almost_empty,
    "hostile": hostile,
}


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
