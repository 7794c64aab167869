"""A process that holds keys: nobody but root looks into it, and it leaves no core."""

import os
from pathlib import Path

from daemon_support import Site
from guard.process.secrecy import VARIABLE, set_dumpable


def test_a_daemon_leaves_no_core_and_its_proc_is_root_s(tmp_path: Path) -> None:
    with Site(tmp_path).running(environment={VARIABLE: "0"}) as daemon:
        place = Path(f"/proc/{daemon.pid}")
        limits = (place / "limits").read_text()
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core")]
        assert core[4:6] == ["0", "0"]
        # Of a process that is not dumpable they are root's, whoever runs it.
        assert (place / "environ").stat().st_uid == (place / "mem").stat().st_uid == 0
        if os.geteuid() != 0:
            assert not os.access(place / "environ", os.R_OK)
        assert daemon.stop() == 0


def test_it_is_set_and_given_back() -> None:
    before = set_dumpable(0)
    try:
        assert (before, set_dumpable(1)) == (1, 0)
    finally:
        set_dumpable(before)
