"""What the tests of windows and bounds share: other settings, a state as a checkpoint gives it."""

from pathlib import Path

from guard.config.activation import find_differences
from guard.config.file import Config
from guard.engine.events import ClockAccepted, SettingsActivated
from guard.engine.state import GuardState
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.replay.replay import replay_log
from guard_support import KEY, SECOND_NS, LoggedEngine, actor, write_log
from wal import ChainHasher

HASHER = ChainHasher(KEY)


def settings(engine: LoggedEngine, window_s: int, orders_max: int = 1_000) -> None:
    """What a start with `--apply-config` logs."""
    events = actor(engine.now_ns, engine.engine.next_sequence)
    engine.log(
        events.event(
            SettingsActivated,
            currency="USD",
            remembered_orders_max=orders_max,
            remembered_order_window_ns=window_s * SECOND_NS,
        )
    )


def restart_with(engine: LoggedEngine, config: Config) -> None:
    """The same, of whatever the configuration says otherwise."""
    by = actor(engine.now_ns, engine.engine.next_sequence)
    for difference in find_differences(engine.state, config, by):
        assert difference.event is not None, difference.text
        engine.log(difference.event)


def accept_clock(engine: LoggedEngine, at_ns: int) -> None:
    """What a start with `--accept-clock` logs: the log's time goes on from an earlier one."""
    state = engine.state
    by = actor(at_ns, engine.engine.next_sequence)
    engine.now_ns = at_ns
    engine._log(by.event(ClockAccepted, previous_ns=state.last_received_at_ns))


def reloaded(state: GuardState) -> GuardState:
    """The state as a start takes it from a checkpoint."""
    payload = b"".join(encode_state(state))
    pieces = iter([payload])
    rest = b""

    def read(count: int) -> bytes:
        nonlocal rest
        rest = rest or next(pieces, b"")
        piece, rest = rest[:count], rest[count:]
        return piece

    return decode_state(read)


def replayed(records: list[bytes], directory: Path) -> GuardState:
    """The state behind these records, each of them decided again."""
    write_log(directory / "log", records)
    return replay_log(directory / "log", HASHER).engine.state
