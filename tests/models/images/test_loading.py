import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eightbit.models.images.decoding import decode_image
from eightbit.models.images.loading import LoadedImage, SkippedImage, load_images
from eightbit.models.images.preprocessing import preprocess
from eightbit.models.images.sources import ImageItem, ImageSource, open_source
from eightbit.models.spec import Preprocessing

SMALL = Preprocessing(resize=20, crop=16)


@pytest.fixture
def folder(tmp_path: Path, encoded: Callable[..., bytes]) -> Path:
    for index in range(30):
        (tmp_path / f"{index:02}.png").write_bytes(encoded("PNG", seed=index))
    return tmp_path


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("load-image")]


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_images_come_in_the_order_of_the_items_whatever_the_threads_do(
    folder: Path, workers: int
) -> None:
    with open_source(folder) as source:
        items = source.items[::-1]
        loaded = list(load_images(source, items, SMALL, workers=workers))
        assert [image.item for image in loaded] == list(items)
        for image in loaded:
            assert isinstance(image, LoadedImage)
            data = source.read(image.item)
            assert image.digest == hashlib.sha256(data).hexdigest()
            assert image.pixels.dtype == np.float32
            assert np.array_equal(image.pixels, preprocess(decode_image(data), SMALL))
    assert loader_threads() == []


def test_unusable_images_are_skipped_with_their_reason(folder: Path) -> None:
    (folder / "03.png").write_bytes(b"not an image")
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:500])
    with open_source(folder) as source:
        (folder / "07.png").unlink()
        loaded = list(load_images(source, source.items, SMALL))
    skipped = {image.name: image.reason for image in loaded if isinstance(image, SkippedImage)}
    assert list(skipped) == ["03.png", "05.png", "07.png"]
    assert "not an image" in skipped["03.png"]
    assert "damaged" in skipped["05.png"]
    assert "No such file" in skipped["07.png"]
    assert len(loaded) == 30


def test_closing_early_stops_the_threads_and_reading_ahead_is_bounded(folder: Path) -> None:
    with open_source(folder) as source:
        taken: list[str] = []

        def upcoming() -> object:
            for item in source.items:
                taken.append(item.name)
                yield item

        images = load_images(source, upcoming(), SMALL, workers=2)
        next(images)
        assert len(taken) == 9
        images.close()
        assert loader_threads() == []
        assert len(taken) == 9


def test_closing_early_drops_what_was_not_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    read = ImageSource.read

    def slow(self: ImageSource, item: ImageItem) -> bytes:
        begun.append(item.name)
        time.sleep(0.1)
        return read(self, item)

    monkeypatch.setattr(ImageSource, "read", slow)
    with open_source(folder) as source:
        images = load_images(source, source.items, SMALL, workers=1)
        next(images)
        images.close()
    assert len(begun) <= 3  # of the five that were handed to the thread


def test_no_items_give_no_images(folder: Path) -> None:
    with open_source(folder) as source:
        assert list(load_images(source, [], SMALL)) == []


def test_a_bug_while_loading_is_not_an_unusable_image(folder: Path) -> None:
    with open_source(folder) as source:
        stranger = ImageItem(name="stranger.png", folder=None)
        with pytest.raises(KeyError, match="stranger"):
            list(load_images(source, [stranger], SMALL))
    assert loader_threads() == []


def test_slow_reads_overlap(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once: list[int] = []
    running = threading.Semaphore(0)
    read = ImageSource.read

    def slow(self: ImageSource, item: ImageItem) -> bytes:
        running.release()
        time.sleep(0.02)
        at_once.append(running._value)
        running.acquire()
        return read(self, item)

    monkeypatch.setattr(ImageSource, "read", slow)
    with open_source(folder) as source:
        list(load_images(source, source.items, SMALL, workers=3))
    assert max(at_once) == 3
