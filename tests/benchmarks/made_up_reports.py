"""Reports of known truth, for comparisons: what every image was answered is chosen by hand."""

from collections.abc import Collection

from eightbit.benchmarks.accuracy.fidelity import FidelityResult, ParityResult
from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.accuracy.tally import AccuracyResult, CandidateAccuracy, Flip
from eightbit.benchmarks.artifact.artifact import Precision, Runtime
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.document import (
    AccuracySection,
    Check,
    CoverageSection,
    EvaluationSection,
    FidelitySection,
    ModelSection,
    OperatorCoverage,
    Report,
    VerificationSection,
)
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.spec import Architecture, ModelSpec

IMAGES = 4000
RIGHT = 3200  # the float model answers the first ones of the images right

ENVIRONMENT = Environment(
    cpu="Example CPU @ 3 GHz",
    architecture="x86_64",
    logical_cores=2,
    isa=("avx2", "avx512_vnni"),
    memory_bytes=8_000_000_000,
    os="Linux 6.1",
    python="3.11.2",
    versions={"onnxruntime": "1.31.1", "torch": "2.13.0"},
)


def answers(
    broke: Collection[int] = (),
    fixed: Collection[int] = (),
    *,
    labelled: bool = True,
    listed: bool = True,
) -> CandidateAccuracy:
    """An INT8 model that differs from float on these images.

    Args:
        broke: Numbers of images below `RIGHT`.
        fixed: Numbers of images from `RIGHT` on.
        labelled: Whether the true classes are known.
        listed: Whether the report lists every flip, or only counts them.
    """
    assert all(image < RIGHT for image in broke)
    assert all(image >= RIGHT for image in fixed)
    flips = tuple(
        Flip(
            image=f"{image}.png",
            label=0 if labelled else None,
            float_class=0 if image < RIGHT else 1,
            int8_class=2 if image < RIGHT else 0,
        )
        for image in sorted((*broke, *fixed))
    )
    lost, won = len(broke), len(fixed)
    known = {
        "top1": (RIGHT - lost + won) / IMAGES,
        "drop_pp": 100 * (lost - won) / IMAGES,
        "drop_ci95_pp": drop_interval_pp(lost, won, IMAGES),
        "broke": lost,
        "fixed": won,
    }
    return CandidateAccuracy(
        top5=None,
        n=IMAGES,
        flips=flips if listed else flips[:1],
        flip_count=len(flips),
        top1_agreement=1 - len(flips) / IMAGES,
        **(known if labelled else dict.fromkeys(known)),
    )


def accuracy(
    onnx: CandidateAccuracy | None, torchscript: CandidateAccuracy | None = None
) -> AccuracySection:
    labelled = onnx is None or onnx.top1 is not None
    return AccuracySection(
        fp32=AccuracyResult(top1=RIGHT / IMAGES if labelled else None, top5=None, n=IMAGES),
        torchscript=torchscript,
        onnx=onnx,
    )


def latencies(
    speedup: float,
    interval: tuple[float, float] | None = None,
    *,
    threads: int = 2,
    batch: int = 1,
    int8_ms: float = 10.0,
) -> tuple[LatencyResult, LatencyResult]:
    """The float ONNX model, and the INT8 one that is so many times as fast."""
    return tuple(
        LatencyResult(
            runtime=Runtime.ONNXRUNTIME,
            artifact=artifact,
            precision=precision,
            threads=threads,
            batch=batch,
            n=100,
            p50_ms=p50_ms,
            p90_ms=p50_ms * 1.1,
            p99_ms=p50_ms * 1.5,
            images_per_s=1000 / p50_ms,
            **ratios,
        )
        for artifact, precision, p50_ms, ratios in (
            ("model.fp32.onnx", Precision.FP32, int8_ms * speedup, {"is_baseline": True}),
            (
                "model.int8.onnx",
                Precision.INT8,
                int8_ms,
                {"speedup": speedup, "speedup_ci95": interval},
            ),
        )
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


def made_up_report(**sections: object) -> Report:
    """A report with everything that is compared; sections are replaced by name."""
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
            "evaluation": EvaluationSection(source="photos.tar", images=IMAGES, labelled=True),
            "verification": verification(),
            "accuracy": accuracy(answers(range(10), range(RIGHT, RIGHT + 6))),
            "fidelity": FidelitySection(
                onnx=FidelityResult(
                    sqnr_db=30.0,
                    median_image_sqnr_db=31.0,
                    mean_kl=0.003,
                    top1_agreement=0.98,
                    n=IMAGES,
                )
            ),
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
            "size_bytes": {"model.fp32.onnx": 4_000_000, "model.int8.onnx": 1_000_000},
            "coverage": coverage(),
            "environment": ENVIRONMENT,
            **sections,
        }
    )
