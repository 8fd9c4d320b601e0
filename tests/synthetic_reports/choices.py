"""What a made-up run has tried."""

from eightbit.benchmarks.report.choices import ChoicesSection, ChoiceTrial


def choices() -> ChoicesSection:
    """Three ranges and two roundings that were tried."""
    figures = (("minmax", 8, 29.4), ("mse", 16, 30.5), ("percentile", 16, 30.1))
    ranges, rounding = (
        tuple(
            ChoiceTrial(
                candidate=candidate,
                images=images,
                score_db=score + 1.0,
                median_sqnr_db=score,
                sqnr_db=score - 0.7,
                chosen=score > 30.2,
            )
            for candidate, images, score in tried
        )
        for tried in (figures, (("gptq, corrected biases", 8, 30.4), ("nearest", 8, 29.0)))
    )
    return ChoicesSection(ranges=ranges, rounding=rounding)
