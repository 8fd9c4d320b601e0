import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "statement",
    [
        "import eightbit.benchmarks",
        "from eightbit.benchmarks import OnnxRunner",
        "from eightbit.benchmarks import IsolatedRunner, measure_latency, read_metadata",
        "from eightbit.benchmarks import read_report, read_environment; read_environment()",
        "import eightbit.benchmarks.processes.worker",
    ],
)
def test_torch_is_not_imported_by(statement):
    code = f"{statement}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
