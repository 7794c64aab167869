"""What a session records of itself, and in whose name.

Owns the events that no request asks for at a start and a stop: a log's first records, or a
session's, with what the operator's configuration changes. What they may say
`guard.config.activation` says; how they are written is `guard.record`'s.

How it fails: `ConfigError` where configuration and log disagree and nobody said to log that.
"""

import os
import pwd
import secrets
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path

from msgspec import UNSET

from guard import __version__, clock
from guard.admin.actions import done_before, plan
from guard.admin.day import close_now
from guard.admin.day_name import repeat_words
from guard.admin.messages import AdminError, CloseDay, close_action_id
from guard.config.activation import (
    Difference,
    events_of,
    find_differences,
    opening_events,
    resume_event,
    rules_events,
    split_kept,
)
from guard.config.amending import amendment_event
from guard.config.errors import ConfigError
from guard.config.last_read import Said, read_last, said_by
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.events import RULES_VERSION, ClockAccepted, CutNoted, Outcome, SessionStarted
from guard.process.line_forms import told
from guard.process.operator_lines import alarm, say
from guard.protocol.ranges import CLOCK_TOLERANCE_NS
from guard.record.people_rules import DECIDE_NOTHING
from guard.recovery.checkpoint_schedule import taken_event, write_state
from guard.recovery.recover import Recovered
from guard.recovery.start_options import ACCEPT_CLOCK_OPTION, CLOSE_DAY_OPTION, OptionNeededError
from guard.server.log_keys import SessionKey
from guard.server.recording import record_due, record_event, record_losses, record_what_is_due
from guard.server.service import RunOptions
from wal import ChainHasher, LogWriter, RingHasher, WalError


def actor_of(engine: Engine, staged_count: int, why: str) -> Actor:
    received_at_ns = max(clock.wall_ns(), engine.state.last_received_at_ns)
    return Actor(received_at_ns, engine.next_sequence - staged_count, user_name(), why)


def user_name() -> str:
    """Who runs this process; by number where the system has no name (in containers)."""
    return name_of_user(os.getuid())


@cache
def name_of_user(user_id: int) -> str:
    """A user of this machine; by number where the system has no name."""
    # Asked once for each: it opens files, and may ask a directory service and wait for it.
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"uid {user_id}"


def stage(engine: Engine, writer: LogWriter, events: Iterable[Outcome]) -> None:
    """Stages and applies administrative events."""
    for event in events:
        if type(event) not in DECIDE_NOTHING:
            record_losses(engine, writer)
            record_what_is_due(engine, writer, event.received_at_ns)
        record_event(engine, writer, event)


def stage_start(
    options: RunOptions, engine: Engine, writer: LogWriter, events: Iterable[Outcome]
) -> None:
    """Stages and applies all that a start records."""
    stage(engine, writer, events)
    record_losses(engine, writer)
    _stage_due(engine, writer)
    _stage_amendments(options, engine, writer)
    _stage_close(options, engine, writer)


def _stage_amendments(options: RunOptions, engine: Engine, writer: LogWriter) -> None:
    """What the operator says of fills, each on what the one before has made of the state."""
    for asked in options.amendments:
        actor = actor_of(engine, writer.staged_count, options.why)
        event = amendment_event(engine.state, asked, actor)
        if event is None:
            say(told("fill_amended", f"{asked.option}: was said before, nothing is logged"))
        else:
            record_event(engine, writer, event)
            say(told("fill_amended", f"{asked.option}: logged"))


def _stage_close(options: RunOptions, engine: Engine, writer: LogWriter) -> None:
    """The end of a day, of a log that nobody serves."""
    action = _close_action(options)
    if action is None:
        return
    day = action.day

    def actor() -> Actor:
        return actor_of(engine, writer.staged_count, options.why)

    try:
        before = done_before(engine.state, action, actor())
        if before is not None:
            text = f"{repeat_words(engine.state, day, before)}; nothing is logged of it"
            say(told("day_closed", text, day=day, wal_sequence=before.sequence))
            return
        released = close_now(
            engine.state,
            action,
            actor,
            partial(record_event, engine, writer),
            releases=options.config.close.release_day_orders,
        )
    except AdminError as error:
        raise ConfigError(f"{CLOSE_DAY_OPTION}: {error}") from error
    text = f"day {day}: closed; {released} day orders were released"
    say(told("day_closed", text, day=day, released=released))


def _close_action(options: RunOptions) -> CloseDay | None:
    day = options.close_day
    if day is None:
        return None
    return CloseDay(action_id=close_action_id(day), why=options.why, day=day)


def _check_close(options: RunOptions, engine: Engine, actor: Actor) -> None:
    """Refuses a day that cannot be closed before anything is recorded. Raises ConfigError."""
    action = _close_action(options)
    try:
        if action is not None and done_before(engine.state, action, actor) is None:
            plan(engine.state, action, actor)
    except AdminError as error:
        raise ConfigError(f"{CLOSE_DAY_OPTION}: {error}") from error


def stage_checkpoint(
    directory: Path, hasher: ChainHasher, engine: Engine, writer: LogWriter
) -> None:
    """Writes the checkpoint of a closed day, whose records are durable, where nobody is served."""
    try:
        info = write_state(directory, hasher, engine.state, writer.durable_head)
    except (WalError, OSError, MemoryError) as error:
        alarm(told("checkpoint_failed", f"no checkpoint was taken: {error}"))
        return
    actor = actor_of(engine, writer.staged_count, "end of day")
    stage(engine, writer, [taken_event(info, actor)])


def _stage_due(engine: Engine, writer: LogWriter) -> None:
    """Early fills of an order whose record a crash has left without them."""
    actor = actor_of(engine, writer.staged_count, "")
    count = record_due(engine, writer, actor.received_at_ns, actor.batch_first_sequence)
    if count:
        text = f"{count} fills that came before their order were recorded with it now"
        say(told("early_fills_recorded", text, count=count))


def session_events(options: RunOptions, key: SessionKey, recovered: Recovered) -> Iterable[Outcome]:
    """What this start has to record: a log's first records, or a session's."""
    engine, state = recovered.engine, recovered.engine.state
    if recovered.head.sequence == 0:
        if options.amendments:
            raise ConfigError(f"{options.amendments[0].option}: a fresh log holds no fill")
        _noted(recovered)  # said, not logged: the log that it was cut from had not begun
        actor = actor_of(engine, 0, "a fresh log")
        log_id = secrets.token_hex(16)
        number = key.hasher.number if isinstance(key.hasher, RingHasher) else 0
        return opening_events(options.config, actor, log_id, key.hasher.key_id, number)
    log_ns, clock_ns = state.last_received_at_ns, clock.wall_ns()
    if options.accept_clock and clock_ns >= log_ns:
        raise OptionNeededError(
            f"{ACCEPT_CLOCK_OPTION}: the clock is not behind the log's time; start without the "
            "option"
        )
    start = actor_of(engine, 0, options.why if recovered.losses else "start")
    checkpoint = recovered.checkpoint
    started = start.event(
        SessionStarted,
        epoch=state.epoch + 1,
        software_version=__version__,
        recovered_sequence=recovered.head.sequence,
        recovered_hash=recovered.head.entry_hash,
        after_clean_stop=state.is_closed_cleanly,
        cuts=_noted(recovered),
        checkpoint_sequence=UNSET if checkpoint is None else checkpoint.sequence,
        losses=recovered.losses or UNSET,
        clock_ns=max(clock_ns, 1) if log_ns - clock_ns > CLOCK_TOLERANCE_NS else UNSET,
        key=key.handover,
    )
    events = [started, *rules_events(state, start)]
    actor = actor_of(engine, 0, options.why)
    if options.accept_clock:
        actor = replace(actor, received_at_ns=max(clock_ns, 1))
        events.append(actor.event(ClockAccepted, previous_ns=log_ns))
    events += _configured_events(options, engine, actor, recovered.head.sequence)
    if state.rules_version != RULES_VERSION:
        text = (
            f"the log's rules were version {state.rules_version}, from here on they are version "
            f"{RULES_VERSION}: software that does not know these cannot open it any more"
        )
        say(told("rules_activated", text, rules_version=RULES_VERSION))
    return events


def _noted(recovered: Recovered) -> list[CutNoted]:
    """The cuts as the log will name them; the operator is told of each."""
    noted = []
    for cut in recovered.cuts:
        text = (
            f"a torn end was cut: {cut.bytes_cut} bytes of {cut.segment} from byte {cut.offset} "
            f"on (first record lost: {cut.first_sequence_lost}; {cut.reason}); "
            f"copy: {cut.copy_name}"
        )
        say(told("torn_end_cut", text, **asdict(cut)))
        noted.append(CutNoted(**asdict(cut)))
    return noted


def _configured_events(
    options: RunOptions, engine: Engine, actor: Actor, head_sequence: int
) -> list[Outcome]:
    """The events that the operator asked for. Raises ConfigError where config and log disagree."""
    state = engine.state
    # Who takes over goes on with the log as it is: what it was told there, an operator has changed.
    before: Said | None = said_by(options.config)
    if not options.is_standby:
        before = read_last(options.log_directory, state.log_id, head_sequence)
    differences, kept = split_kept(
        find_differences(state, options.config, actor), said_by(options.config), before
    )
    is_possible = all(difference.event is not None for difference in differences)
    if differences and not (is_possible and options.apply_config):
        raise ConfigError(_differing(differences, is_possible))
    for difference in kept:
        text = f"kept as the log has it, by an operator's action: {difference.text}"
        say(told("configuration_kept", text, difference=difference.text))
    for asked in options.amendments:
        amendment_event(state, asked, actor)  # what cannot be is refused before all else
    _check_close(options, engine, actor)
    events = events_of(differences)
    for desk in options.resume_desks:
        if desk not in state.desks:
            raise ConfigError(f"--resume-desk: {desk!r} is no desk of this log")
        events.append(resume_event(desk, actor))
    return events


def _differing(differences: list[Difference], is_possible: bool) -> str:
    """All that differs, what no event can make so marked as that, and what may be done."""
    remedy = (
        "start with --apply-config to log the changes"
        if is_possible
        else "no event can make so what is marked: correct the configuration"
    )
    listed = [
        f"{difference.text}{' (no event can make it so)' if difference.event is None else ''}"
        for difference in differences
    ]
    return f"the configuration differs from the log ({remedy}):\n  " + "\n  ".join(listed)
