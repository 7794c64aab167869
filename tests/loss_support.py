"""What the tests of a day's loss share: what was said of one, its turn, and that all ways agree."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from guard.engine.day_close import closed_event
from guard.replay.replay import replay_log
from guard_support import KEY, LoggedEngine, actor, describe, write_log
from position_support import settled
from wal import ChainHasher

HASHER = ChainHasher(KEY)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    found: list[LoggedEngine] = []
    yield found
    for number, engine in enumerate(found):
        settled(engine)
        write_log(tmp_path / str(number), engine.records)
        report = replay_log(tmp_path / str(number), HASHER)
        assert describe(report.engine.state) == describe(engine.state)


def money(microcents: int) -> str:
    """As a configuration says it."""
    return f"{microcents // 10**8}.{microcents % 10**8:08d}"


def breaches(engine: LoggedEngine) -> list[tuple[str, str, int, int]]:
    """Desk, symbol, loss and limit of each that was recorded."""
    found = [msgspec.json.decode(data) for data in engine.records]
    return [
        (event["desk"], event["symbol"], event["loss_microcents"], event["limit_microcents"])
        for event in found
        if event.get("event") == "loss_breached"
    ]


def turn_day(engine: LoggedEngine, day: str = "2026-01-01") -> None:
    """The day is closed."""
    who = actor(engine.state.last_received_at_ns, engine.engine.next_sequence)
    engine.log(closed_event(engine.state, who, day, f"close-{day}"))
