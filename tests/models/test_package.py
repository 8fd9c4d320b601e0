import subprocess
import sys

import pytest

import eightbit.models


def test_every_public_name_resolves_and_is_listed() -> None:
    assert sorted(eightbit.models._MODULE_OF) == sorted(eightbit.models.__all__)
    for name in eightbit.models.__all__:
        assert getattr(eightbit.models, name).__module__.startswith("eightbit.models.")
        assert name in dir(eightbit.models)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'resnet51'"):
        _ = eightbit.models.resnet51


def test_images_and_labels_need_no_torch() -> None:
    script = (
        "import sys\n"
        "import eightbit.models\n"
        "from eightbit.models import labels\n"
        "from eightbit.models.images import decoding, loading, preprocessing, sampling, sources\n"
        "from eightbit.models import Architecture, ModelSpec, load_images, resolve_labels\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0].startswith('torch')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
