"""Failpoints: each is reached, and a process killed at one leaves what can be recovered."""

import signal
import subprocess
from pathlib import Path

import pytest

from child_support import code
from wal import (
    EMPTY_HEAD,
    LogWriter,
    WalPoisoned,
    apply_repair,
    failpoint,
    find_head,
    open_for_recovery,
    plan_repair,
    read_checkpoints,
    rewrite_tail,
)
from wal_life_support import HASHER, life
from wal_support import DIALECT, fake_clock, opened

pytestmark = pytest.mark.slow

# Goes through every place once: writes, ahead too, rotates, rewrites, makes checkpoints, archives.
CHILD = """
import os, signal, sys
from pathlib import Path
from wal_life_support import life
from wal import failpoint
left = int(sys.argv[3])
def hook(name):
    global left
    if name == sys.argv[2]:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
failpoint.install(hook)
life(Path(sys.argv[1]), lambda sequence: print(sequence, flush=True))
print("end", flush=True)
"""


def test_every_place_is_reached(tmp_path: Path) -> None:
    reached: list[str] = []
    assert not failpoint.is_armed()
    failpoint.install(reached.append)
    try:
        assert failpoint.is_armed()
        life(tmp_path)
    finally:
        failpoint.install(None)
    assert not failpoint.is_armed()
    assert set(reached) == set(failpoint.NAMES)
    assert reached[:7] == list(failpoint.NAMES[:7])
    count = len(reached)
    (tmp_path / "again").mkdir()
    life(tmp_path / "again")
    assert len(reached) == count


@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize("place", failpoint.NAMES)
def test_a_process_killed_there(place: str, time: int, tmp_path: Path) -> None:
    done = subprocess.run(
        code(CHILD, str(tmp_path), place, str(time)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    told = done.stdout.split()
    assert done.returncode == -signal.SIGKILL or (time == 2 and told[-1] == "end")
    last = int([sequence for sequence in told if sequence != "end"][-1]) if told else 0
    log = tmp_path / "log"
    infos = [info for info in read_checkpoints(log, HASHER) if info.problem is None]
    with open_for_recovery(log):
        start = infos[0].head.head if infos else None
        cut = plan_repair(log, HASHER, DIALECT, start=start)
        if cut is not None:
            apply_repair(log, cut)
        head = find_head(log, HASHER, DIALECT, start=start)
        assert head.sequence >= last
        rewrite_tail(log, head, HASHER, DIALECT)
    if not (tmp_path / "old").exists() or not list((tmp_path / "old").iterdir()):
        assert find_head(log, HASHER, DIALECT) == head


@pytest.mark.parametrize("place", failpoint.NAMES[:7])
def test_a_failure_in_a_commit_is_final(place: str, tmp_path: Path) -> None:
    class HookError(Exception):
        """Raised at the place."""

    def fail(reached: str) -> None:
        if reached == place:
            raise HookError(place)

    with LogWriter.open(tmp_path, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock()) as writer:
        writer.append(1, opened(HASHER))
        failpoint.install(fail)
        try:
            with pytest.raises(WalPoisoned, match=place):
                writer.sync_now()
        finally:
            failpoint.install(None)
        with pytest.raises(WalPoisoned):
            writer.sync_now()
    assert writer.durable_head == EMPTY_HEAD
