"""Every operator that a network may have is written by somebody."""

from eightbit.quantize.artifacts.onnx_float import FLOAT_WRITERS
from eightbit.quantize.artifacts.onnx_functions import _MOVING
from eightbit.quantize.network.operators import FLOAT, MOVING


def test_every_float_operator_has_a_writer() -> None:
    assert FLOAT_WRITERS.keys() == FLOAT.keys()


def test_every_moving_operator_has_a_writer() -> None:
    assert _MOVING.keys() == set(MOVING.values())
