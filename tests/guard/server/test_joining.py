"""A start on a cluster waits for its clock, or is refused."""

from pathlib import Path

import pytest

from guard import clock
from guard.cluster.errors import ClusterError
from guard.config.cluster_section import ClusterSection
from guard.engine.engine import Engine
from guard.recovery.recover import Recovered
from guard.server.joining import wait_for_clock
from wal import EMPTY_HEAD, LogLock

TERMS = ClusterSection(
    hosts=["/run/x"], log="x", standby_names=["ANY 1 (b)"], clock_wait_ms_max=200
)


def recovered_at(directory: Path, last_ns: int) -> Recovered:
    engine = Engine()
    engine.state.last_received_at_ns = last_ns
    return Recovered(engine, EMPTY_HEAD, LogLock.acquire(directory), [])


async def test_it_waits_until_the_clock_has_passed_the_last_record(tmp_path: Path) -> None:
    last_ns = clock.wall_ns() + 100_000_000
    recovered = recovered_at(tmp_path, last_ns)
    with recovered.lock:
        await wait_for_clock(TERMS, recovered)
    assert clock.wall_ns() > last_ns


async def test_it_does_not_wait_for_longer_than_it_may(tmp_path: Path) -> None:
    recovered = recovered_at(tmp_path, clock.wall_ns() + 10_000_000_000)
    with recovered.lock, pytest.raises(ClusterError, match=r"clock is \d+ ms behind"):
        await wait_for_clock(TERMS, recovered)
