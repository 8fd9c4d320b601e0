"""The folder of the page: its files, the same for the same bundle, and what is refused."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from tests.quantize.conftest import Eightbit

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.report.document import read_report
from eightbit.models.errors import InputError
from eightbit.models.spec import ModelSpec, Preprocessing
from eightbit.quantize.deploy import web_page
from eightbit.quantize.deploy.npm import RUNTIME_FILES
from eightbit.quantize.deploy.web_page import write_web_page
from eightbit.quantize.stages import Stages

ASSETS = Path(web_page.__file__).parent / "assets" / "web"
MADE = {"index.html", "model.json", "manifest.webmanifest", "files.js", "self_test.json"}


@pytest.fixture(autouse=True)
def _no_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What npm brings is the matter of `test_npm`."""
    files = {name: name.encode() for name in RUNTIME_FILES}
    monkeypatch.setattr(web_page, "runtime_files", lambda _: files)


@pytest.fixture
def copied(bundle_folder: Path, tmp_path: Path) -> Path:
    """A bundle to be spoiled."""
    return Path(shutil.copytree(bundle_folder, tmp_path / "copied"))


def write(bundle: Path, out: Path, *, with_float: bool = False, overwrite: bool = False) -> str:
    return write_web_page(bundle, out, Stages(), with_float=with_float, overwrite=overwrite)


def content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Preprocessing(), '224 × 224</span> <div class="detail">cut out of 256 pixels on the sho'),  # noqa: RUF001
        (Preprocessing(squash=True), "cut out of 256 pixels on both sides"),
        (Preprocessing(resize=(110, 183), crop=(96, 160)), "cut out of at least 183 x 110 pixels"),
        (Preprocessing(resize=(9, 7), crop=(96, 160), squash=True), "cut out of 7 x 9 pixels"),
    ],
)
def test_the_page_says_what_it_cuts_out(how: Preprocessing, said: str) -> None:
    spec = ModelSpec(architecture="net", num_classes=3, preprocessing=how)
    metadata = ArtifactMetadata(precision=Precision.INT8, spec=spec)
    page = web_page.index(metadata, 0.1, ()).decode()
    height, width = how.crop_size
    assert f'<canvas id="pixels" width="{width}" height="{height}"' in page
    assert said in page


def test_the_command_writes_a_page_and_says_how_to_look_at_it(
    eightbit: Eightbit, bundle_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "site"
    done = eightbit("bundle", bundle_folder, "--web", "--out", out)
    assert done.code == 0, done
    said = " ".join(done.out.split())
    assert re.search(r"written to .*: \d+ files, [\d.]+ kB", said)
    assert "python -m http.server --directory" in said
    assert (out / "index.html").is_file()
    assert eightbit("bundle", bundle_folder, "--web", "--out", out).error
    again = eightbit("bundle", bundle_folder, "--web", "--float", "--out", out, "--overwrite")
    assert again.code == 0
    assert (out / "model.fp32.onnx").is_file()


def test_the_same_bundle_gives_the_same_bytes(bundle_folder: Path, tmp_path: Path) -> None:
    write(bundle_folder, tmp_path / "one", with_float=True)
    write(bundle_folder, tmp_path / "two", with_float=True)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_every_file_is_listed_with_its_digest(bundle_folder: Path, tmp_path: Path) -> None:
    """Those that the service worker keeps; itself and the list are the browser's to fetch."""
    write(bundle_folder, tmp_path / "site", with_float=True)
    files = content(tmp_path / "site")
    listed = json.loads(re.search(r"self.FILES = (\{.*?\});", files["files.js"].decode(), re.S)[1])
    unlisted = {"files.js", "service-worker.js"}
    assert listed == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files.items()
        if name not in unlisted
    }
    assert {*listed, *unlisted} <= web_page._KNOWN


def test_every_asset_is_in_the_page(bundle_folder: Path, tmp_path: Path) -> None:
    """What is used to write the page is not: the template, and the script within it."""
    write(bundle_folder, tmp_path / "site")
    made_of = {"index.html.j2", "guard.js"}
    names = {path.name for path in ASSETS.iterdir()} - made_of
    written = {name for name in content(tmp_path / "site") if "/" not in name}
    assert written == {*names, *MADE, *RUNTIME_FILES, "model.int8.onnx"}


def test_the_page_knows_its_model(bundle_folder: Path, tmp_path: Path) -> None:
    write(bundle_folder, tmp_path / "site")
    found = json.loads((tmp_path / "site" / "model.json").read_text())
    report = read_report(bundle_folder / "report.json")
    assert found["name"] == "cifar_resnet20"
    assert found["classes"] == 10
    assert found["labels"] == report.model.spec.labels
    assert found["preprocessing"] == report.model.spec.preprocessing.model_dump(mode="json")
    assert found["input"] == {"name": "float32", "dtype": "float32", "layout": "NCHW"}
    assert found["models"].keys() == {"int8"}
    test = json.loads((tmp_path / "site" / "self_test.json").read_text())
    assert found["models"]["int8"]["sha256"] == test["model_sha256"]
    assert found["last_bit"] == test["last_bit"]
    labels = [figure["label"] for figure in found["figures"]]
    assert labels == ["Top-1 accuracy", "Top-1 drop", "Size", "Fidelity of the logits"]


def test_without_a_report_only_the_size_is_known(copied: Path, tmp_path: Path) -> None:
    (copied / "report.json").unlink()
    write(copied, tmp_path / "site")
    figures = json.loads((tmp_path / "site" / "model.json").read_text())["figures"]
    assert [figure["label"] for figure in figures] == ["Size"]


def test_without_a_report_the_page_tells_the_size_alone(copied: Path, tmp_path: Path) -> None:
    (copied / "report.json").unlink()
    write(copied, tmp_path / "site")
    figures = json.loads((tmp_path / "site" / "model.json").read_text())["figures"]
    assert [figure["label"] for figure in figures] == ["Size"]


def test_nothing_of_the_page_names_another_place(bundle_folder: Path, tmp_path: Path) -> None:
    """No address but that of a standard's namespace, and a policy that allows none."""
    write(bundle_folder, tmp_path / "site")
    files = content(tmp_path / "site")
    for name, data in files.items():
        if name.endswith((".html", ".js", ".css", ".json", ".webmanifest", ".svg")):
            found = set(re.findall(r"https?://[^\s\"'<>)]*", data.decode()))
            assert found <= {"http://www.w3.org/2000/svg", "http://localhost:8000."}, name
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', files["index.html"].decode())
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'self' 'sha256-")
    assert "unsafe-inline" not in policy[1]
    assert "http" not in policy[1]


def test_a_name_is_written_as_text(bundle_folder: Path) -> None:
    from eightbit.benchmarks.artifact.metadata import read_metadata
    from eightbit.benchmarks.report.headline import Tile

    metadata = read_metadata(bundle_folder / "model.int8.onnx")
    assert metadata is not None
    tile = Tile(label="<b>", value="&", detail="<script>")
    page = web_page.index(metadata, 0.1, [tile]).decode()
    assert "&lt;b&gt;" in page
    assert "<script>\n" not in page.replace("<script>if", "")
    assert page.count("<script>") == 1  # the guard's


def spoil_other_recipe(folder: Path) -> str:
    path = folder / "recipe.json"
    path.write_text(path.read_text().replace('"output_scale": ', '"output_scale": 1'))
    return "expected an artefact of the recipe.json beside it"


def spoil_no_onnx(folder: Path) -> str:
    (folder / "model.int8.onnx").unlink()
    return "found no model.int8.onnx; quantize again with --formats onnx"


def spoil_no_bundle(folder: Path) -> str:
    (folder / "model.fp32.onnx").unlink()
    return "expected a folder that `eightbit quantize` wrote"


def spoil_no_metadata(folder: Path) -> str:
    import onnx

    model = onnx.load(folder / "model.int8.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "model.int8.onnx")
    (folder / "report.json").unlink()  # which is of another file
    return "found a model without eightbit metadata; quantize again"


def spoil_float(folder: Path) -> str:
    import onnx

    model = onnx.load(folder / "model.fp32.onnx")
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"crop":32', '"crop":31')
    onnx.save(model, folder / "model.fp32.onnx")
    (folder / "report.json").unlink()
    return "expected the float model of the model.int8.onnx beside it, found another"


@pytest.mark.parametrize(
    "spoil",
    [spoil_other_recipe, spoil_no_onnx, spoil_no_bundle, spoil_no_metadata, spoil_float],
)
def test_what_does_not_belong_together_is_refused(copied: Path, tmp_path: Path, spoil) -> None:
    said = spoil(copied)
    with pytest.raises(InputError) as raised:
        write(copied, tmp_path / "site", with_float=True)
    (line,) = str(raised.value).splitlines()
    assert said in line
    assert not (tmp_path / "site").exists()


def test_the_bundle_itself_is_never_overwritten(copied: Path) -> None:
    before = content(copied)
    with pytest.raises(InputError, match="it would be replaced as a whole"):
        write(copied, copied, overwrite=True)
    assert content(copied) == before


def test_the_float_model_alone_is_an_option_of_the_page(
    eightbit: Eightbit, bundle_folder: Path, tmp_path: Path
) -> None:
    done = eightbit("bundle", bundle_folder, "--float", "--out", tmp_path / "model.zip")
    assert "--float: expected beside --web" in done.error
