"""What the two errors say is one visible line, whatever a file is called."""

import pickle

import pytest

from eightbit.models.errors import InputError, UnusableImage


@pytest.mark.parametrize("error", [InputError, UnusableImage])
def test_a_message_is_one_visible_line_and_stays_so(error):
    said = str(error("a\x1b[31m\u202eb\nc\udcff: expected a file"))
    assert said == r"a\x1b[31m\u202eb c\udcff: expected a file"
    assert str(error(said)) == said
    assert str(pickle.loads(pickle.dumps(error(said)))) == said
