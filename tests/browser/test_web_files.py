"""The files of the page: kept for use without a server, whole and of one version, or named."""

import os
import shutil
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.web_sites import HOSTILE, Site, visit


def test_it_works_without_the_server_once_it_was_loaded(browser: Browser, pixel_site: Site) -> None:
    with visit(browser, pixel_site.folder) as there:
        there.ready().offline()
        there.server.close()
        there.page.reload()
        there.ready()
        assert there.sample().startswith(HOSTILE)
        there.page.click("#run-self-test")
        expect(there.page.locator("#verdict")).to_contain_text("Passed: 3 of 3")
        # One model alone: nothing to agree with.
        expect(there.page.locator(".answer")).to_have_count(1)
        expect(there.page.locator("#status .detail")).to_have_count(0)


def test_a_newer_page_takes_the_place_of_the_kept_one(
    browser: Browser, site: Site, pixel_site: Site, tmp_path: Path
) -> None:
    folder = shutil.copytree(pixel_site.folder, tmp_path / "site")
    with visit(browser, folder) as there:
        there.ready().offline()
        shutil.rmtree(folder)
        shutil.copytree(site.folder, folder)
        for path in folder.rglob("*.*"):  # a server goes by the seconds of a file's time
            os.utime(path, (time.time() + 60, time.time() + 60))
        there.page.reload()
        there.page.locator("#offline:has-text('A newer version')").wait_for()
        there.page.reload()
        there.ready()
        there.sample()
        expect(there.page.locator(".answer")).to_have_count(2)
        kept = there.run("async () => (await caches.keys()).length")
        assert kept == 1


def test_a_copy_of_mixed_versions_is_never_kept(
    browser: Browser, pixel_site: Site, tmp_path: Path
) -> None:
    folder = shutil.copytree(pixel_site.folder, tmp_path / "site")
    (folder / "view.js").write_text((folder / "view.js").read_text() + "\n// of another version\n")
    with visit(browser, folder) as there:
        there.ready()
        there.page.locator("#offline:has-text('keeps no copy')").wait_for()
        assert there.run("async () => (await caches.keys()).length") == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.int8.onnx", "model.int8.onnx is not beside this page (the server says 404): copy"),
        ("model.json", "model.json is not beside this page"),
        ("ort.wasm.min.mjs", "ort.wasm.min.mjs could not be loaded: it has to lie beside"),
        ("worker.js", "worker.js could not be started"),
    ],
)
def test_a_missing_file_is_named(
    browser: Browser, pixel_site: Site, tmp_path: Path, name: str, said: str
) -> None:
    folder = shutil.copytree(pixel_site.folder, tmp_path / "site")
    (folder / name).unlink()
    with visit(browser, folder, service_workers="block") as there:
        assert there.problem().startswith(said)
        there.page.click("#sample")
        assert there.problem().startswith(said)


def test_a_model_of_another_version_is_refused(
    browser: Browser, site: Site, pixel_site: Site, tmp_path: Path
) -> None:
    """Its labels or its preprocessing could be others."""
    folder = shutil.copytree(pixel_site.folder, tmp_path / "site")
    shutil.copy(site.int8, folder)
    with visit(browser, folder, service_workers="block") as there:
        assert there.problem().startswith("model.int8.onnx is of another version of this page")


def test_opened_from_disk_it_says_what_to_do(browser: Browser, pixel_site: Site) -> None:
    page = browser.new_page()
    page.goto((pixel_site.folder / "index.html").as_uri())
    expect(page.locator("#problem")).to_contain_text("python -m http.server")
    page.close()
