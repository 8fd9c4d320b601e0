"""A picture is the same wherever it is drawn."""

import subprocess
import sys
from pathlib import Path

_DRAW = """
import sys
from tests.synthetic_reports.reports import full
from eightbit.benchmarks.report.charts.accuracy import drop_chart
sys.stdout.write(str(drop_chart(full().accuracy).svg))
"""


def test_settings_in_the_working_directory_change_nothing(tmp_path: Path) -> None:
    def drawn(folder: str, settings: str) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "matplotlibrc").write_text(settings, encoding="utf-8")
        root = Path(__file__).resolve().parents[4]
        code = f"import sys; sys.path.append({str(root)!r})\n{_DRAW}"
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    hostile = "savefig.bbox: tight\ntext.usetex: True\nlines.linewidth: 9\naxes.titlesize: 40\n"
    assert drawn("hostile", hostile) == drawn("plain", "")
