"""Where quantization hurts: one row per quantized tensor, worst first."""

from typing import Annotated

from pydantic import Field

from eightbit.models.spec import Count, Fraction, FrozenModel

# An activation may be larger than any setting: only NaN and infinity are refused.
Real = Annotated[float, Field(allow_inf_nan=False)]


class Histogram(FrozenModel):
    """Counts in equally wide bins.

    Attributes:
        low: Lower end of the first bin.
        high: Upper end of the last bin.
        counts: Elements per bin.
    """

    low: Real
    high: Real
    counts: Annotated[tuple[Count, ...], Field(min_length=1, max_length=256)]


class TensorDiagnosis(FrozenModel):
    """One quantized tensor of the network.

    Decibels are None where there is no noise at all (or no signal).

    Attributes:
        name: Module that produces it, or `input`.
        low: Smallest value that its integers represent.
        high: Largest.
        observed_low: Minimum of the float tensor on the diagnosed images.
        observed_high: Maximum.
        saturated_fraction: Share of its elements that lie more than half a step outside.
        sqnr_alone_db: Signal to noise of rounding the exact tensor to its own integers.
        sqnr_accumulated_db: SQNR of the tensor in the network where everything is quantized.
        weight_sqnr_db: SQNR of the rounded weights of the layer that produces it.
        position: Its place in the order of execution, from 0.
        values: Histogram of the float tensor on the diagnosed images; only of the worst tensors.
        weights: Histogram of the weights of the layer that produces it, each in steps of its own
            channel's scale, so that the integers -127 to 127 are the chosen range; only of the
            worst tensors, and None where there are no weights.
    """

    name: str
    low: Real
    high: Real
    observed_low: Real
    observed_high: Real
    saturated_fraction: Fraction
    sqnr_alone_db: Real | None
    sqnr_accumulated_db: Real | None
    weight_sqnr_db: Real | None
    position: Count
    values: Histogram | None = None
    weights: Histogram | None = None
