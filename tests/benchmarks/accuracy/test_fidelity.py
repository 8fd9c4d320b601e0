import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, ParityMeter
from eightbit.benchmarks.accuracy.parity import different_predictions, truly_different
from eightbit.models.errors import InputError


def logits(*rows):
    return np.array(rows, dtype=np.float32)


def measured(reference, candidate):
    meter = FidelityMeter()
    meter.update(reference, candidate)
    return meter.result()


def test_sqnr_is_signal_over_noise_in_decibels_over_all_batches():
    meter = FidelityMeter()
    meter.update(logits([3, 4]), logits([3, 4.5]))  # signal 25, noise 0.25
    meter.update(logits([5, 0], [0, 5]), logits([5.5, 0], [0, 5.5]))  # signal 50, noise 0.5
    result = meter.result()
    assert result.sqnr_db == pytest.approx(20.0, abs=1e-12)  # 10 log10(75 / 0.75)
    assert result.top1_agreement == 1.0
    assert result.n == 3


def test_sqnr_sees_a_wrong_scale_that_a_cosine_cannot():
    meter = FidelityMeter()
    meter.update(logits([1, 2, 3]), logits([2, 4, 6]))
    assert meter.result().sqnr_db == pytest.approx(0.0, abs=1e-12)


def test_small_terms_are_kept_where_float32_would_lose_them():
    meter = FidelityMeter()
    meter.update(logits([4096, 1]), logits([4096, 0]))  # signal 2**24 + 1, noise 1
    assert meter.result().sqnr_db == pytest.approx(10 * math.log10(2**24 + 1), abs=1e-9)


def test_identical_logits_have_no_finite_ratio_and_valid_json():
    meter = FidelityMeter()
    meter.update(logits([1, 2]), logits([1, 2]))
    assert meter.result().sqnr_db is None
    assert meter.result().median_image_sqnr_db is None
    assert meter.result().mean_kl == 0
    assert '"sqnr_db":null' in meter.result().model_dump_json()
    assert '"median_image_sqnr_db":null' in meter.result().model_dump_json()


# Images whose own ratio is 100 / 100, 100 / 1 and 10,000 / 1, and one without noise.
AT_0_DB = ([10, 0], [0, 0])
AT_20_DB = ([0, 10], [0, 9])
AT_40_DB = ([100, 0], [100, 1])
EXACT = ([1, 2], [1, 2])
NO_SIGNAL = ([0, 0], [0, 1])
NOTHING_AT_ALL = ([0, 0], [0, 0])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        pytest.param([AT_20_DB], 20, id="one image"),
        pytest.param([AT_40_DB, AT_0_DB, AT_20_DB], 20, id="the middle one of three"),
        pytest.param([AT_40_DB, AT_20_DB], 20, id="the lower one of two"),
        pytest.param([EXACT, AT_0_DB, AT_40_DB, AT_20_DB], 20, id="infinity is the largest"),
        pytest.param([EXACT, AT_20_DB], 20, id="half of the images exact"),
        pytest.param([EXACT, AT_20_DB, EXACT], None, id="more than half of the images exact"),
        pytest.param([NO_SIGNAL, AT_20_DB, NO_SIGNAL], 20, id="no signal, no ratio"),
        pytest.param([NOTHING_AT_ALL, AT_20_DB, NOTHING_AT_ALL], 20, id="zeros for zeros"),
        pytest.param([NO_SIGNAL, EXACT], None, id="no signal beside an exact image"),
    ],
)
def test_the_median_is_over_the_ratio_of_each_image(images, expected):
    reference, candidate = zip(*images, strict=True)
    result = measured(logits(*reference), logits(*candidate))
    assert result.median_image_sqnr_db == (
        None if expected is None else pytest.approx(expected, abs=1e-12)
    )
    assert result.n == len(images)


def test_a_single_bad_outlier_rules_sqnr_but_not_the_median():
    result = measured(logits(*[[100, 0]] * 9, [3e4, 0]), logits(*[[100, 1]] * 9, [0, 0]))
    assert result.sqnr_db == pytest.approx(0.0, abs=1e-3)
    assert result.median_image_sqnr_db == pytest.approx(40.0, abs=1e-12)


def test_a_single_good_outlier_hides_the_others_from_sqnr_but_not_from_the_median():
    result = measured(logits(*[[10, 0]] * 9, [3e4, 0]), logits(*[[0, 0]] * 9, [3e4, 0]))
    assert result.sqnr_db == pytest.approx(10 * math.log10(1 + 9e8 / 900), abs=1e-9)
    assert result.median_image_sqnr_db == pytest.approx(0.0, abs=1e-12)


# softmax(0, ln 3) = (1/4, 3/4)
EVEN, ONE_TO_THREE = [0, 0], [0, math.log(3)]


def test_kl_is_of_float_from_the_candidate_in_nats():
    forward = measured(logits(EVEN, [1, 1]), logits(ONE_TO_THREE, ONE_TO_THREE))
    # The second image: softmax(1, 1) against softmax(0, ln 3), the same divergence.
    assert forward.mean_kl == pytest.approx(math.log(2) / 2 + math.log(2 / 3) / 2, rel=1e-6)
    backward = measured(logits(ONE_TO_THREE), logits(EVEN))
    assert backward.mean_kl == pytest.approx(
        math.log(1 / 2) / 4 + 3 * math.log(3 / 2) / 4, rel=1e-6
    )


def test_kl_is_the_mean_over_images_of_all_batches():
    meter = FidelityMeter()
    meter.update(logits([1, 1], [0, 5], [1, 2]), logits([1, 1], [0, 5], [1, 2]))
    meter.update(logits(EVEN), logits(ONE_TO_THREE))
    assert meter.result().mean_kl == pytest.approx(math.log(4 / 3) / 2 / 4, rel=1e-6)


def test_a_shift_of_all_logits_is_noise_but_no_divergence():
    result = measured(logits([1, 2, 4]), logits([3, 4, 6]))
    assert result.mean_kl == 0.0
    assert result.sqnr_db == pytest.approx(10 * math.log10(21 / 12), abs=1e-12)


def test_a_divergence_too_small_for_float32_is_kept():
    result = measured(logits([0, 1, 1]), logits([0, 1, 1 + 2**-14]))
    p, step = math.e / (1 + 2 * math.e), 2**-14
    assert result.mean_kl == pytest.approx(p * (1 - p) * step**2 / 2, rel=1e-4)


def test_logits_that_lie_far_apart_diverge_finitely():
    # p = (1, 0), log q = (-2e30, 0): beyond what exp can hold.
    assert measured(logits([1e30, -1e30]), logits([-1e30, 1e30])).mean_kl == pytest.approx(2e30)
    assert measured(logits([0, 1e30]), logits([0, 1e30])).mean_kl == 0.0


def pairs_of_logits():
    """Two arrays of the same shape (images, classes)."""
    shapes = st.tuples(st.integers(1, 12), st.integers(1, 5))
    values = st.floats(-50, 50, width=32)
    return shapes.flatmap(lambda s: st.tuples(*[hnp.arrays(np.float32, s, elements=values)] * 2))


def numbers(result):
    """All fields, with the infinity that None stands for."""
    fields = result.model_dump().items()
    return {name: math.inf if value is None else value for name, value in fields}


@given(pairs_of_logits(), st.lists(st.integers(1, 11)))
def test_how_images_fall_into_batches_does_not_matter(pair, cuts):
    reference, candidate = pair
    assume(reference.any())
    meter = FidelityMeter()
    edges = sorted({0, len(reference), *(cut for cut in cuts if cut < len(reference))})
    for start, stop in pairwise(edges):
        meter.update(reference[start:stop], candidate[start:stop])
    at_once = numbers(measured(reference, candidate))
    assert numbers(meter.result()) == pytest.approx(at_once, rel=1e-9, abs=1e-12)


@given(pairs_of_logits())
def test_no_divergence_is_negative_and_only_that_from_itself_is_always_zero(pair):
    reference, candidate = pair
    assume(reference.any())
    assert measured(reference, candidate).mean_kl >= 0
    assert measured(reference, reference).mean_kl == 0


def test_agreement_counts_ties_for_the_lowest_index():
    meter = FidelityMeter()
    meter.update(logits([2, 2, 0], [0, 1, 1]), logits([2, 1, 0], [0, 1, 2]))
    assert meter.result().top1_agreement == 0.5


def test_a_float_model_without_signal_is_an_error():
    meter = FidelityMeter()
    meter.update(logits([0, 0]), logits([0, 1]))
    with pytest.raises(InputError, match="only zeros"):
        meter.result()


def test_parity_is_counted_in_last_bits():
    meter = ParityMeter(output_scale=0.25)
    # differences in last bits: 0 1 2 | 0 0 5
    meter.update(logits([1, 2, 3]), logits([1, 2.25, 2.5]))
    meter.update(logits([1, 0, 0]), logits([1, 0, 1.25]))
    result = meter.result()
    assert result.max_lsb == 5
    assert result.identical_fraction == 3 / 6
    assert result.within_one_lsb_fraction == 4 / 6
    assert result.top1_agreement == 0.5
    assert result.n == 2


def test_a_prediction_that_a_last_bit_turns_is_a_close_call():
    meter = ParityMeter(output_scale=0.25)
    # the other class is 2 and 3 last bits below the highest, and the highest itself
    meter.update(logits([1, 1.25, 0]), logits([1.5, 1, 0]))
    meter.update(logits([1, 1.25, 0]), logits([1.75, 1, 0]))
    meter.update(logits([1, 0, 0]), logits([1, 0, 0]))
    result = meter.result()
    assert (different_predictions(result), truly_different(result)) == (2, 1)
    assert result.close_calls == 1


def test_parity_rounds_away_the_last_digit_of_float32():
    scale = 0.1
    steps = np.arange(-128, 128, dtype=np.float32)[None, :]
    first = steps * np.float32(scale)
    meter = ParityMeter(scale)
    meter.update(first, np.nextafter(first, np.float32(np.inf)))
    assert meter.result().identical_fraction == 1.0
    meter.update(first, (steps + 1) * np.float32(scale))
    assert meter.result().max_lsb == 1
    assert meter.result().identical_fraction == 0.5


@pytest.mark.parametrize("make", [FidelityMeter, lambda: ParityMeter(0.1)])
class TestEveryMeter:
    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("side", [0, 1])
    def test_refuses_a_value_that_is_not_finite(self, make, bad, side):
        pair = [logits([1, 2]), logits([1, 2])]
        pair[side] = logits([1, bad])
        with pytest.raises(InputError, match="expected finite logits"):
            make().update(*pair)

    def test_refuses_other_shapes(self, make):
        with pytest.raises(InputError, match="expected equal shapes"):
            make().update(logits([1, 2]), logits([1, 2, 3]))

    def test_refuses_other_types(self, make):
        with pytest.raises(InputError, match="float64"):
            make().update(logits([1, 2]), np.ones((1, 2)))

    def test_has_no_result_without_a_batch(self, make):
        with pytest.raises(ValueError, match="no batch"):
            make().result()


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_no_scale_is_refused(scale):
    with pytest.raises(ValueError, match="output_scale"):
        ParityMeter(scale)
