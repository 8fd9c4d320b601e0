"""One contract for every runtime, in a process of its own."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.processes.calls import LEAST_CALLS
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.models.errors import InputError


def _ended(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def runner(model_file, execution):
    with IsolatedRunner(model_file, threads=1, execution=execution) as runner:
        yield runner


class TestEveryRuntime:
    def test_computes_the_logits(self, runner, batch, expected_logits):
        np.testing.assert_allclose(runner(batch), expected_logits, rtol=1e-5, atol=1e-6)

    def test_takes_batches_of_any_size(self, runner, batch):
        assert runner(batch[:1]).shape == (1, 7)
        assert runner(np.tile(batch, (8, 1, 3, 3))).shape == (32, 7)

    def test_gives_the_same_bytes_twice(self, runner, batch):
        assert runner(batch).tobytes() == runner(batch).tobytes()

    def test_runs_elsewhere(self, runner):
        assert runner.pid != os.getpid()

    def test_times_as_many_calls_as_asked(self, runner, batch):
        seconds = runner.time(batch, repeats=5)
        assert len(seconds) == 5
        assert all(value > 0 for value in seconds)

    def test_warms_up_until_it_is_told_to_stop(self, runner, batch):
        assert len(runner.settle(batch, max_seconds=0.0)) == LEAST_CALLS
        assert len(runner.settle(batch, max_seconds=5.0)) >= LEAST_CALLS

    def test_knows_how_long_it_took_to_load(self, model_file, execution):
        start = time.perf_counter()
        with IsolatedRunner(model_file, threads=1, execution=execution) as runner:
            assert 0 < runner.load_s <= time.perf_counter() - start

    def test_knows_its_own_peak_memory(self, runner):
        resident = psutil.Process(runner.pid).memory_info().rss
        peak = runner.peak_rss_bytes()
        assert resident / 2 < peak < 16 * resident

    def test_an_error_of_the_input_is_one_here_and_the_runner_goes_on(self, runner, batch):
        with pytest.raises(InputError, match="expected float32"):
            runner(batch.astype(np.float64))
        assert runner(batch).shape == (4, 7)

    def test_arrays_beyond_the_pipe_do_not_block(self, runner):
        assert runner(np.zeros((16, 3, 256, 256), np.float32)).shape == (16, 7)

    def test_a_crash_is_reported_and_leaves_no_process(self, model_file, execution, batch):
        with IsolatedRunner(model_file, threads=1, execution=execution) as runner:
            os.kill(runner.pid, signal.SIGKILL)
            with pytest.raises(WorkerCrashError, match=r"tiny.*ended by SIGKILL.*memory"):
                runner(batch)
            with pytest.raises(ValueError, match="closed"):
                runner(batch)
            assert not psutil.pid_exists(runner.pid)

    def test_closing_ends_the_process(self, model_file, execution):
        runner = IsolatedRunner(model_file, threads=1, execution=execution)
        runner.close()
        runner.close()
        assert not psutil.pid_exists(runner.pid)


def test_a_file_that_cannot_be_loaded_is_an_input_error(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"garbage")
    with pytest.raises(InputError, match=r"model\.onnx"):
        IsolatedRunner(path, threads=1)


def test_a_missing_engine_is_an_input_error(write_model, tmp_path, metadata):
    lacking = metadata.model_copy(update={"engine": "nonesuch"})
    path = write_model(TORCHSCRIPT.runtime, tmp_path, lacking.to_json())
    with pytest.raises(InputError, match="needs torch's quantized engine nonesuch"):
        IsolatedRunner(path, threads=1)


def test_a_worker_that_dies_while_loading_shows_its_last_lines(model_file, monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "nonesuch")  # Python itself refuses to start
    with pytest.raises(WorkerCrashError, match=r"(?s)exited with 1.*last lines:.*allocator"):
        IsolatedRunner(model_file, threads=1)


def test_what_a_library_prints_neither_breaks_the_protocol_nor_blocks(
    talkative_model, batch, expected_logits
):
    with trusting(True), IsolatedRunner(talkative_model, threads=1) as runner:
        np.testing.assert_allclose(runner(batch), expected_logits, rtol=1e-5, atol=1e-6)


def test_threads_reach_the_runtime(write_model, tmp_path, batch):
    path = write_model(ONNX.runtime, tmp_path)
    counts = []
    for threads in (1, 3):
        with IsolatedRunner(path, threads=threads) as runner:
            runner(batch)
            environment = psutil.Process(runner.pid).environ()
            assert environment["OMP_NUM_THREADS"] == str(threads)
            counts.append(psutil.Process(runner.pid).num_threads())
    assert counts[1] - counts[0] >= 2  # NumPy's own may come on top


def test_an_interrupted_call_cannot_answer_the_next_one(model_file, batch, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with IsolatedRunner(model_file, threads=1) as runner:
        monkeypatch.setattr("eightbit.benchmarks.processes.isolated.receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            runner(batch)
        monkeypatch.undo()
        with pytest.raises(ValueError, match="closed"):
            runner(batch)


def test_a_script_without_main_guard_works_and_takes_its_worker_along(write_model, tmp_path):
    path = write_model(ONNX.runtime, tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            from pathlib import Path
            import sys
            import numpy as np
            from eightbit.benchmarks import IsolatedRunner

            runner = IsolatedRunner(Path({str(path)!r}), threads=1)
            runner(np.zeros((1, 3, 4, 4), np.float32))
            print(runner.pid, flush=True)
            sys.stdin.read()
            """
        )
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        pid = int(parent.stdout.readline())
        assert not _ended(pid)
        parent.kill()
    deadline = time.monotonic() + 20
    while not _ended(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _ended(pid)


def test_a_module_in_the_current_folder_does_not_shadow_ours(
    write_model, tmp_path, batch, monkeypatch
):
    path = write_model(ONNX.runtime, tmp_path)
    (tmp_path / "numpy.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    with IsolatedRunner(path, threads=1) as runner:
        assert runner(batch).shape == (4, 7)
