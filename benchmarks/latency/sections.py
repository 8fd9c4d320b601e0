"""The machine beside its latencies: its limit, the whole path, the load of other programs."""

from typing import Annotated

from pydantic import Field

from eightbit.benchmarks.artifact.formats import Precision, RuntimeByName
from eightbit.benchmarks.artifact.versioned_json import SortedMapping
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.plain_text import counted
from eightbit.models.spec import Count, Fraction, FrozenModel, Positive, PositiveCount


class ColdStart(FrozenModel):
    """From the start of a process to its first label.

    Attributes:
        launches: How often each program was started, in turns.
        seconds: Of the archive as a program, process start and end included; the median.
        bare_seconds: Of the shortest script in the same runtime that does the same by hand; the
            median.
        ratio: `seconds` over `bare_seconds`, launch by launch; the geometric mean.
        ratio_ci95: Its 95 % confidence interval.
        peak_rss_bytes: Highest resident memory of the archive's program; the median.
        bare_peak_rss_bytes: Of the bare script; the median.
    """

    launches: PositiveCount
    seconds: Positive
    bare_seconds: Positive
    ratio: Positive
    ratio_ci95: tuple[Positive, Positive]
    peak_rss_bytes: PositiveCount
    bare_peak_rss_bytes: PositiveCount


Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class MachineLimit(FrozenModel):
    """The fastest matrix product found on this machine.

    Attributes:
        precision: In which numbers: int8 means uint8 by int8.
        threads: Threads that it could use.
        products_per_s: Multiplications (each with its addition) per second.
        library: What computed it.
    """

    precision: Precision
    threads: PositiveCount
    products_per_s: Rate
    library: str


class WholePath(FrozenModel):
    """From the bytes of a photo to its class, in medians per image.

    Attributes:
        runtime: What executed the model.
        artifact: Name of the model file.
        threads: Threads that the runtime could use; decoding has one.
        photo: What was decoded, such as "JPEG, 500 x 375 pixels".
        n: Number of timed images.
        decode_ms: From bytes to RGB pixels.
        resize_ms: Resized and cropped.
        normalise_ms: From pixels to the model's input.
        infer_ms: From there to the class.
        total_ms: Of all four together.
    """

    runtime: RuntimeByName
    artifact: str
    threads: PositiveCount
    photo: str
    n: PositiveCount
    decode_ms: Milliseconds
    resize_ms: Milliseconds
    normalise_ms: Milliseconds
    infer_ms: Milliseconds
    total_ms: Milliseconds


class Serving(FrozenModel):
    """Images per second of a model file in one setting, calls one after the other.

    Attributes:
        runtime: What executed the file.
        artifact: Name of the model file.
        sessions: Processes that computed at the same time.
        threads: Threads of each.
        batch: Images per call.
        images_per_s: Of all sessions together; the median of the turns.
        turns: How often it was measured.
        peak_rss_bytes: Highest resident memory of all sessions together, with any batch.
    """

    runtime: RuntimeByName
    artifact: str
    sessions: PositiveCount
    threads: PositiveCount
    batch: PositiveCount
    images_per_s: Rate
    turns: PositiveCount
    peak_rss_bytes: PositiveCount


class BenchmarkSection(FrozenModel):
    """What is behind the entries of the report's `latency`.

    Attributes:
        products_per_image: Multiplications of weights in one forward pass of one image.
        limits: One per precision and number of threads.
        whole_path: One per INT8 artefact and number of threads; empty where it was not measured.
        serving: One per INT8 artefact, runtime, number of sessions and batch; empty where it was
            not measured.
        launches: How often every candidate's process was started; the least where thread counts or
            batches differ in that.
        rounds: Turns of every candidate in each launch; likewise.
        busy_fraction: Share of the usable cores' time that other programs took while this was
            measured; None where the system does not say.
        not_measured: Why a model that the others can do without, or the limit, could not be
            measured; by its name and the conditions.
        environment: Where it was measured, where that was not in the run that the report is of.
        command: The command line of a later benchmark; empty if that run measured.
    """

    products_per_image: PositiveCount
    limits: tuple[MachineLimit, ...] = ()
    whole_path: tuple[WholePath, ...] = ()
    serving: tuple[Serving, ...] = ()
    launches: PositiveCount
    rounds: Count
    busy_fraction: Fraction | None = None
    not_measured: SortedMapping[str] = Field(default_factory=dict)
    environment: Environment | None = None
    command: str = ""


def not_measured_name(what: str, threads: int, batch: int | None = None) -> str:
    """The key in `BenchmarkSection.not_measured` of a model in its runtime, or of the limit.

    The batch is None where it does not matter.
    """
    images = "" if batch is None else f"batch {batch}, "
    return f"{what} ({images}{counted(threads, 'thread')})"
