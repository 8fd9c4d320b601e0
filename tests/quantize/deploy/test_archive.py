"""`eightbit bundle`: one archive, the same bytes every time, written only if it works."""

import ast
import hashlib
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from eightbit.benchmarks import read_report
from eightbit.benchmarks.artifact.formats import ONNX_METADATA_KEY
from eightbit.benchmarks.latency.sections import ColdStart
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult
from eightbit.quantize import write_bundle
from eightbit.quantize.artifacts.open_bundle import Bundle, open_bundle
from eightbit.quantize.deploy import archive as packing
from eightbit.quantize.deploy.archive import (
    SelfTestFailedError,
    archive_of,
    bundle_files,
    self_test,
)
from eightbit.quantize.deploy.self_test import SelfTest, make_self_test
from eightbit.quantize.stages import Stages

Eightbit = Callable[..., Any]

MEMBERS = [
    *("__main__.py", "classify.py", "self_test.py", "requirements.txt", "README.md"),
    "model.int8.onnx",
    *("self_test.json", "self_test/0.png", "self_test/1.png", "self_test/2.png"),
]
HOSTILE = "<b>cat</b>\n| `dog` \u202e\x1b[31m"


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))


COLD_START = ColdStart(
    launches=5,
    seconds=0.5,
    bare_seconds=0.4,
    ratio=1.25,
    ratio_ci95=(1.2, 1.3),
    peak_rss_bytes=120_000_000,
    bare_peak_rss_bytes=100_000_000,
)


def wrong(opened: Bundle) -> SelfTest:
    """A self-test in which every logit is four last bits away."""
    true = make_self_test(opened)
    document = json.loads(true.document)
    for image in document["images"]:
        image["logits"] = [logit + 4 * document["last_bit"] for logit in image["logits"]]
    return SelfTest(document=json.dumps(document).encode(), pictures=true.pictures)


def test_the_command_writes_an_archive_and_tells_of_it(
    eightbit: Eightbit, folder: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "LAUNCHES", 2)
    out = folder.parent / "model.zip"
    outcome = eightbit("bundle", folder, "--out", out)
    assert outcome.code == 0, outcome
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert f"SHA-256 {digest}" in outcome.out
    assert "self-test passed: the same classes, within 2 last bits (python 3." in outcome.out
    assert f"pip install {' '.join(packing.pinned_packages())}" in outcome.out
    assert "python model.zip photo.jpg" in outcome.out
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bundle", "model.zip"]
    assert stat.S_IMODE(out.stat().st_mode) & 0o444 == 0o444  # who unpacks it may be another user

    report = read_report(folder / "report.json")
    edge = report.edge
    assert edge is not None
    assert (edge.bundle_sha256, edge.bundle_bytes) == (digest, out.stat().st_size)
    assert edge.cold_start is not None
    assert edge.cold_start.launches == 2
    assert 10e6 < edge.cold_start.bare_peak_rss_bytes < 1e9
    assert edge.command == f"eightbit bundle {folder} --out {out}"
    assert report.commands[-1] == edge.command
    assert report.accuracy is not None  # what was known before stays
    assert digest in (folder / "report.md").read_text()
    assert digest in (folder / "report.html").read_text()
    # Another folder, another report, the same archive.
    assert out.read_bytes() == packed.read_bytes()


def test_the_archive_is_the_same_from_another_place_and_after_it_was_measured(
    folder: Path, packed: Path
) -> None:
    archives = []
    for place in (folder, folder.with_name("other")):
        if place != folder:
            shutil.copytree(folder, place)
        report = read_report(place / "report.json")
        archives += [archive_of(bundle_files(open_bundle(place), report)) for _ in range(2)]
    assert set(archives) == {packed.read_bytes()}


def test_nothing_in_the_archive_depends_on_when_and_where_it_was_made(
    packed: Path, bundle_folder: Path
) -> None:
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == MEMBERS
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.create_system, entry.external_attr >> 16) == (3, 0o100644)
            assert not entry.extra
            content = archive.read(entry)
            if entry.filename != "model.int8.onnx":
                assert str(bundle_folder.parent).encode() not in content
        assert archive.read("model.int8.onnx") == (bundle_folder / "model.int8.onnx").read_bytes()


@pytest.mark.parametrize("name", ["__main__.py", "classify.py", "self_test.py"])
def test_the_programs_are_written_in_the_python_of_old_boards(packed: Path, name: str) -> None:
    with zipfile.ZipFile(packed) as archive:
        ast.parse(archive.read(name), feature_version=(3, 9))


def test_requirements_are_those_with_which_the_self_test_was_made(packed: Path) -> None:
    import numpy
    import onnxruntime
    import PIL

    with zipfile.ZipFile(packed) as archive:
        lines = archive.read("requirements.txt").decode().splitlines()
        program = archive.read("classify.py").decode()
    assert lines == [
        f"numpy=={numpy.__version__}",
        f"onnxruntime=={onnxruntime.__version__}",
        f"pillow=={PIL.__version__}",
    ]
    start = program.index("# /// script\n")
    inline = program[start : program.index("# ///\n", start + 1)]
    dependencies = next(line for line in inline.splitlines() if "dependencies" in line)
    assert json.loads(dependencies.partition("= ")[2]) == lines


def test_the_self_test_is_of_this_model_and_its_classes_are_no_close_calls(
    packed: Path, bundle_folder: Path
) -> None:
    with zipfile.ZipFile(packed) as archive:
        test = json.loads(archive.read("self_test.json"))
    model = (bundle_folder / "model.int8.onnx").read_bytes()
    assert test["model_sha256"] == hashlib.sha256(model).hexdigest()
    assert [image["file"] for image in test["images"]] == MEMBERS[-3:]
    for image in test["images"]:
        first, second = sorted(image["logits"])[:-3:-1]
        assert first - second > 2 * 2 * test["last_bit"]


def test_a_bundle_that_fails_its_self_test_is_not_written(
    eightbit: Eightbit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "make_self_test", wrong)
    before = (folder / "report.json").read_bytes()
    outcome = eightbit("bundle", folder, "--out", folder.parent / "model.zip")
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert "self-test of the packed model: failed: this machine's runtime computes diff" in line
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]
    assert (folder / "report.json").read_bytes() == before


def test_what_fails_beside_the_writing_is_not_said_of_the_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(11, "no more processes")

    monkeypatch.setattr(packing, "self_test", fail)
    with pytest.raises(OSError, match="no more processes"):
        write_bundle(folder, folder.parent / "model.zip", Stages())
    monkeypatch.setattr(packing, "self_test", lambda _: "passed")
    monkeypatch.setattr(packing, "measure_cold_start", lambda *_, **__: COLD_START)
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ValueError, match=r"model\.zip: cannot be written: no more processes"):
        write_bundle(folder, folder.parent / "model.zip", Stages())


def test_packages_in_a_folder_of_the_users_are_found(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('the own one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ValueError, match="the own one"):
        self_test(packed)


def test_a_bundle_that_cannot_run_is_refused_in_its_own_words(folder: Path) -> None:
    archive = folder.parent / "broken.zip"
    files = bundle_files(open_bundle(folder), read_report(folder / "report.json"))
    archive.write_bytes(archive_of({**files, "model.int8.onnx": b"no model"}))
    with pytest.raises(ValueError, match=r"cannot be run: classify: model\.int8\.onnx: ONNX Run"):
        self_test(archive)
    archive.write_bytes(
        archive_of({**files, "self_test.json": wrong(open_bundle(folder)).document})
    )
    with pytest.raises(SelfTestFailedError):
        self_test(archive)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("model.tar", "expected the name of an archive that ends in .zip"),
        ("there.zip", "found one; choose another --out or give --overwrite"),
        ("folder.zip", "expected the name of a file, found a folder"),
        ("nowhere/model.zip", "expected a folder to write in, found none"),
    ],
)
def test_a_bad_place_is_refused_before_any_work(
    eightbit: Eightbit, folder: Path, tmp_path: Path, out: str, said: str
) -> None:
    (tmp_path / "there.zip").write_bytes(b"mine")
    (tmp_path / "folder.zip").mkdir()
    assert said in eightbit("bundle", folder, "--out", tmp_path / out).error
    assert (tmp_path / "there.zip").read_bytes() == b"mine"


def test_with_overwrite_a_file_is_replaced_and_other_machines_stay_in_the_report(
    folder: Path, tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "measure_cold_start", lambda *_, **__: COLD_START)
    model = hashlib.sha256((folder / "model.int8.onnx").read_bytes()).hexdigest()
    board = SelfTestResult(
        name="onnx_aarch64", machine="aarch64", same_pixels=True, model_sha256=model
    )
    of_another = board.model_copy(update={"name": "onnx_old", "model_sha256": "0" * 64})
    report = read_report(folder / "report.json")
    known = report.model_copy(update={"edge": EdgeSection(elsewhere=(board, of_another))})
    (folder / "report.json").write_text(known.to_json())
    out = tmp_path / "there.zip"
    out.write_bytes(b"mine")
    said = write_bundle(folder, out, Stages(), overwrite=True)
    assert out.read_bytes() == packed.read_bytes()
    assert said.startswith(str(out))
    assert "a photo's class after 0.50 s, 1.25x [1.20, 1.30] the time of a bare script, in" in said
    amended = read_report(folder / "report.json")
    assert amended.edge is not None
    assert amended.edge.elsewhere == (board,)
    assert amended.edge.cold_start == COLD_START
    assert amended.parity == report.parity


def without_onnx(folder: Path) -> None:
    (folder / "model.int8.onnx").unlink()


def without_recipe(folder: Path) -> None:
    (folder / "recipe.json").unlink()


def without_metadata(folder: Path) -> None:
    model = onnx.load(folder / "model.int8.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "model.int8.onnx")
    (folder / "report.json").unlink()  # which is of another file


def of_another_recipe(folder: Path) -> None:
    model = onnx.load(folder / "model.int8.onnx")
    described = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**described, "recipe_sha256": "0" * 64})
    onnx.save(model, folder / "model.int8.onnx")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_onnx, "found no model.int8.onnx; quantize again with --formats onnx"),
        (without_recipe, "recipe.json"),
        (without_metadata, "found a model without eightbit metadata"),
        (of_another_recipe, "found one of another recipe"),
    ],
)
def test_what_is_no_whole_bundle_is_refused(
    eightbit: Eightbit, folder: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(folder)
    assert said in eightbit("bundle", folder, "--out", folder.parent / "model.zip").error
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_names_of_classes_travel_one_per_line_whatever_is_in_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_bundle(folder)
    made = make_self_test(opened)
    monkeypatch.setattr(packing, "make_self_test", lambda _: made)
    model = onnx.load(folder / "model.int8.onnx")
    (entry,) = (prop for prop in model.metadata_props if prop.key == ONNX_METADATA_KEY)
    described = json.loads(entry.value)
    names = [HOSTILE, "", "caf\u00e9", "a\u2028b", *"012345"]
    described["spec"]["labels"] = names
    entry.value = json.dumps(described)
    onnx.save(model, folder / "model.int8.onnx")
    files = bundle_files(opened, read_report(folder / "report.json"))
    lines = files["labels.txt"].decode().splitlines()
    assert lines[:4] == ["<b>cat</b>\\n| `dog` \\u202e\\x1b[31m", "", "caf\u00e9", "a\\u2028b"]
    assert len(lines) == 10
    assert list(files)[5:7] == ["labels.txt", "model.int8.onnx"]
