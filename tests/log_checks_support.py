"""Checks of what a test's engine leaves: its log folds and replays to the state that it has, and so
does a checkpoint.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from guard.engine.state import GuardState
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.recovery.recover import fold_log
from guard.replay.replay import replay_log
from guard_support import KEY, LoggedEngine, write_log
from position_support import settled
from wal import ChainHasher

HASHER = ChainHasher(KEY)


def carried(state: GuardState) -> GuardState:
    """The state as a checkpoint has it."""
    return decode_state(io.BytesIO(b"".join(encode_state(state))).read)


def check_states(engine: LoggedEngine, place: Path, shown: Callable[[GuardState], Any]) -> None:
    """Replayed, folded and carried, the state shows what it does. `place`: where a log may be."""
    write_log(place, engine.records)
    report = replay_log(place, HASHER)
    folded, _ = fold_log(place, HASHER)
    wanted = shown(engine.state)
    for state in (report.engine.state, folded.state, carried(engine.state)):
        assert shown(state) == wanted


def checked(engine: LoggedEngine, path: Path) -> None:
    """The log folds to the same, from a checkpoint on too, and is what the rules give."""
    settled(engine)
    path.mkdir(exist_ok=True)
    write_log(path / "log", engine.records)
    assert replay_log(path / "log", HASHER).record_count == len(engine.records)


def checked_at_end(
    directory: Path, check: Callable[[LoggedEngine, Path], None]
) -> Iterator[list[LoggedEngine]]:
    """For a fixture: engines that a test puts here are checked at its end, each with a place."""
    found: list[LoggedEngine] = []
    yield found
    for number, engine in enumerate(found):
        check(engine, directory / str(number))
