"""What a start of the simulator's guard records, as `guard.server.session_records` has it."""

from collections.abc import Iterable
from pathlib import Path

from msgspec import UNSET, structs

from guard.config.activation import (
    events_of,
    find_differences,
    opening_events,
    rules_events,
    split_kept,
)
from guard.config.file import Config
from guard.config.last_read import read_last, said_by, write_last
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.events import (
    RULES_VERSION,
    CutNoted,
    LimitsSet,
    LogOpened,
    Outcome,
    SessionStarted,
)
from guard.recovery.recover import Recovered
from guard_support import opened_under
from sim.oracle_limits import LIMITS_SINCE
from wal import ChainHasher

KEY = bytes(range(32))
HASHER = ChainHasher(KEY)
KEY_ID = HASHER.key_id
LOG_ID = "0123456789abcdef0123456789abcdef"


def start_events(
    directory: Path, config: Config, recovered: Recovered, actor: Actor, first_rules_version: int
) -> list[Outcome]:
    """A log's first records, of software with those rules, or a session's."""
    state = recovered.engine.state
    if recovered.head.sequence == 0:
        events = opening_events(config, actor, LOG_ID, KEY_ID)
        return first_events(first_rules_version, events)
    names = CutNoted.__struct_fields__
    noted = [CutNoted(*(getattr(cut, name) for name in names)) for cut in recovered.cuts]
    started = actor.event(
        SessionStarted,
        epoch=state.epoch + 1,
        software_version="sim",
        recovered_sequence=recovered.head.sequence,
        recovered_hash=recovered.head.entry_hash,
        after_clean_stop=state.is_closed_cleanly,
        cuts=noted,
        checkpoint_sequence=UNSET
        if recovered.checkpoint is None
        else recovered.checkpoint.sequence,
        losses=recovered.losses or UNSET,
    )
    events: list[Outcome] = [started, *rules_events(state, actor)]
    # What an operator has changed stays so: the file says what it said when it was last read.
    before = read_last(directory, state.log_id, recovered.head.sequence)
    differences, _ = split_kept(find_differences(state, config, actor), said_by(config), before)
    assert all(difference.event is not None for difference in differences)
    for event in events_of(differences):
        if event not in events:
            events.append(event)
    return events


def note_configuration(directory: Path, config: Config, engine: Engine) -> None:
    """What a start has read is noted, by software with the newest rules."""
    state = engine.state
    if state.rules_version == RULES_VERSION:
        write_last(directory, state.log_id, state.next_sequence - 1, said_by(config))


def first_events(rules_version: int, events: Iterable[Outcome]) -> list[Outcome]:
    """A log's first events, as software with those rules wrote them: the earlier had no limits."""
    written = [opened_under(rules_version, event) for event in events]
    if rules_version >= LIMITS_SINCE:
        return written
    kept = [event for event in written if not isinstance(event, LimitsSet)]
    assert isinstance(kept[0], LogOpened)
    return [structs.replace(kept[0], opening_records=len(kept)), *kept[1:]]
