import pytest

from eightbit.benchmarks.report.figures import (
    Table,
    class_name,
    decimal_bytes,
    interval,
    milliseconds,
    percent,
    points,
    probability,
    ratio,
)
from eightbit.models.plain_text import counted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(0.8123), "81.23 %"),
        (percent(0.8123, 1), "81.2 %"),
        (percent(1.0), "100.00 %"),
        (percent(0.99999), "99.99 %"),
        (percent(0.9999, 1), "99.9 %"),
        (percent(None), "-"),
        (points(0.104), "0.10 pp"),
        (points(-0.001), "0.00 pp"),
        (points(-1.5), "-1.50 pp"),
        (points(None), "-"),
        (interval(0.35, (-0.1, 0.8)), "0.35 pp [-0.10, 0.80]"),
        (interval(0.003, (0.00114, 0.00486)), "0.0030 pp [0.0011, 0.0049]"),
        (interval(-0.0001, (-0.3, 0.3)), "0.00 pp [-0.30, 0.30]"),
        (interval(0.0, (0.0, 0.0)), "0.00 pp [0.00, 0.00]"),
        (interval(0.1, None), "0.10 pp"),
        (probability(1.0), "1.00"),
        (probability(0.4), "0.40"),
        (probability(0.0321), "0.032"),
        (probability(0.0009), "<0.001"),
        (probability(None), "-"),
        (counted(0, "image"), "0 images"),
        (counted(1, "image"), "1 image"),
        (counted(4000, "image"), "4,000 images"),
        (counted(1, "class", "classes"), "1 class"),
        (counted(10, "class", "classes"), "10 classes"),
        (class_name(1, ("cat", "dog")), "dog"),
        (class_name(2, ("cat", "dog")), "2"),
        (class_name(0, None), "0"),
        (class_name(None, ("cat", "dog")), "-"),
        (ratio(3.14), "3.1x"),
        (ratio(None), "-"),
        (milliseconds(0.0312), "0.03"),
        (milliseconds(31.25), "31.2"),
        (milliseconds(1234.5), "1,234"),
        (decimal_bytes(512), "0.5 kB"),
        (decimal_bytes(45_678_901), "45.7 MB"),
        (decimal_bytes(8_000_000_000), "8.0 GB"),
    ],
)
def test_numbers_are_written_for_people(text, expected):
    assert text == expected


def test_a_table_has_as_many_cells_as_columns_in_every_row():
    with pytest.raises(ValueError, match="expected 2 cells"):
        Table(title="t", columns=("a", "b"), rows=(("1",),))
