"""Calibration images shared out over workers: the statistics of one process, bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.in_line import InLine
from tests.quantize.conftest import CLASSES, like_known

from eightbit.calibration.statistics import TensorStatistics
from eightbit.models import Architecture, Pretrained, load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.quantize import QuantConfig, calibrate, fuse
from eightbit.quantize.calibrate import Calibrated
from eightbit.quantize.stages import Stages


@pytest.fixture(scope="module")
def pretrained(checkpoint: Path) -> Pretrained:
    return load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint), progress=False)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 pictures: one twice, and some that nobody can decode, at the end too."""
    root = tmp_path_factory.mktemp("many")
    for number in range(150):
        like_known(number % CLASSES, 30_000 + min(number, 148)).save(root / f"{number:03}.png")
    for number in (0, 31, 32, 33, 70, 149):
        (root / f"{number:03}.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return root


def _calibrated(
    pretrained: Pretrained, source: Path, executor: InLine | None, **config: Any
) -> Calibrated:
    with open_source(source) as opened:
        return calibrate.calibrate(
            *(fuse(pretrained), pretrained, opened, QuantConfig(**config), Stages()),
            executor=executor,
        )


def _statistics(found: Calibrated) -> dict[str, TensorStatistics]:
    return dict(found.collected.tensors)


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("samples", [1, 32, 100, 145, 4000, "auto"])
def test_workers_leave_what_one_process_leaves(
    samples: Any, ahead: int, pretrained: Pretrained, many: Path
) -> None:
    alone = _calibrated(pretrained, many, None, samples=samples)
    shared = _calibrated(pretrained, many, InLine(ahead=ahead), samples=samples)
    assert _statistics(shared) == _statistics(alone)
    assert shared.collected.digests == alone.collected.digests
    assert shared.collected.threads == alone.collected.threads
    assert shared.images.digests == alone.images.digests
    assert shared.images.skipped == alone.images.skipped
    assert shared.convergence == alone.convergence
    assert (shared.watched, shared.settled) == (alone.watched, alone.settled)
    assert torch.equal(shared.kept.fitting, alone.kept.fitting)
    assert torch.equal(shared.kept.held_out, alone.kept.held_out)


def test_a_task_is_whole_batches_that_all_pass_once(pretrained: Pretrained, photos: Path) -> None:
    executor = InLine()
    found = _calibrated(pretrained, photos, executor, samples=4000)
    assert len(executor.tasks) == -(-found.collected.images // 32)


def test_threads_are_those_of_the_workers(pretrained: Pretrained, photos: Path) -> None:
    assert torch.get_num_threads() == 1
    found = _calibrated(pretrained, photos, InLine(threads=2), samples=8)
    assert found.collected.threads == 2
    assert torch.get_num_threads() == 1


def test_an_average_that_depends_on_the_order_needs_one_process(
    pretrained: Pretrained, photos: Path
) -> None:
    with pytest.raises(InputError, match="moving-average: expected one process"):
        _calibrated(pretrained, photos, InLine(), method="moving-average")


def test_images_none_of_which_is_usable_are_refused(pretrained: Pretrained, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="expected a usable image, found none"):
        _calibrated(pretrained, tmp_path, InLine())


def test_an_activation_that_is_not_finite_is_an_input_error(
    make_checkpoint: Callable[..., Path], photos: Path, tmp_path: Path
) -> None:
    path = make_checkpoint(tmp_path / "broken.pth")
    content = torch.load(path)
    state = content.get("state_dict", content)
    name = next(name for name in state if name.endswith("conv1.weight"))
    state[name] = torch.full_like(state[name], 3e38)
    torch.save(content, path)
    broken = load_pretrained(Architecture.CIFAR_RESNET20, str(path), progress=False)
    with pytest.raises(
        InputError, match=r"expected finite activations.*the checkpoint may be damaged"
    ):
        _calibrated(broken, photos, InLine())


def test_a_file_that_changes_under_the_hands_is_noticed(
    pretrained: Pretrained, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eightbit.quantize.front_ends import shared_collection

    whole = shared_collection.sha256

    def other(data: bytes) -> Any:
        return whole(data + b"!")

    monkeypatch.setattr(shared_collection, "sha256", other)
    with pytest.raises(InputError, match="expected the file that a worker has seen"):
        _calibrated(pretrained, many, InLine(), samples=8)
