"""Workers and nodes that are killed at a random moment: the same numbers, byte for byte.

`EIGHTBIT_CLUSTER_KILLS=N` kills N of each, from the seed `EIGHTBIT_KILLS_SEED`.
"""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from eightbit.benchmarks.cluster.cluster import Cluster
from eightbit.benchmarks.evaluation.crew_pool import open_pool
from eightbit.benchmarks.evaluation.prediction import Answer, in_chunks
from eightbit.benchmarks.processes.crew import Executor
from eightbit.models import Architecture, load_pretrained
from eightbit.models.images.sources import open_source
from eightbit.quantize import QuantConfig, calibrate, fuse
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.calibrate import Calibrated
from eightbit.quantize.stages import Stages
from eightbit.quantize.verify.verification import models_of

pytest.importorskip("ray", reason="the extra cluster is not installed")

KILLS = int(os.environ.get("EIGHTBIT_CLUSTER_KILLS", "1"))
RANDOM = random.Random(int(os.environ.get("EIGHTBIT_KILLS_SEED", "0")))


class _Nodes:
    """A head without processors, and two nodes of one processor each: raylets of this machine."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Raylets

        small = {"object_store_memory": 100 * 2**20}
        self._one = {"num_cpus": 1, **small}
        self._raylets = Raylets(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, **small},
        )
        self._nodes: list[Any] = []
        self.address = self._raylets.address

    def grow(self) -> None:
        """Have a node join."""
        self._nodes.append(self._raylets.add_node(**self._one))

    def kill_one(self) -> None:
        """Kill one of the two with all its processes."""
        self._raylets.remove_node(self._nodes.pop(RANDOM.randrange(2)), allow_graceful=False)

    def kill_a_worker(self) -> None:
        """Kill one of the processes that serve, as soon as there is one."""
        for _attempt in range(1000):
            if serving := list(self._serving()):
                RANDOM.choice(serving).kill()
                return
            time.sleep(0.02)
        raise AssertionError("expected a worker, found none")

    def _serving(self) -> Iterator[psutil.Process]:
        for node in self._nodes:
            raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
            for process in raylet.children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it has just ended
                    if "".join(process.cmdline()).startswith("ray::Host"):
                        yield process

    def complete(self) -> None:
        """Have another node join in the place of one that was killed."""
        while len(self._nodes) < 2:
            self.grow()

    def close(self) -> None:
        self._raylets.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[_Nodes]:
    nodes = _Nodes()
    yield nodes
    nodes.close()


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def cluster(nodes: _Nodes, told: list[str]) -> Iterator[Cluster]:
    # Before the others join, so that this process hangs on the head, which is not killed.
    with Cluster(nodes.address, workers=2, tell=told.append) as cluster:
        nodes.complete()
        yield cluster


def _evaluated(folder: Path, images: Path, executor: Executor | None) -> list[Answer]:
    preprocessing = open_bundle(folder).recipe.spec.preprocessing
    with open_source(images) as source:
        chunks = in_chunks(source.items) * 8
        pool = open_pool(
            *(models_of(folder), preprocessing),
            threads=1,
            chunks=len(chunks),
            executor=executor,
        )
        with pool:
            return list(pool.predict(source, chunks))


def _same(found: list[Answer], expected: list[Answer]) -> bool:
    def content(answers: list[Answer]) -> list[Any]:
        return [
            (answer.message.chunk, answer.message.files, [bytes(piece) for piece in answer.pieces])
            for answer in answers
        ]

    return content(found) == content(expected)


def _calibrated(checkpoint: Path, images: Path, executor: Executor | None) -> Calibrated:
    pretrained = load_pretrained(Architecture.CIFAR_RESNET20, str(checkpoint), progress=False)
    config = QuantConfig(samples=4000)
    with open_source(images) as source:
        return calibrate.calibrate(
            *(fuse(pretrained), pretrained, source, config, Stages()), executor=executor
        )


@pytest.mark.parametrize("kill", [_Nodes.kill_a_worker, _Nodes.kill_one])
@pytest.mark.parametrize("number", range(KILLS))
def test_what_is_killed_is_done_again(
    number: int,
    kill: Callable[[_Nodes], None],
    nodes: _Nodes,
    cluster: Cluster,
    told: list[str],
    onnx_bundle: Path,
    checkpoint: Path,
    photos: Path,
) -> None:
    failures: list[BaseException] = []

    def later() -> None:
        try:
            time.sleep(RANDOM.uniform(0, 4))
            kill(nodes)
        except BaseException as exc:  # told below
            failures.append(exc)

    killer = threading.Thread(target=later)
    killer.start()
    evaluated = _evaluated(onnx_bundle, photos, cluster)
    shared = _calibrated(checkpoint, photos, cluster)
    killer.join()
    nodes.complete()  # Ray begins nodes in the main thread alone
    assert failures == []
    assert _same(evaluated, _evaluated(onnx_bundle, photos, None))
    alone = _calibrated(checkpoint, photos, None)
    assert dict(shared.collected.tensors) == dict(alone.collected.tensors)
    assert shared.images.digests == alone.images.digests
