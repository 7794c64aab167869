"""The daemon's life: recover, compare, bind, serve, stop.

Owns the order of these steps. Whatever is wrong is found before the ready line: the log is locked,
verified and folded, the configuration compared with it, the socket bound, the session's first
records are on disk.

How it fails: `ConfigError` (exit 2), the `WalError` family and everything of the environment (exit
1), `StopAsked` (`guard.process.signals`); `guard.cli` turns them into one line. What nobody foresaw
is told with its traceback and becomes `ServiceError` (exit 1).
"""

import asyncio
import gc
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import uvloop

from guard import __version__, clock
from guard.config.errors import ConfigError
from guard.engine.events import Outcome, SessionClosed
from guard.process.descriptors import CONNECTIONS_MIN, connections_max, open_count, raise_limit
from guard.process.installation import interpreted_note
from guard.process.line_forms import told
from guard.process.notify import ServiceNotifier
from guard.process.operator_lines import alarm, announce, begin_service, say
from guard.process.signals import Signals
from guard.recovery.recover import Recovered, recover_log
from guard.recovery.start_options import NEW_ANCHOR_OPTION, NEW_LOG_OPTION, OptionNeededError
from guard.server.admin_service import bind_admin, make_admin_door
from guard.server.anchoring import AnchorPublisher, check_no_anchor, load_anchor
from guard.server.clients import Clients
from guard.server.disk_reserve import batch_bytes_max
from guard.server.door_proof import DoorError
from guard.server.doors import MissingLibraryError
from guard.server.endpoints import EndpointError
from guard.server.feed_door import FeedDoor
from guard.server.feed_service import bind_feed, make_feed_door
from guard.server.housekeeping import ANCHOR_WAIT_S
from guard.server.joining import Joined, files_of, join, settle_stop
from guard.server.listener import Listener
from guard.server.log_keys import (
    digest_of,
    erase_at_start,
    hasher_at_start,
    key_duties,
    make_log_keys,
    prepare_handover,
    segment_bytes_max,
    session_key,
)
from guard.server.older_records import OlderRecords
from guard.server.orders_door import bind_orders
from guard.server.pipeline import Pipeline
from guard.server.rereading import make_rereading, note_configuration
from guard.server.service import RunOptions, Service, make_checkpointer, make_housekeeper
from guard.server.session_records import (
    actor_of,
    session_events,
    stage,
    stage_checkpoint,
    stage_start,
)
from guard.server.start_space import check_start_space, raise_file_limit
from kernel import KERNEL_FORM, InvariantError
from wal import (
    Anchor,
    ChainHasher,
    Head,
    LogWriter,
    WalAnchorError,
    WalError,
    WalPoisoned,
    free_bytes,
)

# How long a thread that deserves the interpreter waits for the loop's to give it up. Python's own
# 5 ms are longer than the disk takes: interpreted, the writer's thread would come back late.
SWITCH_INTERVAL_S: Final = 0.0002

BoundT = TypeVar("BoundT")


class StartError(RuntimeError):
    """The environment does not let the daemon start."""


class ServiceError(RuntimeError):
    """An error that nobody foresaw has ended the service."""


def run_daemon(options: RunOptions, signals: Signals) -> None:
    """Runs until SIGTERM or SIGINT, then returns. Raises what ended it otherwise."""
    raise_limit()
    if (note := interpreted_note()) is not None:
        say(told("interpreted", note))
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
        signals.check()
        # Said here, where saying cannot fail, and not by the interpreter at its end.
        sys.stderr.write(traceback.format_exc())
        raise ServiceError(f"nobody foresaw {type(error).__name__}: {error}") from error


async def _serve(options: RunOptions, signals: Signals) -> None:
    hasher = hasher_at_start(options)
    anchor = _load_anchor(options)
    older = OlderRecords(options.log_directory, hasher)
    try:
        _prepare_older_records(options, older)
        raise_file_limit(options.config.log.segment_bytes_max)
        joined = await _recover(options, signals, hasher, anchor)
        if joined is None:
            return
        _tell(joined.recovered.alarms)
        try:
            await _serve_log(options, signals, hasher, joined, older)
        finally:
            joined.recovered.lock.release()
            if joined.quorum is not None:
                await joined.quorum.close()
    finally:
        older.stop()


async def _recover(
    options: RunOptions, signals: Signals, hasher: ChainHasher, anchor: Anchor | None
) -> Joined | None:
    """The log, folded and held, the cluster's where there is one; None where nobody is served."""
    if options.config.cluster is not None:
        return await join(options, hasher, signals)
    recovered = recover_log(
        options.log_directory,
        hasher,
        anchor,
        new_log=options.new_log,
        accept_loss=options.accept_loss,
    )
    return Joined(recovered, None)


def _tell(alarms: Iterable[str]) -> None:
    for text in alarms:
        alarm(told("recovery", text))


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
        text = f"the older records of the log will not be checked: cannot fork: {error}"
        alarm(told("older_records_unchecked", text))


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
        text = f"the anchor cannot be published, orders are served without: {error}"
        alarm(told("anchor_failed", text))
    return anchor


async def _serve_log(
    options: RunOptions,
    signals: Signals,
    hasher: ChainHasher,
    joined: Joined,
    older: OlderRecords,
) -> None:
    recovered, quorum = joined
    engine = recovered.engine
    key = session_key(options, hasher, recovered)
    events = list(session_events(options, key, recovered))
    clients = Clients.of(options.config.clients)
    gateway = _bind(options, clients, bind_orders)
    admin = feed = None
    try:
        admin = _bind_beside(options, clients, bind_admin)
        feed = _bind_beside(options, clients, bind_feed)
        anchor = _begin_anchor(options, hasher, recovered)
        prepare_handover(options.log_directory, hasher, key)
        read_with, hasher = hasher, key.hasher
        with LogWriter.open(
            options.log_directory,
            hasher,
            recovered.head,
            monotonic_ns=clock.monotonic_ns,
            lock=recovered.lock,
            files=files_of(options),
            segment_bytes_max=segment_bytes_max(options),
            fresh_segment=True,
            write_ahead_bytes=options.config.log.write_ahead_bytes,
            may_write_ahead=partial(_may_write_ahead, options, recovered),
        ) as writer:
            _refuse_few_descriptors()
            writer.segment_digest = digest_of(options)
            await _record_start(options, joined, writer, events)
            # Here alone, and by the settings' number: what only reads a log grows with it.
            engine.state.orders.expect(engine.state.orders.shares.ids_expected())
            if anchor is not None and recovered.losses:
                anchor.publish_now(writer.durable_head)
            note_configuration(options, engine.state.log_id, writer.durable_head)
            _tell(recovered.settle())
            erase_at_start(options, read_with, hasher)
            service = Service(
                options,
                signals,
                recovered,
                engine,
                writer,
                hasher,
                gateway,
                anchor,
                older,
                partial(actor_of, engine),
                *(admin, feed, clients, quorum),
            )
            served = None if options.then_stop else await _serve_orders(service)
            await _end_session(options, hasher, joined, writer)
            if anchor is not None:
                _publish_last(anchor, writer.durable_head, service.is_anchor_synchronous)
            if served is None:
                _say_started_alone(options, writer.durable_head)
            else:
                await _end_serving(*served, writer.durable_head)
    finally:
        for listener in (gateway, admin, feed):
            if listener is not None:
                listener.close()


async def _end_session(
    options: RunOptions, hasher: ChainHasher, joined: Joined, writer: LogWriter
) -> None:
    engine = joined.recovered.engine
    if options.close_day is not None:
        stage_checkpoint(options.log_directory, hasher, engine, writer)
    # What closes the session is a batch of its own: a power cut in its sync cannot then leave it
    # whole behind a hole, which would be damage (`wal/FORMAT.md`, "Repair").
    writer.sync_now()
    actor = actor_of(engine, 0, "clean stop")
    stage(engine, writer, [actor.event(SessionClosed)])
    writer.sync_now()
    writer.seal()
    _tell_last(writer)
    await settle_stop(joined.quorum)


async def _record_start(
    options: RunOptions, joined: Joined, writer: LogWriter, events: list[Outcome]
) -> None:
    """What the start has to say is on disk, and in the cluster, and readers know of it."""
    recovered, quorum = joined
    writer.on_taken = None if quorum is None else quorum.take
    stage_start(options, recovered.engine, writer, events)
    check_start_space(writer, recovered.lock.directory_descriptor)
    writer.sync_now()
    if quorum is not None:
        await quorum.settle()
    writer.publish()


def _may_write_ahead(options: RunOptions, recovered: Recovered, byte_count: int) -> bool:
    """Zeros never take what the disk's reserve keeps, nor the room in which entries still stop."""
    log = options.config.log
    try:
        left = free_bytes(recovered.lock.directory_descriptor) - byte_count
    except OSError:
        return False  # which the look at the disk says; batches make the file longer themselves
    return left >= log.disk_reserve_bytes + log.write_ahead_bytes


async def _end_serving(pipeline: Pipeline, feed: FeedDoor | None, head: Head) -> None:
    """The last replies leave, and the last lines to who follows the log."""
    if feed is not None:
        feed.on_answered(head)
    await pipeline.discard_late()
    if feed is not None:
        feed.stop()
    _say_last(pipeline)


async def _serve_orders(service: Service) -> tuple[Pipeline, FeedDoor | None]:
    """Serves until a signal stops it; what it has counted is the pipeline's."""
    loop = asyncio.get_running_loop()
    options, writer, gateway = service.options, service.writer, service.gateway
    pipeline = Pipeline(
        service.engine,
        writer,
        gateway,
        clock.wall_ns,
        clock.monotonic_ns,
        confirm=service.confirm,
        busy_poll_ns=options.config.endpoints.busy_poll_us * 1_000,
        gauges=service.gauges,
        batch_bytes_max=batch_bytes_max(options.config.log.disk_reserve_bytes),
        system_ns=clock.system_ns,
        needs_permits=options.config.clients is not None,
        is_fenced=service.is_fenced,
    )
    if service.quorum is not None:
        service.quorum.on_failure = pipeline.fail

    def on_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        pipeline.fail(context.get("exception") or RuntimeError(context["message"]))

    loop.set_exception_handler(on_loop_error)
    checkpointer = make_checkpointer(service, pipeline)
    checkpointer.keys = keys = make_log_keys(service, pipeline, lambda: checkpointer.is_under_way)
    rereading = make_rereading(service, pipeline)
    service.signals.serve(
        loop, pipeline.stop, checkpointer.rotate, checkpointer.request, rereading.ask
    )
    door = make_admin_door(
        service, pipeline, checkpointer, lambda: rereading.config.close.release_day_orders
    )
    feed = make_feed_door(service, pipeline)
    notifier = ServiceNotifier()
    housekeeper = make_housekeeper(service, pipeline, notifier, checkpointer, key_duties(keys))
    housekeeper.prepare()
    _settle_garbage_collector()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    pipeline.start()
    for beside in (door, feed):
        if beside is not None:
            beside.start()
    _announce_ready(service)
    notifier.announce("READY=1", f"STATUS=serving {gateway.endpoint}")
    heartbeat = loop.create_task(housekeeper.run())
    housekeeper.watch(heartbeat)
    older_heads = service.recovered.older_heads
    service.older.begin(older_heads, pipeline.counters, say, alarm, loop.call_later)
    try:
        await pipeline.run()
    finally:
        heartbeat.cancel()
        checkpointer.stop()
        if door is not None:
            door.stop()
    notifier.announce("STOPPING=1")
    notifier.close()
    writer.sync_now()
    checkpointer.take_at_stop()
    return pipeline, feed


def _announce_ready(service: Service) -> None:
    endpoint, directory = service.gateway.endpoint, service.options.log_directory
    head = service.writer.durable_head.sequence
    text = (
        f"pretrade-guard {__version__} ready: orders {endpoint}, log {directory}, head {head}, "
        f"kernel {KERNEL_FORM}"
    )
    fields = {"version": __version__, "orders": endpoint, "log": str(directory)}
    begin_service(told("ready", text, **fields, head_sequence=head, kernel=KERNEL_FORM))


def _refuse_few_descriptors() -> None:
    """Raises StartError where hardly a client could be served without taking from the log."""
    limit, opened = raise_limit(), open_count()
    if connections_max(limit, opened) < CONNECTIONS_MIN:
        raise StartError(
            f"the process may have {limit} files and sockets open, and has {opened}: fewer than "
            f"{CONNECTIONS_MIN} clients could be served beside the log; raise the limit (ulimit "
            "-n, LimitNOFILE=)"
        )


def _tell_last(writer: LogWriter) -> None:
    """Tells readers of the last record. Where that fails they find it when the lock ends."""
    try:
        writer.publish()
    except WalPoisoned:
        raise
    except WalError as error:
        say(told("readers_not_told", str(error)))


def _publish_last(anchor: AnchorPublisher, head: Head, is_synchronous: bool) -> None:
    """The closed log's head. Raises WalError where no reply may leave without its anchor."""
    try:
        anchor.publish_last(head, ANCHOR_WAIT_S)
    except WalError as error:
        if is_synchronous:
            raise
        text = f"the log is closed, and its anchor is not of its end: {error}"
        alarm(told("anchor_failed", text))


def _say_last(pipeline: Pipeline) -> None:
    """One line of what has passed."""
    counted = pipeline.stats().counters
    dropped = counted["replies_dropped_slow"] + counted["replies_dropped_gone"]
    text = (
        f"pretrade-guard stopped: {counted['messages']} messages, {counted['requests']} requests, "
        f"{counted['request_errors']} errors, {counted['records']} records in "
        f"{counted['batches']} batches; {dropped} replies dropped, "
        f"{counted['messages_discarded']} messages discarded after the stop"
    )
    announce(told("stopped", text, **counted))


def _say_started_alone(options: RunOptions, head: Head) -> None:
    """One line for who told it to stop behind its start."""
    text = f"pretrade-guard started and stopped: log {options.log_directory}, head {head.sequence}"
    announce(told("stopped", text, head_sequence=head.sequence))


def _settle_garbage_collector() -> None:
    """Takes the cycle collector off the path of orders.

    Every order leaves long-lived objects behind; walking them all, again and again, would stop the
    loop for tenths of a second. The path makes no reference cycles; what start-up or an odd error
    left is looked at while nothing is under way (`guard.server.housekeeping`), young objects alone.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def _bind_beside(
    options: RunOptions,
    clients: Clients | None,
    bind: Callable[[RunOptions, Clients | None], Listener | None],
) -> Listener | None:
    """An endpoint beside the orders'."""
    return None if options.then_stop else _bind(options, clients, bind)


def _bind(
    options: RunOptions,
    clients: Clients | None,
    bind: Callable[[RunOptions, Clients | None], BoundT],
) -> BoundT:
    try:
        return bind(options, clients)
    except (MissingLibraryError, EndpointError, DoorError) as error:
        raise StartError(str(error)) from error
