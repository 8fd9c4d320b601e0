import numpy as np

from eightbit.benchmarks.studies.mlperf_tiny import compared, markdown


def test_answers_are_counted_beside_float():
    labels, real, found = np.array([0, 1, 2, 3]), np.array([0, 1, 0, 0]), np.array([0, 2, 2, 0])
    row = compared("x", found, real, labels)
    assert (row.right, row.broke, row.fixed, row.agree, row.images) == (2, 1, 1, 2, 4)


def test_the_page_has_a_row_for_each_file():
    labels = np.arange(100)
    worse = np.where(labels < 3, -1, labels)
    rows = (compared("ours", labels, labels, labels), compared("theirs", worse, labels, labels))
    page = markdown(100, rows, (1000, 2000), (None, 0.25), "command").splitlines()
    # Tango's interval of 0 of 100 is z² / (100 + z²).
    assert "| ours | 100.00% | +0.00 pp [-3.70, 3.70] | 0 | 0 | 100.00% | 1,000 | - |" in page
    assert any(line.startswith("| theirs | 97.00% | +3.00 pp") for line in page)
    assert page[-1].endswith("| 2,000 | 0.250 ms |")
