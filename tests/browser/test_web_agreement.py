"""The benchmark that gives real files to the page, on synthetic ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.browser.web_sites import Site

from eightbit.quantize.photos import synthetic_picture


@pytest.mark.usefixtures("browser")  # which skips where there is none
def test_the_page_answers_like_the_desktop_from_files(site: Site, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for seed in range(4):
        synthetic_picture(90 + seed, 61, seed).save(tmp_path / "photos" / f"{seed}.jpg")
    module = "eightbit.benchmarks.studies.web_agreement"
    options = ("--images", tmp_path / "photos", "--count", 4, "--out", tmp_path / "web.md")
    command = [sys.executable, "-m", module, site.folder, site.bundle, *options]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "4 of 4 photos have the same class in both" in done.stdout
    text = (tmp_path / "web.md").read_text()
    cells = re.search(r"^\| 4 \| 4 \| (\d) \| \d+ of 255 \| ([\d.]+) \| ([\d.-]+) \|$", text, re.M)
    assert cells is not None
    identical, _, of_identical = cells.groups()
    assert identical == "0" or of_identical == "0.00"
    assert "infer, float" in text
