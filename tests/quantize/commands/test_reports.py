"""Names that tell reports apart, and files of a report that are replaced together."""

import errno
import os
from pathlib import Path, PurePosixPath

import pytest
from tests.synthetic_reports.reports import synthetic_report

from eightbit.models.errors import InputError
from eightbit.quantize.commands.reports import (
    RENDERED,
    check_file_target,
    replace_report,
    short_names,
)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/auto/report.json", "/x/minmax/report.json"], ["auto", "minmax"]),
        (["/ci/main/out/report.json", "/ci/branch/out/report.json"], ["main", "branch"]),
        (["/a/one/report.json", "/b/one/report.json", "/b/two/report.json"],
         ["a/one", "b/one", "two"]),
        (["/x/old.json", "/x/new/report.json"], ["old.json", "new"]),
        (["/x/out/report.json", "/x/out/out/report.json"], ["x", "out"]),
        (["/a/report.json", "/b/a/report.json"], ["/a", "b/a"]),
        (["/report.json", "/a/report.json"], ["report.json", "a"]),
        (["/x/only/report.json"], ["only"]),
    ],
)  # fmt: skip
def test_names_are_the_shortest_that_tell_paths_apart(paths, names):
    assert short_names([PurePosixPath(path) for path in paths]) == tuple(names)


def test_names_show_what_is_not_visible():
    paths = [PurePosixPath("/x/a\x1b[31m/report.json"), PurePosixPath("/x/b/report.json")]
    assert short_names(paths) == ("a\\x1b[31m", "b")


@pytest.mark.parametrize("error", [errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP])
def test_a_place_that_cannot_be_looked_at_is_refused(tmp_path, monkeypatch, error):
    def refuse(*_, **__):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(InputError, match=f"cannot be written: {os.strerror(error)}"):
        check_file_target(tmp_path / "page.html", overwrite=False)


def test_the_files_of_a_report_are_replaced_together_or_as_asked(tmp_path):
    report = synthetic_report()
    assert [path.name for path in replace_report(report, tmp_path)] == [
        *("report.md", "report.html", "report.json")
    ]
    (tmp_path / "report.json").write_text("mine")
    written = replace_report(report, tmp_path, forms=RENDERED)
    assert {path.name for path in written} == set(RENDERED)
    assert (tmp_path / "report.json").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3
