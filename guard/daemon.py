"""The daemon's life: recover, compare, bind, serve, stop.

Owns the order of these steps. Whatever is wrong is found before the ready line: the log is locked,
verified and folded, the configuration compared with it, the socket bound, the session's first
records are on disk.

How it fails: `ConfigError` (exit 2), the `WalError` family and everything of the environment
(exit 1), `StopAsked` (`guard.signals`); `guard.cli` turns them into one line. What nobody foresaw
is told with its traceback and becomes `ServiceError` (exit 1).
"""

import asyncio
import functools
import gc
import os
import pwd
import secrets
import sys
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
import zmq
from msgspec import UNSET

from guard import __version__, clock
from guard.activation import (
    Actor,
    find_differences,
    opening_events,
    resume_event,
)
from guard.anchoring import AnchorPublisher, check_no_anchor, load_anchor
from guard.answering import record_outcome
from guard.checkpointing import STOP_RECORDS_MIN, Checkpointer, CheckpointPlan
from guard.config import Config, ConfigError
from guard.descriptors import connections_max, open_count, raise_limit
from guard.engine import Engine
from guard.gateway import Gateway
from guard.housekeeping import ANCHOR_WAIT_S, Housekeeper, disk_event, free_bytes
from guard.installation import interpreted_note
from guard.notify import ServiceNotifier
from guard.older_records import OlderRecords
from guard.outcomes import CutNoted, Decided, Outcome, SessionClosed, SessionStarted
from guard.pipeline import Pipeline
from guard.ranges import NANOSECONDS_PER_SECOND
from guard.recovery import Recovered, recover_log
from guard.saying import alarm, announce, begin_service, lines_not_said, say
from guard.signals import Signals
from guard.start_options import NEW_ANCHOR_OPTION, NEW_LOG_OPTION, OptionNeededError
from kernel import KERNEL_FORM, InvariantError
from wal import (
    Anchor,
    ChainHasher,
    Head,
    LogWriter,
    WalAnchorError,
    WalError,
)

# How long a thread that deserves the interpreter waits for the loop's to give it up. Python's own
# 5 ms are longer than the disk takes: interpreted, the writer's thread would come back late.
SWITCH_INTERVAL_S: Final = 0.0002


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `pretrade-guard run` was told. `why` goes into the log."""

    config: Config
    key: bytes
    log_directory: Path
    orders_endpoint: str
    apply_config: bool = False
    resume_desks: tuple[str, ...] = ()
    why: str = "start"
    new_log: bool = False
    new_anchor: bool = False
    accept_loss: bool = False
    then_stop: bool = False

    @property
    def anchor_file(self) -> Path | None:
        """Where the log's head is published, if anywhere."""
        path = self.config.log.anchor_file
        return None if path is None else Path(path)


class StartError(RuntimeError):
    """The environment does not let the daemon start."""


class ServiceError(RuntimeError):
    """An error that nobody foresaw has ended the service."""


def run_daemon(options: RunOptions, signals: Signals) -> None:
    """Runs until SIGTERM or SIGINT, then returns. Raises what ended it otherwise."""
    raise_limit()
    if (note := interpreted_note()) is not None:
        say(note)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(_serve(options, signals))
            finally:
                signals.finish()
    except (ConfigError, WalError, StartError, InvariantError, OptionNeededError):
        raise
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # not of its output, which raises none
            raise ServiceError(f"a pipe of its own: {error}") from error
        raise
    except Exception as error:
        # Said here, where saying cannot fail, and not by the interpreter at its end.
        sys.stderr.write(traceback.format_exc())
        raise ServiceError(f"nobody foresaw {type(error).__name__}: {error}") from error


async def _serve(options: RunOptions, signals: Signals) -> None:
    hasher = ChainHasher(options.key)
    anchor = _load_anchor(options)
    older = OlderRecords(options.log_directory, hasher)
    try:
        _prepare_older_records(options, older)
        recovered = recover_log(
            options.log_directory,
            hasher,
            anchor,
            new_log=options.new_log,
            accept_loss=options.accept_loss,
        )
        for text in recovered.alarms:
            alarm(text)
        try:
            await _serve_log(options, signals, hasher, recovered, older)
        finally:
            recovered.lock.release()
    finally:
        older.stop()


def _load_anchor(options: RunOptions) -> Anchor | None:
    """The anchor that the log must agree with; None where there is none, or a new one begins."""
    try:
        if options.new_log or options.new_anchor:
            option = NEW_LOG_OPTION if options.new_log else NEW_ANCHOR_OPTION
            check_no_anchor(options.anchor_file, option)
            return None
        return load_anchor(options.anchor_file)
    except WalAnchorError as error:
        raise StartError(f"anchor file {options.anchor_file}: {error}") from error


def _prepare_older_records(options: RunOptions, older: OlderRecords) -> None:
    if options.new_log or options.then_stop:
        return
    try:
        older.prepare()
    except OSError as error:
        alarm(f"the older records of the log will not be checked: cannot fork: {error}")


def _begin_anchor(
    options: RunOptions, hasher: ChainHasher, recovered: Recovered
) -> AnchorPublisher | None:
    """Publishes the anchor before anything is recorded: that it can be is found out now.

    But not one that takes back what the last one said, before that is recorded. Raises WalError
    where it cannot, and no reply could leave, or the next start would miss it.
    """
    if options.anchor_file is None:
        return None
    anchor = AnchorPublisher(options.anchor_file, hasher.keyed)
    if recovered.losses:
        return anchor
    is_needed = options.config.log.anchor_mode == "synchronous"
    try:
        anchor.publish_now(recovered.head)
    except WalError as error:
        if is_needed or options.new_log or options.new_anchor:
            raise
        alarm(f"the anchor cannot be published, orders are served without: {error}")
    return anchor


async def _serve_log(
    options: RunOptions,
    signals: Signals,
    hasher: ChainHasher,
    recovered: Recovered,
    older: OlderRecords,
) -> None:
    engine = recovered.engine
    events = list(_session_events(options, hasher, recovered))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    gateway = _bind(context, options.orders_endpoint)
    try:
        anchor = _begin_anchor(options, hasher, recovered)
        with LogWriter.open(
            options.log_directory,
            hasher,
            recovered.head,
            monotonic_ns=clock.monotonic_ns,
            lock=recovered.lock,
            segment_bytes_max=options.config.log.segment_bytes_max,
            fresh_segment=True,
        ) as writer:
            _record(engine, writer, events)
            # Here alone, and by the configuration's number: what only reads a log grows with it.
            engine.state.orders.expect(options.config.settings.remembered_orders_max)
            if anchor is not None and recovered.losses:
                anchor.publish_now(writer.durable_head)
            for text in recovered.settle():
                alarm(text)
            served = _Served(
                options, signals, recovered, engine, writer, hasher, gateway, anchor, older
            )
            pipeline = None if options.then_stop else await _serve_orders(served)
            actor = _actor(engine, writer.staged_count, "clean stop")
            _record(engine, writer, [actor.event(SessionClosed)])
            if anchor is not None:
                _publish_last(anchor, writer.durable_head, served.is_anchor_synchronous)
            if pipeline is None:
                _say_started_alone(options, writer.durable_head)
            else:
                await pipeline.discard_late()
                _say_last(pipeline)
    finally:
        gateway.close()
        context.term()


@dataclass(frozen=True, slots=True)
class _Served:
    """What a session has to do with."""

    options: RunOptions
    signals: Signals
    recovered: Recovered
    engine: Engine
    writer: LogWriter
    hasher: ChainHasher
    gateway: Gateway
    anchor: AnchorPublisher | None
    older: OlderRecords

    @property
    def is_anchor_synchronous(self) -> bool:
        """May no reply leave before the anchor has the record that it stands on?"""
        return self.anchor is not None and self.options.config.log.anchor_mode == "synchronous"


async def _serve_orders(served: _Served) -> Pipeline:
    """Serves until a signal stops it; what it has counted is the pipeline's."""
    loop = asyncio.get_running_loop()
    options, writer, gateway = served.options, served.writer, served.gateway
    anchor = served.anchor if served.is_anchor_synchronous else None
    pipeline = Pipeline(
        served.engine,
        writer,
        gateway,
        clock.wall_ns,
        clock.monotonic_ns,
        confirm=None if anchor is None else anchor.publish,
        busy_poll_ns=options.config.endpoints.busy_poll_us * 1_000,
        gauges=lambda: {"lines_not_said": lines_not_said()},
    )

    def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        pipeline.fail(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(on_loop_error)
    checkpointer = _checkpointer(served, pipeline)
    served.signals.serve(loop, pipeline.stop, writer.rotate, checkpointer.request)
    notifier = ServiceNotifier()
    housekeeper = _housekeeper(served, pipeline, notifier, checkpointer)
    housekeeper.prepare()
    _refuse_few_descriptors()
    _settle_garbage_collector()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    pipeline.start()
    head = writer.durable_head.sequence
    begin_service(
        f"pretrade-guard {__version__} ready: orders {gateway.endpoint}, "
        f"log {options.log_directory}, head {head}, kernel {KERNEL_FORM}"
    )
    notifier.announce("READY=1", f"STATUS=serving {gateway.endpoint}")
    heartbeat = loop.create_task(housekeeper.run())
    housekeeper.watch(heartbeat)
    older_heads = served.recovered.older_heads
    served.older.begin(older_heads, pipeline.counters, say, alarm, loop.call_later)
    try:
        await pipeline.run()
    finally:
        heartbeat.cancel()
        checkpointer.stop()
    notifier.announce("STOPPING=1")
    notifier.close()
    writer.sync_now()
    checkpointer.take_at_stop()
    return pipeline


def _refuse_few_descriptors() -> None:
    """Raises StartError where no client could be served without taking from the log."""
    limit, opened = raise_limit(), open_count()
    if connections_max(limit, opened) < 1:
        raise StartError(
            f"the process may have {limit} files and sockets open, and has {opened}: no client "
            "could be served beside the log; raise the limit (ulimit -n, LimitNOFILE=)"
        )


def _publish_last(anchor: AnchorPublisher, head: Head, is_synchronous: bool) -> None:
    """The closed log's head. Raises WalError where no reply may leave without its anchor."""
    try:
        anchor.publish_last(head, ANCHOR_WAIT_S)
    except WalError as error:
        if is_synchronous:
            raise
        alarm(f"the log is closed, and its anchor is not of its end: {error}")


def _say_last(pipeline: Pipeline) -> None:
    """One line of what has passed."""
    counted = pipeline.stats().counters
    dropped = counted["replies_dropped_slow"] + counted["replies_dropped_gone"]
    announce(
        f"pretrade-guard stopped: {counted['messages']} messages, {counted['requests']} requests, "
        f"{counted['request_errors']} errors, {counted['records']} records in "
        f"{counted['batches']} batches; {dropped} replies dropped, "
        f"{counted['messages_discarded']} messages discarded after the stop"
    )


def _housekeeper(
    served: _Served, pipeline: Pipeline, notifier: ServiceNotifier, checkpointer: Checkpointer
) -> Housekeeper:
    options, engine, writer = served.options, served.engine, served.writer

    def check_disk() -> Outcome | None:
        free = free_bytes(options.log_directory)
        actor = _actor(engine, writer.staged_count, "disk space")
        return disk_event(engine.state, free, options.config.log.disk_reserve_bytes, actor)

    return Housekeeper(
        pipeline,
        notifier,
        None if served.is_anchor_synchronous else served.anchor,
        lambda: writer.durable_head,
        check_disk,
        checkpointer.tick,
        say,
        alarm,
    )


def _say_started_alone(options: RunOptions, head: Head) -> None:
    """One line for who told it to stop behind its start."""
    announce(
        f"pretrade-guard started and stopped: log {options.log_directory}, head {head.sequence}"
    )


def _checkpointer(served: _Served, pipeline: Pipeline) -> Checkpointer:
    log, checkpoint = served.options.config.log, served.recovered.checkpoint
    engine, writer = served.engine, served.writer
    return Checkpointer(
        engine,
        writer,
        served.options.log_directory,
        served.hasher,
        CheckpointPlan(
            log.checkpoint_every_records,
            log.checkpoint_interval_s * NANOSECONDS_PER_SECOND,
            STOP_RECORDS_MIN if log.checkpoint_at_stop else 0,
            log.disk_reserve_bytes,
        ),
        last_sequence=0 if checkpoint is None else checkpoint.sequence,
        record=pipeline.record,
        actor=lambda why: _actor(engine, writer.staged_count, why),
        call_later=asyncio.get_running_loop().call_later,
        free_bytes=free_bytes,
        monotonic_ns=clock.monotonic_ns,
        say=say,
        alarm=alarm,
    )


def _settle_garbage_collector() -> None:
    """Takes the cycle collector off the path of orders.

    Every order leaves long-lived objects behind; walking them all, again and again, would stop the
    loop for tenths of a second. The path makes no reference cycles; what start-up or an odd error
    left is looked at while nothing is under way (`guard.housekeeping`), young objects alone.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def _bind(context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Gateway:
    try:
        return Gateway(context, endpoint)
    except zmq.ZMQError as error:
        context.term()
        raise StartError(f"orders endpoint {endpoint!r} cannot be bound: {error}") from error


def _actor(engine: Engine, staged_count: int, why: str) -> Actor:
    received_at_ns = max(clock.wall_ns(), engine.state.last_received_at_ns)
    return Actor(received_at_ns, engine.next_sequence - staged_count, _user_name(), why)


def _user_name() -> str:
    """Who runs this process; by number where the system has no name (in containers)."""
    return _name_of(os.getuid())


@functools.cache
def _name_of(user_id: int) -> str:
    # Asked once, at the start: it opens files, and may ask a directory service and wait for it.
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"uid {user_id}"


def _record(engine: Engine, writer: LogWriter, events: Iterable[Outcome]) -> None:
    """Logs and applies administrative events, and waits for the disk."""
    for event in events:
        record_outcome(engine, writer, Decided(event))
    writer.sync_now()


def _session_events(
    options: RunOptions, hasher: ChainHasher, recovered: Recovered
) -> Iterable[Outcome]:
    """What this start has to record: a log's first records, or a session's."""
    engine, state = recovered.engine, recovered.engine.state
    if recovered.head.sequence == 0:
        _noted(recovered)  # said, not logged: the log that it was cut from had not begun
        actor = _actor(engine, 0, "a fresh log")
        log_id = secrets.token_hex(16)
        return opening_events(options.config, actor, log_id, hasher.key_id)
    start = _actor(engine, 0, options.why if recovered.losses else "start")
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
    )
    return [started, *_configured_events(options, engine)]


def _noted(recovered: Recovered) -> list[CutNoted]:
    """The cuts as the log will name them; the operator is told of each."""
    noted = []
    for cut in recovered.cuts:
        say(
            f"a torn end was cut: {cut.bytes_cut} bytes of {cut.segment} from byte {cut.offset} "
            f"on (first record lost: {cut.first_sequence_lost}; {cut.reason}); "
            f"copy: {cut.copy_name}"
        )
        noted.append(CutNoted(**asdict(cut)))
    return noted


def _configured_events(options: RunOptions, engine: Engine) -> list[Outcome]:
    """The events that the operator asked for. Raises ConfigError where config and log disagree."""
    actor = _actor(engine, 0, options.why)
    differences = find_differences(engine.state, options.config, actor)
    impossible = [difference for difference in differences if difference.event is None]
    if differences and (impossible or not options.apply_config):
        listed = "\n  ".join(difference.text for difference in impossible or differences)
        remedy = (
            "no event can make it so: change the configuration back"
            if impossible
            else "start with --apply-config to log the changes"
        )
        raise ConfigError(f"the configuration differs from the log ({remedy}):\n  {listed}")
    events: list[Outcome] = []
    for difference in differences:
        if difference.event is not None and difference.event not in events:
            events.append(difference.event)
    for desk in options.resume_desks:
        if desk not in engine.state.desks:
            raise ConfigError(f"--resume-desk: {desk!r} is no desk of this log")
        events.append(resume_event(desk, actor))
    return events
