"""The parts of a running service, put together.

Owns what a service is told (`RunOptions`), what it has to do with (`Service`), and how the parts
beside the orders are connected: housekeeping, checkpoints, the disk's reserve, the watch over the
log. The order of its life is `guard.server.daemon`'s.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from guard import clock
from guard.cluster.quorum import Quorum
from guard.config.amending import AmendmentAsked
from guard.config.file import Config
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.state import GuardState
from guard.process.duties import Duty
from guard.process.line_forms import told
from guard.process.notify import ServiceNotifier
from guard.process.operator_lines import alarm, lines_not_said, say
from guard.process.signals import Signals
from guard.protocol.instruments import money_text
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.recovery.checkpoint_schedule import STOP_RECORDS_MIN, Checkpointer, CheckpointPlan
from guard.recovery.recover import Recovered
from guard.server.anchoring import AnchorPublisher
from guard.server.clients import Clients
from guard.server.disk_reserve import DiskReserve
from guard.server.housekeeping import Housekeeper
from guard.server.latch_alarms import LatchAlarms
from guard.server.limit_alarms import LimitAlarms
from guard.server.listener import Listener
from guard.server.log_watch import LogWatch
from guard.server.older_records import OlderRecords
from guard.server.pipeline import Pipeline
from guard.server.reconciling import Reconciling
from guard.server.silence import SilenceWatch
from guard.server.standing_alarms import (
    FullFills,
    StandingAlarms,
    SuspectOrders,
    words_of_clock,
    words_of_fills,
    words_of_jumps,
)
from wal import ChainHasher, EvolvingKey, Head, LogWriter, free_bytes


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
    amendments: tuple[AmendmentAsked, ...] = ()
    key_file: Path | None = None
    accept_clock: bool = False
    config_file: Path | None = None
    curve_key: bytes | None = None
    close_day: str | None = None
    curve_key_file: Path | None = None
    old_keys: tuple[bytes, ...] = ()
    evolving_key: EvolvingKey | None = None
    is_standby: bool = False
    take_over: bool = False

    @property
    def anchor_file(self) -> Path | None:
        """Where the log's head is published, if anywhere."""
        path = self.config.log.anchor_file
        return None if path is None else Path(path)


@dataclass(frozen=True, slots=True)
class Service:
    """What a session has to do with."""

    options: RunOptions
    signals: Signals
    recovered: Recovered
    engine: Engine
    writer: LogWriter
    hasher: ChainHasher
    gateway: Listener
    anchor: AnchorPublisher | None
    older: OlderRecords
    actor: Callable[[int, str], Actor]  # of so many staged records, and why
    admin: Listener | None = None
    feed: Listener | None = None
    clients: Clients | None = None
    quorum: Quorum | None = None
    limit_alarms: LimitAlarms = field(init=False)
    standing: StandingAlarms = field(
        init=False, default_factory=lambda: StandingAlarms(clock.monotonic_ns, say, alarm)
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit_alarms", LimitAlarms(self.engine.state, say, alarm))

    @property
    def is_anchor_synchronous(self) -> bool:
        """May no reply leave before the anchor has the record that it stands on?"""
        return self.anchor is not None and self.options.config.log.anchor_mode == "synchronous"

    def gauges(self) -> dict[str, int]:
        """What `stats` tells beside what is counted."""
        cluster = {} if self.quorum is None else self.quorum.gauges()
        return {"lines_not_said": lines_not_said(), **cluster}

    @property
    def is_fenced(self) -> bool:
        """May no reply leave before the cluster has shown that no other guard has taken over?"""
        cluster = self.options.config.cluster
        return cluster is not None and cluster.durability != "follow"

    @property
    def confirm(self) -> Callable[[Head], Awaitable[None]] | None:
        """What must have the durable head before a reply may leave, beside the log's own disk."""
        if self.quorum is not None:
            return self.quorum.confirm if self.is_fenced else self.quorum.keep_up
        return self.anchor.publish if self.anchor and self.is_anchor_synchronous else None


def make_housekeeper(
    service: Service,
    pipeline: Pipeline,
    notifier: ServiceNotifier,
    checkpointer: Checkpointer,
    duties: Sequence[Duty] = (),
) -> Housekeeper:
    writer = service.writer
    return Housekeeper(
        pipeline,
        notifier,
        None if service.is_anchor_synchronous else service.anchor,
        lambda: writer.durable_head,
        _look_after_log(service, pipeline, checkpointer),
        checkpointer.tick,
        say,
        alarm,
        [
            Duty(
                "the look at the clock and at the room for fills",
                _look_at_standing(service, pipeline),
            ),
            Duty(
                "the telling of fees that were not charged",
                partial(_tell_uncharged, pipeline, service.engine.state),
            ),
            Duty("the telling of executions of no order", partial(_tell_strays, pipeline)),
            Duty(
                "the look at what drop copies say",
                Reconciling(service.engine.state, clock.wall_ns, alarm).look,
            ),
            Duty("the telling of latches", LatchAlarms(service.engine.state, alarm).look),
            Duty("the look at limits that are nearly used", service.limit_alarms.look),
            Duty("the telling of what was not permitted", partial(_tell_denied, pipeline)),
            Duty("what time causes", lambda: pipeline.catch_up(clock.wall_ns())),
            Duty("the look at silent clients", _look_at_silent(service, pipeline)),
            *duties,
        ],
    )


def _look_at_standing(service: Service, pipeline: Pipeline) -> Callable[[], None]:
    """What an operator is told for as long as it lasts; `status` has a word of its own for clocks,
    and fills that were refused are over once they are told."""
    state, standing = service.engine.state, service.standing
    standing.watch(
        [
            lambda: words_of_fills(state),
            SuspectOrders(state, clock.wall_ns).words,
            lambda: words_of_jumps(pipeline.path.marks, clock.wall_ns()),
        ]
    )
    beside = StandingAlarms(clock.monotonic_ns, say, alarm)
    beside.watch(
        [
            lambda: words_of_clock(clock.wall_ns(), clock.system_ns(), state),
            FullFills(lambda: pipeline.counters.full_fill_windows).words,
        ]
    )

    def look() -> None:
        standing.look()
        beside.look()

    return look


def _look_at_silent(service: Service, pipeline: Pipeline) -> Callable[[], None]:
    clients, writer = service.clients, service.writer
    return SilenceWatch(
        service.engine.state,
        list if clients is None else clients.bound_to_silence,
        is_held_up=lambda: pipeline.is_stalled(NANOSECONDS_PER_SECOND),
        record=pipeline.record,
        actor=lambda why: service.actor(writer.staged_count, why),
        monotonic_ns=clock.monotonic_ns,
    ).look


def _tell_denied(pipeline: Pipeline) -> None:
    for text in pipeline.path.take_denied():
        say(f"not permitted: {text}")


def _tell_strays(pipeline: Pipeline) -> None:
    for trade, venue in pipeline.path.noted.take_strays():
        text = (
            f"execution {trade} at venue {venue} is of an order that is not known: it moves no "
            "position and no hold; if the order is the firm's, book it by hand (`pretrade-guard "
            "admin open-position`)"
        )
        alarm(told("execution_unknown", text, trade=trade, venue=venue))


def _tell_uncharged(pipeline: Pipeline, state: GuardState) -> None:
    for fill, fee_microcents in pipeline.path.noted.take_uncharged():
        is_known = any(fill.startswith(f"{desk}/") for desk in state.desks)
        remedy = (
            "a person has to accept it (`pretrade-guard admin accept`)"
            if is_known
            else "no desk has that name, and nothing can charge it"
        )
        text = (
            f"the fee of fill {fill} is recorded and not charged: {money_text(fee_microcents)}; "
            f"{remedy}"
        )
        alarm(told("fee_uncharged", text, fill=fill, fee_microcents=fee_microcents))


def make_checkpointer(service: Service, pipeline: Pipeline) -> Checkpointer:
    """Whoever writes checkpoints; the reserve of the disk, which records share with them."""
    log, checkpoint = service.options.config.log, service.recovered.checkpoint
    engine, writer = service.engine, service.writer
    reserve = DiskReserve(
        engine.state,
        writer,
        log.disk_reserve_bytes,
        free_bytes=partial(free_bytes, service.recovered.lock.directory_descriptor),
        record=pipeline.record,
        actor=lambda: service.actor(writer.staged_count, "disk space"),
        say=say,
        alarm=alarm,
    )
    checkpointer = Checkpointer(
        engine,
        writer,
        service.options.log_directory,
        service.hasher,
        CheckpointPlan(
            log.checkpoint_every_records,
            log.checkpoint_interval_s * NANOSECONDS_PER_SECOND,
            STOP_RECORDS_MIN if log.checkpoint_at_stop else 0,
            log.disk_reserve_bytes,
        ),
        last_sequence=0 if checkpoint is None else checkpoint.sequence,
        record=pipeline.record,
        actor=lambda why: service.actor(writer.staged_count, why),
        call_later=asyncio.get_running_loop().call_later,
        space_left=reserve.left,
        monotonic_ns=clock.monotonic_ns,
        say=say,
        alarm=alarm,
    )
    reserve.promise(checkpointer.promised_bytes, checkpointer.give_way)
    pipeline.watch_space(reserve.look)
    return checkpointer


def _look_after_log(
    service: Service, pipeline: Pipeline, checkpointer: Checkpointer
) -> Callable[[], None]:
    """What is looked at once a second of the log's disk and its directory."""
    watch = LogWatch(
        service.writer,
        service.options.log_directory,
        service.hasher,
        None if service.options.evolving_key is not None else service.options.key_file,
        has_checkpoints=lambda: checkpointer.last_sequence > 0,
        monotonic_ns=clock.monotonic_ns,
        fail=pipeline.fail,
        alarm=alarm,
    )

    def look() -> None:
        pipeline.look_at_space()
        watch.look()

    return look
