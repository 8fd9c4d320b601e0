import subprocess
import sys


def test_images_and_labels_need_no_torch() -> None:
    script = (
        "import sys\n"
        "import eightbit.models\n"
        "from eightbit.models import labels\n"
        "from eightbit.models.images import decoding, loading, preprocessing, sampling, sources\n"
        "from eightbit.models import Architecture, ModelSpec, load_images, match_images\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0].startswith('torch')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
