import subprocess
import sys

import pytest

GUARDED = """
import warnings
warnings.simplefilter("error")
{before}
from eightbit.models.doors.vision_guard import import_torchvision
torchvision = import_torchvision()
assert import_torchvision() is torchvision
import torchvision as plain
assert plain is torchvision
assert torchvision._internally_replaced_utils is not None  # absent after a half-finished import
print(torchvision.models.resnet18(num_classes=2).fc.out_features)
print(torchvision.transforms.CenterCrop(3).size)
"""


@pytest.mark.parametrize(
    "before",
    ["", "try:\n    import torchvision\nexcept RuntimeError:\n    pass"],
    ids=["fresh process", "after a failed import"],
)
def test_torchvision_is_importable_whatever_torch_it_is_beside(before: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GUARDED.format(before=before)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["2", "(3,", "3)"], "")


def test_another_failure_of_torchvision_is_not_hidden() -> None:
    script = (
        "import sys, types, importlib.abc, importlib.machinery\n"
        "class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'torchvision':\n"
        "            return importlib.machinery.ModuleSpec(name, self)\n"
        "    def create_module(self, spec): return None\n"
        "    def exec_module(self, module): raise RuntimeError('another reason')\n"
        "import torch\n"
        "sys.meta_path.insert(0, Broken())\n"
        "from eightbit.models.doors.vision_guard import import_torchvision\n"
        "import_torchvision()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "RuntimeError: another reason" in done.stderr
