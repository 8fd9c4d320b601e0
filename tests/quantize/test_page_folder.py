"""A folder that is replaced as a whole, and only if it is one of ours."""

from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.quantize import bundle
from eightbit.quantize.bundle import check_page_target, write_page_folder

KNOWN = frozenset({"model.json", "page.css", "inner/0.png"})
FILES = {"model.json": b"new", "inner/0.png": b"picture"}


def content(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_new_folder_appears_with_everything_in_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "site"
    check_page_target(out, KNOWN, "model.json", overwrite=False)
    write_page_folder(out, FILES)
    assert content(out) == FILES
    assert [path.name for path in out.parent.iterdir()] == ["site"]
    assert out.stat().st_mode & 0o055 == 0o055  # a web server may be another user


def test_an_earlier_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_page_folder(out, {"model.json": b"old", "page.css": b"old"})
    check_page_target(out, KNOWN, "model.json", overwrite=True)
    write_page_folder(out, FILES)
    assert content(out) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_an_earlier_page_needs_permission(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_page_folder(out, FILES)
    with pytest.raises(InputError, match="found files in it; choose another --out or give --over"):
        check_page_target(out, KNOWN, "model.json", overwrite=False)


@pytest.mark.parametrize("name", ["thesis.txt", "inner/1.png", "inner/deep/model.json"])
def test_a_folder_that_holds_anything_else_is_never_replaced(tmp_path: Path, name: str) -> None:
    out = tmp_path / "site"
    write_page_folder(out, {**FILES, name: b"mine"})
    with pytest.raises(InputError, match=f"found {name} in it; it would be replaced as a whole"):
        check_page_target(out, KNOWN, "model.json", overwrite=True)


def test_an_empty_folder_of_mine_counts_as_something_else(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_page_folder(out, FILES)
    (out / "notes").mkdir()
    with pytest.raises(InputError, match="found notes in it"):
        check_page_target(out, KNOWN, "model.json", overwrite=True)


def test_a_link_within_counts_as_something_else(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_page_folder(out, {"model.json": b""})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0.png").write_bytes(b"keep me")
    (out / "inner").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="found inner in it"):
        check_page_target(out, KNOWN, "model.json", overwrite=True)


def test_style_sheets_alone_are_no_page(tmp_path: Path) -> None:
    (tmp_path / "page.css").write_text("mine")
    with pytest.raises(InputError, match=r"found no model\.json in it"):
        check_page_target(tmp_path, KNOWN, "model.json", overwrite=True)


def test_an_empty_folder_needs_no_permission(tmp_path: Path) -> None:
    check_page_target(tmp_path, KNOWN, "model.json", overwrite=False)
    write_page_folder(tmp_path / "site", FILES)
    assert content(tmp_path / "site") == FILES


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_or_a_link_in_the_way_is_refused(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name, found in (("file", "a file"), ("link", "a link")):
        with pytest.raises(InputError, match=f"expected a folder, found {found}; choose another"):
            check_page_target(tmp_path / name, KNOWN, "model.json", overwrite=overwrite)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=r"cannot be written: .+; choose another --out"):
        write_page_folder(tmp_path / "file" / "site", FILES)


def test_a_failure_between_the_renames_puts_the_old_page_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    write_page_folder(out, {"model.json": b"old"})
    rename = bundle.os.rename

    def failing(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise OSError(28, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(bundle.os, "rename", failing)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write_page_folder(out, FILES)
    assert content(out) == {"model.json": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
