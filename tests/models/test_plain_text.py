"""Untrusted text, made safe to show."""

from eightbit.models.plain_text import cut


def test_a_text_is_cut_behind_what_it_shows():
    assert cut("a  b", 10) == "a  b"
    assert cut("abcdef", 5) == "ab..."
    assert cut("\x1b" * 10, 12) == r"\x1b\x1b\..."
    assert cut("x" * 10_000_000, 5) == "xx..."
