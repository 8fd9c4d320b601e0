import pkgutil
import subprocess
import sys

import pytest

import eightbit.benchmarks


@pytest.mark.parametrize("name", eightbit.benchmarks.__all__)
def test_every_public_name_resolves(name):
    assert getattr(eightbit.benchmarks, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = eightbit.benchmarks.nonesuch


def test_no_public_name_is_hidden_by_a_module_of_the_same_name():
    modules = {module.name for module in pkgutil.iter_modules(eightbit.benchmarks.__path__)}
    assert modules.isdisjoint(eightbit.benchmarks.__all__)


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
