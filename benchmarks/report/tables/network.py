"""Parity of the executions, and the noise tensor by tensor, as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.parity import ARTIFACT_PAIRS, TO_REFERENCE, ExecutionsSection
from eightbit.benchmarks.report.choices import ChoicesSection, ChoiceTrial
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.benchmarks.report.figures import NOTHING, Table, decibels, determination, percent


def parity_table(
    parity: Mapping[str, ParityResult],
    executions: ExecutionsSection | None,
    edge: EdgeSection | None = None,
) -> Table:
    """Every execution against the reference; without a reference, every pair.

    Args:
        parity: All pairs.
        executions: None where only the artefacts were compared.
        edge: Self-tests on other machines, if any.
    """
    to_reference = {
        pair.removesuffix(TO_REFERENCE): result
        for pair, result in parity.items()
        if pair.endswith(TO_REFERENCE)
    }
    shown = dict(sorted(to_reference.items())) or dict(parity)
    shown |= {pair: parity[pair] for pair in ARTIFACT_PAIRS if pair in parity}
    against = "the reference integers" if to_reference else "each other"
    columns = _COLUMNS if any(one.decisions for one in parity.values()) else _OF_NUMBERS
    return Table(
        title=f"Parity of the INT8 logits with {against}, in last bits",
        columns=("execution" if to_reference else "pair", *columns),
        rows=(
            *(_row(name, result) for name, result in shown.items()),
            *((name, *(NOTHING for _ in _COLUMNS)) for name in _missing(executions)),
        ),
        note=" ".join(_notes(parity, shown, executions, edge)) if to_reference else "",
    )


_COLUMNS: Final = ("identical", "within 1", "largest", "agree", "images")
_OF_NUMBERS: Final = ("identical", "within 1", "largest", "R²", "images")


def _row(name: str, result: ParityResult) -> tuple[str, ...]:
    return (
        name,
        percent(result.identical_fraction),
        percent(result.within_one_lsb_fraction),
        str(result.max_lsb),
        percent(result.top1_agreement) if result.decisions else determination(result.r2),
        f"{result.n:,}",
    )


def _missing(executions: ExecutionsSection | None) -> Mapping[str, str]:
    return executions.not_measured if executions else {}


def _notes(
    parity: Mapping[str, ParityResult],
    shown: Mapping[str, ParityResult],
    executions: ExecutionsSection | None,
    edge: EdgeSection | None,
) -> list[str]:
    most = max((one.decisions for one in shown.values()), default=0)
    agree = (
        "R²: of the variance over the images, the share that is the same.",
        "agree: same class.",
    )
    notes = ["agree: same decisions." if most > 1 else agree[most]]
    if executions is not None:
        notes.append(f"Images: {executions.source}.")
        if executions.synthetic:
            notes.append("They are synthetic: classes mean nothing on them; give --images.")
        notes += [f"{name}: {reason}." for name, reason in executions.not_measured.items()]
        if executions.environment is not None:
            notes.append(f"Measured on {executions.environment.summary()}.")
    if elsewhere := [one.name for one in edge.elsewhere if one.name in shown] if edge else []:
        notes.append(f"{', '.join(elsewhere)}: the self-test's pictures, on another machine.")
    if (more := len(parity) - len(shown)) > 0:
        notes.append(f"{more} more {'pairs are' if more > 1 else 'pair is'} in report.json.")
    return notes


def others_table(executions: ExecutionsSection | None) -> Table | None:
    """Runtimes that no artefact was written for, and what they make of it; None without any."""
    if executions is None or not executions.others:
        return None
    return Table(
        title="Other runtimes",
        columns=("execution", "version", "verdict", "per image", "why"),
        rows=tuple(
            (
                name,
                one.version,
                one.verdict.value,
                NOTHING if one.ms_per_image is None else f"{one.ms_per_image:.3g} ms",
                one.reason or NOTHING,
            )
            for name, one in executions.others.items()
        ),
        note="right: every class, and every logit within one last bit. Per image: compiling "
        "included. These runtimes are not promised: none of them fails a check.",
    )


_WORST: Final = 12


def diagnosis_table(tensors: Sequence[TensorDiagnosis], *, rows: int = _WORST) -> Table:
    """The first tensors of a diagnosis, which comes worst first."""
    return Table(
        title="Where the noise comes from, worst tensor first",
        columns=("tensor", "alone", "accumulated", "weights", "saturated", "range", "observed"),
        rows=tuple(
            (
                tensor.name,
                *(
                    NOTHING if value is None else f"{value:.1f} dB"
                    for value in (
                        tensor.sqnr_alone_db,
                        tensor.sqnr_accumulated_db,
                        tensor.weight_sqnr_db,
                    )
                ),
                percent(tensor.saturated_fraction, 3),
                f"{tensor.low:.3g}..{tensor.high:.3g}",
                f"{tensor.observed_low:.3g}..{tensor.observed_high:.3g}",
            )
            for tensor in tensors[:rows]
        ),
        note="alone: SQNR of the float tensor rounded to its own integers; accumulated: with "
        "everything before it quantized too; saturated: elements outside the range."
        + (
            f" {len(tensors) - rows} more tensors are in report.json."
            if len(tensors) > rows
            else ""
        ),
    )


def choices_tables(choices: ChoicesSection | None) -> Iterator[Table]:
    """What was tried on calibration images, the chosen one first."""
    tried = {
        "Equalisation tried": choices.equalization if choices else (),
        "Ranges tried": choices.ranges if choices else (),
        "Roundings tried": choices.rounding if choices else (),
    }
    notes = (
        "with extremes for ranges, on images that those are not of.",
        "activations rounded, weights in float; those that fell behind saw fewer images.",
        "on images that they were not fitted to.",
    )
    for (title, trials), note in zip(tried.items(), notes, strict=True):
        if trials:
            yield Table(
                title=title,
                columns=("candidate", "score", "median SQNR", "SQNR", "images", "chosen"),
                rows=tuple(map(_trial, sorted(trials, key=lambda trial: not trial.chosen))),
                note="score: mostly the mean of the images' own SQNR, of the outputs and of the "
                f"features before them. On calibration images, {note}",
            )


def _trial(trial: ChoiceTrial) -> tuple[str, ...]:
    return (
        trial.candidate,
        decibels(trial.score_db),
        decibels(trial.median_sqnr_db),
        decibels(trial.sqnr_db),
        f"{trial.images:,}",
        "yes" if trial.chosen else "",
    )
