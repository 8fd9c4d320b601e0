"""The tiny network, the pictures and the command line of the tests of `quantize`."""

from tests.quantize.conftest import (  # noqa: F401 - fixtures are found by their names
    _one_thread,
    cache,
    checkpoint,
    eightbit,
    make_checkpoint,
    photos,
    quick,
)
