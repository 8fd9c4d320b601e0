"""Which folder a web page may replace: one of ours, and nothing else."""

from pathlib import Path

import pytest

from eightbit.models.errors import InputError
from eightbit.quantize.atomic_files import write_folder
from eightbit.quantize.deploy.web_page import check_page_target

FILES = {"model.json": b"new", "self_test/0.png": b"picture"}


def test_an_earlier_page_may_be_replaced_with_permission(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_folder(out, FILES)
    check_page_target(out, overwrite=True)
    with pytest.raises(InputError, match="found files in it; choose another --out or give --over"):
        check_page_target(out, overwrite=False)


@pytest.mark.parametrize("name", ["thesis.txt", "self_test/9.png", "self_test/deep/model.json"])
def test_a_folder_that_holds_anything_else_is_never_replaced(tmp_path: Path, name: str) -> None:
    out = tmp_path / "site"
    write_folder(out, {**FILES, name: b"mine"})
    with pytest.raises(InputError, match=f"found {name} in it; it would be replaced as a whole"):
        check_page_target(out, overwrite=True)


def test_an_empty_folder_of_mine_counts_as_something_else(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_folder(out, FILES)
    (out / "notes").mkdir()
    with pytest.raises(InputError, match="found notes in it"):
        check_page_target(out, overwrite=True)


def test_a_link_within_counts_as_something_else(tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_folder(out, {"model.json": b""})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0.png").write_bytes(b"keep me")
    (out / "self_test").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="found self_test in it"):
        check_page_target(out, overwrite=True)


def test_style_sheets_alone_are_no_page(tmp_path: Path) -> None:
    (tmp_path / "page.css").write_text("mine")
    with pytest.raises(InputError, match=r"found no model\.json in it"):
        check_page_target(tmp_path, overwrite=True)


def test_an_empty_folder_needs_no_permission(tmp_path: Path) -> None:
    check_page_target(tmp_path, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_or_a_link_in_the_way_is_refused(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name, found in (("file", "a file"), ("link", "a link")):
        with pytest.raises(InputError, match=f"expected a folder, found {found}; choose another"):
            check_page_target(tmp_path / name, overwrite=overwrite)
