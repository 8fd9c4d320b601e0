import math

import numpy as np
import pytest

from eightbit.benchmarks.fidelity import FidelityMeter, ParityMeter
from eightbit.models.errors import InputError


def logits(*rows):
    return np.array(rows, dtype=np.float32)


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
    assert '"sqnr_db":null' in meter.result().model_dump_json()


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
