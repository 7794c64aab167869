"""The daemon's life: recover, compare, bind, serve, stop.

Owns the order of these steps and the signals. Whatever is wrong is found before the ready line:
the log is locked, verified and folded, the configuration compared with it, the socket bound, the
session's first records are on disk.

How it fails: `ConfigError` (exit 2), the `WalError` family and everything of the environment
(exit 1); `guard.cli` turns them into one line.
"""

import asyncio
import contextlib
import gc
import os
import pwd
import secrets
import signal
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
import zmq
from msgspec import UNSET

from guard import GUARD_FORM, __version__, clock
from guard.activation import (
    Actor,
    find_differences,
    opening_events,
    resume_event,
)
from guard.anchoring import AnchorPublisher, load_anchor
from guard.checkpointing import STOP_RECORDS_MIN, Checkpointer, CheckpointPlan
from guard.config import Config, ConfigError
from guard.engine.engine import Engine
from guard.gateway import ROUTER_FORM, Gateway
from guard.housekeeping import Housekeeper, disk_event, free_bytes
from guard.notify import ServiceNotifier
from guard.outcomes import CutNoted, Outcome, SessionClosed, SessionStarted
from guard.pipeline import Pipeline
from guard.ranges import NANOSECONDS_PER_SECOND
from guard.recovery import Recovered, recover_log
from guard.server.request_path import record_event
from kernel import KERNEL_FORM
from wal import WAL_FORM, ChainHasher, LogWriter, WalAnchorError, anchor_of, write_anchor

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

    @property
    def anchor_file(self) -> Path | None:
        """Where the log's head is published, if anywhere."""
        path = self.config.log.anchor_file
        return None if path is None else Path(path)


class StartError(RuntimeError):
    """The environment does not let the daemon start."""


def run_daemon(options: RunOptions) -> None:
    """Runs until SIGTERM or SIGINT, then returns. Raises what ended it otherwise."""
    if KERNEL_FORM != "compiled":
        say("the kernel runs interpreted (its compiled form was not built): same answers, slower")
    elif GUARD_FORM != "compiled":
        say("the order path runs interpreted (not built): same answers, slower")
    elif WAL_FORM != "compiled":
        say("the log is read interpreted (not built): same records, slower")
    elif ROUTER_FORM != "compiled":
        say("the orders socket runs interpreted (not built, or libzmq hidden): same, slower")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options))


def say(text: str) -> None:
    """One line for the operator."""
    sys.stderr.write(f"pretrade-guard: {text}\n")
    sys.stderr.flush()


async def _serve(options: RunOptions) -> None:
    hasher = ChainHasher(options.key)
    try:
        anchor = load_anchor(options.anchor_file)
    except WalAnchorError as error:
        raise StartError(f"anchor file {options.anchor_file}: {error}") from error
    recovered = recover_log(options.log_directory, hasher, anchor)
    for alarm in recovered.alarms:
        say(f"ALARM: {alarm}")
    try:
        await _serve_log(options, hasher, recovered)
    finally:
        recovered.lock.release()


async def _serve_log(options: RunOptions, hasher: ChainHasher, recovered: Recovered) -> None:
    engine = recovered.engine
    events = list(_session_events(options, hasher, recovered))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    gateway = _bind(context, options.orders_endpoint)
    try:
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
            pipeline = await _serve_orders(engine, gateway, options, writer, hasher, recovered)
            actor = _actor(engine, writer.staged_count, "clean stop")
            _record(engine, writer, [actor.event(SessionClosed)])
            if options.anchor_file is not None:
                write_anchor(options.anchor_file, anchor_of(writer.durable_head, hasher.keyed))
            await pipeline.discard_late()
            _say_last(pipeline)
    finally:
        gateway.close()
        context.term()


async def _serve_orders(
    engine: Engine,
    gateway: Gateway,
    options: RunOptions,
    writer: LogWriter,
    hasher: ChainHasher,
    recovered: Recovered,
) -> Pipeline:
    """Serves until a signal stops it; what it has counted is the pipeline's."""
    loop = asyncio.get_running_loop()
    notifier = ServiceNotifier()
    anchor_file = options.anchor_file
    anchor = None if anchor_file is None else AnchorPublisher(anchor_file, hasher.keyed)
    is_synchronous = anchor is not None and options.config.log.anchor_mode == "synchronous"
    pipeline = Pipeline(
        engine,
        writer,
        gateway,
        clock.wall_ns,
        clock.monotonic_ns,
        confirm=anchor.publish if anchor is not None and is_synchronous else None,
        busy_poll_ns=options.config.endpoints.busy_poll_us * 1_000,
    )

    def check_disk() -> Outcome | None:
        free = free_bytes(options.log_directory)
        actor = _actor(engine, writer.staged_count, "disk space")
        return disk_event(engine.state, free, options.config.log.disk_reserve_bytes, actor)

    def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        pipeline.fail(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(on_loop_error)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, pipeline.stop)
    loop.add_signal_handler(signal.SIGUSR1, writer.rotate)
    checkpointer = _checkpointer(engine, options, writer, hasher, recovered, pipeline)
    loop.add_signal_handler(signal.SIGUSR2, checkpointer.request)
    housekeeper = Housekeeper(
        pipeline,
        notifier,
        None if is_synchronous else anchor,
        lambda: writer.durable_head,
        check_disk,
        checkpointer.tick,
        say,
    )
    await housekeeper.prepare()
    _settle_garbage_collector()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    pipeline.start()
    head = writer.durable_head.sequence
    sys.stdout.write(
        f"pretrade-guard {__version__} ready: orders {gateway.endpoint}, "
        f"log {options.log_directory}, head {head}, kernel {KERNEL_FORM}\n"
    )
    sys.stdout.flush()
    notifier.send("READY=1", f"STATUS=serving {gateway.endpoint}")
    heartbeat = loop.create_task(housekeeper.run())
    try:
        await pipeline.run()
    finally:
        heartbeat.cancel()
        checkpointer.stop()
    notifier.send("STOPPING=1")
    writer.sync_now()
    checkpointer.take_at_stop()
    return pipeline


def _say_last(pipeline: Pipeline) -> None:
    """One line of what has passed. Nobody may be left to read it, which is no failure."""
    counted = pipeline.stats().counters
    dropped = counted["replies_dropped_slow"] + counted["replies_dropped_gone"]
    line = (
        f"pretrade-guard stopped: {counted['messages']} messages, {counted['requests']} requests, "
        f"{counted['request_errors']} errors, {counted['records']} records in "
        f"{counted['batches']} batches; {dropped} replies dropped, "
        f"{counted['messages_discarded']} messages discarded after the stop\n"
    )
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), line.encode())


def _checkpointer(
    engine: Engine,
    options: RunOptions,
    writer: LogWriter,
    hasher: ChainHasher,
    recovered: Recovered,
    pipeline: Pipeline,
) -> Checkpointer:
    log = options.config.log
    return Checkpointer(
        engine,
        writer,
        options.log_directory,
        hasher,
        CheckpointPlan(
            log.checkpoint_every_records,
            log.checkpoint_interval_s * NANOSECONDS_PER_SECOND,
            STOP_RECORDS_MIN if log.checkpoint_at_stop else 0,
            log.disk_reserve_bytes,
        ),
        last_sequence=0 if recovered.checkpoint is None else recovered.checkpoint.sequence,
        record=pipeline.record,
        actor=lambda why: _actor(engine, writer.staged_count, why),
        call_later=asyncio.get_running_loop().call_later,
        free_bytes=free_bytes,
        monotonic_ns=clock.monotonic_ns,
        say=say,
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
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _record(engine: Engine, writer: LogWriter, events: Iterable[Outcome]) -> None:
    """Logs and applies administrative events, and waits for the disk."""
    for event in events:
        record_event(engine, writer, event)
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
    start = _actor(engine, 0, "start")
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
