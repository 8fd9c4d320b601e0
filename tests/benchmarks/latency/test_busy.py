import os
import subprocess
import sys
import time

import pytest

from eightbit.benchmarks.latency import busy
from eightbit.benchmarks.latency.busy import OtherPrograms

TICKS = os.sysconf("SC_CLK_TCK")


def stat(path, *, user=0.0, idle=0.0, iowait=0.0, steal=0.0, guest=0.0):
    """Seconds of every usable core; one that is not ours is busy where they are idle."""
    columns = (user, 0, 0, idle, iowait, 0, 0, steal, guest, 0)
    foreign = (idle, 0, 0, user, 0, 0, 0, 0, 0, 0)
    usable = sorted(os.sched_getaffinity(0))
    lines = [f"cpu{number} {_ticks(columns)}" for number in usable]
    lines.append(f"cpu{usable[-1] + 1} {_ticks(foreign)}")
    path.write_text("\n".join([f"cpu {_ticks(foreign)}", *lines, "intr 5"]))


def _ticks(seconds):
    return " ".join(str(round(value * TICKS)) for value in seconds)


@pytest.fixture
def idle_self(monkeypatch):
    """This process takes no time of its own."""
    monkeypatch.setattr(busy, "_own_seconds", lambda: 0.0)


@pytest.mark.parametrize(
    ("after", "share"),
    [
        ({"idle": 10.0}, 0.0),
        ({"user": 5.0, "idle": 15.0}, 0.25),
        ({"user": 5.0, "guest": 5.0, "idle": 5.0}, 0.5),  # a guest's time is user's already
        ({"steal": 1.0, "idle": 9.0}, 0.1),
        ({"iowait": 5.0, "idle": 5.0}, 0.0),
    ],
)
def test_the_share_is_of_the_usable_cores(after, share, tmp_path, idle_self):
    file = tmp_path / "stat"
    stat(file)
    others = OtherPrograms(file)
    stat(file, **after)
    assert others.share() == pytest.approx(share)


def test_own_time_is_not_others(tmp_path, monkeypatch):
    file, own = tmp_path / "stat", iter([3.0, 3.0 + 4.0])
    monkeypatch.setattr(busy, "_own_seconds", lambda: next(own))
    stat(file)
    others = OtherPrograms(file)
    cores = len(os.sched_getaffinity(0))
    stat(file, user=6.0, idle=4.0)
    assert others.share() == pytest.approx((6 * cores - 4) / (10 * cores))


def test_rounding_never_makes_it_negative(tmp_path, monkeypatch):
    file, own = tmp_path / "stat", iter([0.0, 1000.0])
    monkeypatch.setattr(busy, "_own_seconds", lambda: next(own))
    stat(file)
    others = OtherPrograms(file)
    stat(file, user=6.0, idle=4.0)
    assert others.share() == 0.0


def test_where_the_system_does_not_say_it_is_unknown(tmp_path):
    assert OtherPrograms(tmp_path / "none").share() is None


def test_where_no_time_is_counted_it_is_unknown(tmp_path):
    file = tmp_path / "stat"
    stat(file, user=1.0)
    assert OtherPrograms(file).share() is None


def test_children_that_have_ended_are_own_time():
    before = busy._own_seconds()
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    assert busy._own_seconds() - before >= 0.29


def test_here_it_is_a_share():
    others = OtherPrograms()
    time.sleep(0.1)
    share = others.share()
    assert share is None or 0 <= share <= 1
