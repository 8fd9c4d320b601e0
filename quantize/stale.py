"""What a report says of an ONNX model that has been replaced since, and so says of nothing."""

import hashlib
from pathlib import Path

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import VERSUS
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.document import Report, VerificationSection
from eightbit.quantize import bundle


def onnx_digest(folder: Path) -> str | None:
    """SHA-256 of a bundle's INT8 ONNX model; None where it has none."""
    path = folder / bundle.ONNX
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def without_stale(report: Report, model_sha256: str | None) -> Report:
    """The report without its archive, and without what other machines answered, of another model.

    Args:
        report: Of a bundle.
        model_sha256: Digest of its INT8 ONNX model; None where it has none.
    """
    edge = report.edge
    if edge is None:
        return report
    stale = {one.name for one in edge.elsewhere if one.model_sha256 != model_sha256}
    elsewhere = tuple(one for one in edge.elsewhere if one.name not in stale)
    if edge.model_sha256 not in (None, model_sha256):
        edge = EdgeSection()
    gone = {check_name(name) for name in stale}
    pairs = {pair: found for pair, found in report.parity.items() if _first(pair) not in stale}
    edge = edge.model_copy(update={"elsewhere": elsewhere})
    return report.model_copy(
        update={
            "edge": None if edge == EdgeSection() else edge,
            "parity": pairs,
            "verification": _without_checks(report.verification, gone),
        }
    )


def pairs_elsewhere(report: Report) -> dict[str, ParityResult]:
    """The pairs of `parity` that only another machine can measure."""
    names = {one.name for one in report.edge.elsewhere} if report.edge else set()
    return {pair: result for pair, result in report.parity.items() if _first(pair) in names}


def check_name(name: str) -> str:
    """What the check of an execution elsewhere is called."""
    return f"{name}: the self-test gives the same"


def _without_checks(
    known: VerificationSection | None, gone: set[str]
) -> VerificationSection | None:
    """The verification without some checks; None where no check is left."""
    if known is None or not any(check.name in gone for check in known.checks):
        return known
    checks = tuple(check for check in known.checks if check.name not in gone)
    if not checks:
        return None
    passed = all(check.passed for check in checks)
    return VerificationSection(images=known.images, passed=passed, checks=checks)


def _first(pair: str) -> str:
    return pair.partition(VERSUS)[0]
