"""Both decodings of the photos at hand, and what is told of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.synthetic_reports.reports import full

from eightbit.benchmarks.report.images import DecodingSection
from eightbit.benchmarks.report.tables.cost import decoding_tables
from eightbit.models.images.preprocessing import file_pixels
from eightbit.models.images.sources import open_source
from eightbit.models.spec import Decode, Preprocessing
from eightbit.quantize.measure.decoding import compare_decodings
from eightbit.quantize.photos import synthetic_picture

SMALL = Preprocessing(resize=64, crop=56)


def save_photos(folder: Path, count: int, width: int = 640, height: int = 400) -> Path:
    folder.mkdir()
    for seed in range(count):
        synthetic_picture(width, height, seed).save(folder / f"{seed:02}.jpg", quality=90)
    return folder


@pytest.mark.parametrize("decode", Decode)
def test_large_photos_are_compared_whatever_the_models_own_decoding(
    tmp_path: Path, decode: Decode
) -> None:
    folder = save_photos(tmp_path / "photos", 3)
    (folder / "03.jpg").write_bytes((folder / "00.jpg").read_bytes()[:2000])  # it is damaged
    Image.new("RGB", (640, 400)).save(folder / "04.png")
    Image.new("RGB", (100, 100)).save(folder / "05.jpg")
    with open_source(folder) as source:
        found = compare_decodings(source, SMALL.model_copy(update={"decode": decode}))
    assert found is not None
    assert found.images == 3
    assert found.megapixels == pytest.approx(0.256)
    levels = []
    for number in range(3):
        data = (folder / f"{number:02}.jpg").read_bytes()
        exact, scaled = (
            file_pixels(data, SMALL.model_copy(update={"decode": way})).astype(int)
            for way in Decode
        )
        levels.append(np.abs(exact - scaled).mean())
    assert found.mean_levels == pytest.approx(np.mean(levels))
    assert found.max_levels == pytest.approx(np.max(levels))
    assert found.max_levels > 0


def test_eight_of_many_photos_are_compared(tmp_path: Path) -> None:
    with open_source(save_photos(tmp_path / "photos", 30)) as source:
        found = compare_decodings(source, SMALL)
    assert found is not None
    assert found.images == 8


def test_photos_too_small_leave_nothing_to_tell(tmp_path: Path) -> None:
    with open_source(save_photos(tmp_path / "photos", 2, 250, 250)) as source:
        assert compare_decodings(source, SMALL) is None


def section(exact_ms: float) -> DecodingSection:
    return DecodingSection(
        images=8,
        megapixels=12.0,
        exact_ms=exact_ms,
        scaled_ms=25,
        mean_levels=0.2,
        max_levels=0.31,
    )


def table_of(decode: Decode, decoding: DecodingSection | None) -> list[str]:
    report = full()
    assert report.evaluation is not None
    spec = report.model.spec
    preprocessing = spec.preprocessing.model_copy(update={"decode": decode})
    report = report.model_copy(
        update={
            "model": report.model.model_copy(
                update={"spec": spec.model_copy(update={"preprocessing": preprocessing})}
            ),
            "evaluation": report.evaluation.model_copy(update={"decoding": decoding}),
        }
    )
    return [f"{[*table.rows]} {table.note}" for table in decoding_tables(report)]


def test_the_report_advises_scaled_decoding_where_it_pays() -> None:
    (told,) = table_of(Decode.EXACT, section(100))
    assert "('exact', '100', 'yes'), ('scaled', '25.0', 'no')" in told
    assert "8 photos of 12.0 megapixels" in told
    assert "0.20 levels of 255 on average, in one photo by 0.31" in told
    assert "--decode scaled makes them ready 4.0 times as fast" in told


@pytest.mark.parametrize(("decode", "exact_ms"), [(Decode.SCALED, 100), (Decode.EXACT, 30)])
def test_it_does_not_where_it_is_done_or_gains_little(decode: Decode, exact_ms: float) -> None:
    (told,) = table_of(decode, section(exact_ms))
    assert "0.20 levels" in told
    assert "--decode scaled" not in told
    assert f"('{decode}', " in told


def test_nothing_is_said_where_no_photo_is_large() -> None:
    assert table_of(Decode.EXACT, None) == []
