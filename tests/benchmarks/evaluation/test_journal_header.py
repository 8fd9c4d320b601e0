"""What answers depend on: everything that could change them is in the header."""

from pathlib import Path

import pytest

from eightbit.benchmarks.evaluation.journal import JournalHeader, header_of
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.models.images.sources import ImageItem
from eightbit.models.spec import Preprocessing

MODELS = ("onnx", "fp32")
ITEMS = tuple(ImageItem(name=f"{index}.png", folder=None) for index in range(4))


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.onnx" for name in MODELS}
    for name, path in found.items():
        path.write_text(name)
    return found


@pytest.fixture
def header(models: dict[str, Path]) -> JournalHeader:
    return header_of(models, Preprocessing(), ITEMS, threads=1)


OTHER = read_environment().model_copy(update={"cpu": "Another CPU"})
NEWER = read_environment().model_copy(update={"versions": {"onnxruntime": "99"}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"models": (("onnx", "0" * 64), ("fp32", "1" * 64))}, "other models"),
        ({"preprocessing": Preprocessing(crop=223)}, "another preprocessing"),
        ({"images": 5}, "other images"),
        ({"listing_sha256": "0" * 64}, "other images"),
        ({"chunk_images": 8}, "another batch size"),
        ({"threads": 2}, "another number of threads"),
        ({"variables": (("ONEDNN_MAX_CPU_ISA", "AVX2"),)}, "other variables"),
        ({"environment": OTHER}, "another machine or other versions"),
        ({"environment": NEWER}, "another machine or other versions"),
    ],
)
def test_a_difference_is_named(header, change, reason):
    assert reason in header.model_copy(update=change).difference(header)


def test_what_is_equal_has_no_difference(header, models):
    assert header_of(models, Preprocessing(), ITEMS, threads=1).difference(header) is None


def test_the_header_says_on_what_the_answers_depend(header, models, monkeypatch):
    def again(preprocessing: Preprocessing | None = None, threads: int = 1) -> JournalHeader:
        return header_of(models, preprocessing or Preprocessing(), ITEMS, threads=threads)

    assert again() == header
    assert again(Preprocessing(resize=99)) != header
    assert again(threads=2) != header
    assert header_of(models, Preprocessing(), ITEMS[1:], threads=1) != header
    models["onnx"].write_text("other weights")
    assert again().models != header.models


@pytest.mark.parametrize(
    "name",
    ["ONEDNN_MAX_CPU_ISA", "DNNL_VERBOSE", "ATEN_CPU_CAPABILITY", "MKL_CBWR", "OMP_SCHEDULE"],
)
def test_variables_that_choose_kernels_are_in_the_header(header, models, monkeypatch, name):
    monkeypatch.setenv(name, "other\nvalue")
    found = header_of(models, Preprocessing(), ITEMS, threads=1)
    assert dict(found.variables)[name] == r"other\nvalue"
    assert "other variables" in found.difference(header)
    monkeypatch.setenv("UNRELATED", "1")
    assert header_of(models, Preprocessing(), ITEMS, threads=1) == found
