import io
import time

import numpy as np
from PIL import Image

from eightbit.quantize.photos import synthetic_picture
from eightbit.quantize.studies.decoding import (
    SCALED,
    USUAL,
    WHOLE,
    Answer,
    Answered,
    Measured,
    Subject,
    document,
    enlarged,
    permuted,
    row,
)


def answering(index: int, level: int, asked: list[int]) -> Answer:
    def answer(data: bytes) -> Answered:
        asked.append(index)
        return Answered(index, np.full((4, 4, 3), level, np.uint8), time.process_time())

    return answer


def test_paths_take_turns_and_their_answers_are_compared() -> None:
    asked: list[int] = []
    paths = {
        SCALED: answering(1, 10, asked),
        WHOLE: answering(2, 12, asked),
        USUAL: answering(3, 0, asked),
    }
    found = Measured()
    for turn in range(18):
        Subject(name="tiny", paths=paths).measure(b"", turn, found)
    assert [asked.count(index) for index in (1, 2, 3)] == [18, 18, 6]
    assert found.same == [False] * 18
    assert found.levels == [2.0] * 18
    assert np.isnan(found.seconds[USUAL]).any(axis=1).sum() == 12
    assert not np.isnan(found.seconds[SCALED]).any()


def test_every_order_comes() -> None:
    orders = {permuted((SCALED, WHOLE, USUAL), turn) for turn in range(0, 18, 3)}
    assert len(orders) == 6


def test_a_photo_is_enlarged() -> None:
    data = enlarged(synthetic_picture(40, 30), 2.5)
    with Image.open(io.BytesIO(data)) as photo:
        assert (photo.format, photo.size) == ("JPEG", (100, 75))


def test_the_page_has_medians_and_spreads() -> None:
    found = Measured(
        seconds={
            SCALED: [(0.005, 0.010), (0.005, 0.010), (0.005, 0.010), (0.010, 0.020)],
            WHOLE: [(0.030, 0.040), (0.010, 0.020), (0.020, 0.030), (0.030, 0.040)],
            USUAL: [(0.030, 0.050), (np.nan, np.nan), (np.nan, np.nan), (0.040, 0.060)],
        },
        same=[True, True, True, False],
        levels=[0.1, 0.2, 0.1, 0.6],
    )
    cells = row("`tiny`, 8 px", "large", found)
    assert cells[:2] == ("`tiny`, 8 px", "4 large")
    assert cells[2:5] == ("10.0 (5.0)", "35.0 (25.0)", "55.0 (35.0)")
    assert cells[5:] == (
        "4.00 [3.50, 4.50]",
        "2.50 [2.00, 3.25]",
        "3.50 [2.75, 4.50]",
        "0.25 [0.60]",
        "75.00%",
    )
    page = document([cells], "python -m study")
    assert f"| {' | '.join(cells)} |" in page.splitlines()
    assert "`python -m study`" in page
