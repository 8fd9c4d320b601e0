"""The calibration images shared out over workers, whose statistics are merged in order.

A worker sees whole batches of the one process, and what it leaves of them merges exactly: so the
statistics, and the recipe, are those of one process with as many threads, bit for bit.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from torch import nn

from eightbit.benchmarks.processes.crew import Executor, Task
from eightbit.calibration import CalibrationResult, collect
from eightbit.calibration.collection import IMAGES_PER_CHECKPOINT
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.loading import LoadedImage, SkippedImage, load_images
from eightbit.models.images.preprocessing import decode_for, preprocess
from eightbit.models.images.sources import ImageItem, ImageSource
from eightbit.models.spec import ModelSpec, Preprocessing
from eightbit.models.torch_state import own_state
from eightbit.quantize.front_ends.observed import observed_directly
from eightbit.quantize.images import Subset, UsableImages, refuse_unusable
from eightbit.quantize.network.network import Network
from eightbit.quantize.torch_settings import torch_threads

# Whole batches, after which statistics are looked at: the unit that is shared out.
_IMAGES_A_TASK = IMAGES_PER_CHECKPOINT


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A worker's answer.

    Attributes:
        digests: SHA-256 of each file; None of one that is not usable.
        unusable: Why each was not; None of one that is.
        collected: None if any was not usable: other images take its place in the batches.
    """

    digests: tuple[str | None, ...]
    unusable: tuple[str | None, ...]
    collected: CalibrationResult | None


@dataclass(frozen=True, kw_only=True)
class _OpenNetwork:
    """What a worker does first: it observes the network, which comes as its fused module."""

    module: nn.Module
    spec: ModelSpec
    threads: int

    def __call__(self) -> "_Observing":
        network = Network(module=self.module, spec=self.spec)
        return _Observing(network, self.spec.preprocessing, self.threads)


class _Observing:
    """Batches after batches, in a worker; each task begins with nothing seen."""

    def __init__(self, network: Network, preprocessing: Preprocessing, threads: int) -> None:
        self._observed = observed_directly(network)
        self._preprocessing, self._threads = preprocessing, threads

    def __call__(self, files: tuple[bytes | str, ...]) -> _Seen:
        digests: list[str | None] = []
        unusable: list[str | None] = []
        images = []
        for file in files:
            try:
                if isinstance(file, str):
                    raise UnusableImage(file)  # noqa: TRY301 - one place for both reasons
                images.append(
                    preprocess(decode_for(file, self._preprocessing), self._preprocessing)
                )
            except UnusableImage as exc:
                digests.append(None)
                unusable.append(str(exc))
            else:
                digests.append(sha256(file).hexdigest())
                unusable.append(None)
        collected = None
        if len(images) == len(files):
            observers = self._observed.observers
            for observer in observers.values():
                observer.forget()
            with own_state(), torch_threads(self._threads):
                collected = collect(self._observed.module, observers, images)
        return _Seen(digests=tuple(digests), unusable=tuple(unusable), collected=collected)


def collect_shared(
    network: Network,
    images: UsableImages,
    subset: Subset,
    executor: Executor,
    *,
    on_images: Callable[[int], None],
    until: Callable[[CalibrationResult], bool],
    images_per_look: int,
) -> CalibrationResult:
    """What `collect` gives of the same images in one process, but for the moving averages.

    ``images`` and ``subset`` are left as if the images had passed through them; see `collect` for
    ``until`` and ``images_per_look``, which is a multiple of 32.

    Raises:
        InputError: No image is usable, or some ended three workers.
        ValueError: An activation is not finite.
        WorkerCrashError: There are no workers.
    """
    opening = _OpenNetwork(module=network.module, spec=network.spec, threads=executor.threads)
    most = -(-images.limit // _IMAGES_A_TASK)
    with executor.crew(opening, most=most, where=images.source.name) as crew:
        drawing = _Drawing(images)
        merged: CalibrationResult | None = None
        stopped = False
        while not stopped and drawing.has_more:
            for seen in crew.map(drawing.tasks()):
                if not drawing.take(seen):
                    break  # drawn again from here on, without what is not usable
                assert seen.collected is not None
                merged = seen.collected if merged is None else merged.merge(seen.collected)
                on_images(seen.collected.images)
                if merged.images % images_per_look == 0 and until(merged):
                    stopped = True
                    break
    drawing.finish(stopped=stopped)
    if merged is None:
        refuse_unusable(images.source, images.skipped)
    _keep(subset, images, drawing.used)
    return merged


class _Drawing:
    """Which images come next, in the order and the batches of one process.

    All are taken for usable until a worker says otherwise; then its task is drawn again, and those
    after it.
    """

    def __init__(self, images: UsableImages) -> None:
        self._images = images
        self._position = 0
        self._unusable: dict[int, str] = {}
        self._planned: deque[list[int]] = deque()
        self.used: list[tuple[str, ImageItem]] = []

    @property
    def has_more(self) -> bool:
        """Whether images are wanted, and there are any that may be usable."""
        left = range(self._position, len(self._images.items))
        wanted = len(self.used) < self._images.limit
        return wanted and any(index not in self._unusable for index in left)

    def tasks(self) -> Iterator[Task[tuple[bytes | str, ...]]]:
        """The tasks from here on."""
        self._planned.clear()
        position, wanted = self._position, self._images.limit - len(self.used)
        while wanted > 0:
            plan: list[int] = []
            while len(plan) < min(_IMAGES_A_TASK, wanted) and position < len(self._images.items):
                if position not in self._unusable:
                    plan.append(position)
                position += 1
            if not plan:
                return
            wanted -= len(plan)
            self._planned.append(plan)
            items = [self._images.items[index] for index in plan]
            yield Task(
                content=tuple(_file(self._images.source, item) for item in items),
                named=f"images {items[0].name} to {items[-1].name}",
            )

    def take(self, seen: _Seen) -> bool:
        """Take note of the answer to the next task; whether all of its images were usable."""
        plan = self._planned.popleft()
        for index, reason in zip(plan, seen.unusable, strict=True):
            if reason is not None:
                self._unusable[index] = reason
        if seen.collected is None:
            return False
        self._pass(plan[-1] + 1)
        for index, digest in zip(plan, seen.digests, strict=True):
            assert digest is not None
            self._images.digests.append(digest)
            self.used.append((digest, self._images.items[index]))
        return True

    def finish(self, *, stopped: bool) -> None:
        """The end: where images were still wanted, the last ones were passed over too."""
        if not stopped and len(self.used) < self._images.limit:
            self._pass(len(self._images.items))

    def _pass(self, position: int) -> None:
        for index in range(self._position, position):
            if (reason := self._unusable.get(index)) is not None:
                name = self._images.items[index].name
                self._images.skipped.append(SkippedImage(name=name, reason=reason))
        self._position = position


def _keep(subset: Subset, images: UsableImages, used: Sequence[tuple[str, ImageItem]]) -> None:
    """Have the images that a pass would have kept pass through the subset, read here once more.

    Raises:
        InputError: One cannot be read any more.
    """
    first: dict[str, ImageItem] = {}
    for digest, item in used:
        first.setdefault(digest, item)
    chosen = subset.chosen(first, images.preprocessing.crop_size)
    loaded = load_images(images.source, [first[digest] for digest in chosen], images.preprocessing)
    for _ in subset.watch(_unchanged(loaded, chosen)):
        pass


def _unchanged(
    loaded: Iterator[LoadedImage | SkippedImage], digests: Sequence[str]
) -> Iterator[LoadedImage]:
    for image, digest in zip(loaded, digests, strict=True):
        if isinstance(image, SkippedImage) or image.digest != digest:
            name = image.name if isinstance(image, SkippedImage) else image.item.name
            raise InputError(
                f"{name}: expected the file that a worker has seen, found another; calibrate again "
                "on images that nobody changes"
            )
        yield image


def _file(source: ImageSource, item: ImageItem) -> bytes | str:
    try:
        return source.read(item)
    except UnusableImage as exc:
        return str(exc)
