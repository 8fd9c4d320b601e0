"""Several launches of the same candidates, and what the machine did meanwhile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eightbit.benchmarks.latency.busy import OtherPrograms
from eightbit.benchmarks.latency.launches import (
    Candidate,
    Conditions,
    Launched,
    Schedule,
    launch,
    planned,
)
from eightbit.benchmarks.latency.limits import Rates, measure_rates
from eightbit.benchmarks.processes.process import WorkerCrashError


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much time a measurement may take.

    Attributes:
        launches: How often every candidate's process is started, at least 1.
        rounds: Turns of each candidate in a launch.
        seconds: About how long each candidate runs in all launches together.
        limits: Before how many of the launches matrix products are measured.
    """

    launches: int
    rounds: int
    seconds: float
    limits: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What all launches found.

    Attributes:
        by_candidate: What each launch says, by candidate.
        rates: The rates of matrix products, by launch that they were measured before; none where
            one of those measurements failed.
        no_rates: Why it failed; None where none did.
        rounds: Turns of each candidate in a launch.
        busy: Share of the usable cores' time that other programs took; None where it is unknown.
    """

    by_candidate: tuple[tuple[Launched, ...], ...]
    rates: tuple[Rates, ...]
    rounds: int
    busy: float | None
    no_rates: str | None = None


def measure(
    candidates: Sequence[Candidate],
    conditions: Conditions,
    effort: Effort,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Launch the candidates several times.

    Args:
        candidates: What to measure.
        conditions: How to call them.
        effort: How often and how long.
        on_progress: Called with (turns done, turns in all).

    Raises:
        OptionalCandidateError: One of the following, of an optional candidate.
        InputError: A candidate cannot be loaded, cannot run such a batch or use a photo.
        WorkerCrashError: A process died.
    """
    if effort.launches < 1:
        raise ValueError(f"launches: expected at least 1, found {effort.launches}")
    others = OtherPrograms()
    schedule: Schedule | None = None
    done = 0

    def plan(estimates: Sequence[float]) -> Schedule:
        # That of the first launch holds for all: launches are alike, and so is the progress.
        return schedule or planned(
            estimates, rounds=effort.rounds, seconds=effort.seconds, launches=effort.launches
        )

    def turn_over(current: Schedule) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, effort.launches * current.rounds * len(candidates))

    launched: list[tuple[Launched, ...]] = []
    rates: list[Rates] = []
    no_rates: str | None = None
    for number in range(effort.launches if candidates else 0):
        if number < effort.limits and no_rates is None:
            try:
                rates.append(measure_rates(conditions.threads))
            except WorkerCrashError as exc:
                # What is left of the rates may be far from the limit: then there is none.
                no_rates = " ".join(exc.in_short.split())
                rates.clear()
        schedule, found = launch(candidates, conditions, plan, turn_over)
        launched.append(found)
    return Measurement(
        by_candidate=tuple(zip(*launched, strict=True)),
        rates=tuple(rates),
        rounds=schedule.rounds if schedule else 0,
        busy=others.share(),
        no_rates=no_rates,
    )
