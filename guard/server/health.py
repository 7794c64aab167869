"""How the process is, as `health` shows it: collected from the parts that know.

Owns the names of the figures (`guard/ADMIN.md`). What of it is a trouble, `guard.admin.troubles`
says. Reads only; what the system refuses to say is -1.
"""

from typing import Final

from guard import __version__, clock
from guard.admin.latch_actions import latch_lines
from guard.admin.messages import ADMIN_VERSION, HealthReply, LimitUse
from guard.admin.troubles import troubles_of
from guard.engine.latches import OF_ALL
from guard.engine.limit_use import key_of
from guard.engine.state import GuardState
from guard.process.operator_lines import lines_not_said
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.recovery.checkpoint_schedule import Checkpointer
from guard.server.pipeline import Pipeline
from guard.server.reconciling import overdue_count
from guard.server.service import Service
from wal import free_bytes

NAMES_MAX: Final = 1_000  # of halted desks and symbols, in one reply
_UNKNOWN: Final = -1


def health_of(
    service: Service, pipeline: Pipeline, checkpointer: Checkpointer, is_serving: bool
) -> HealthReply:
    """The reply, as of now."""
    nearly_used = service.limit_alarms.lines()
    state, writer = service.engine.state, service.writer
    head = writer.durable_head
    halted = sorted(name for name, desk in state.desks.items() if desk.is_stopped)
    reducing = sorted(
        name
        for name, desk in state.desks.items()
        if desk.is_halted
        or desk.is_reducing
        or state.positions.surplus_of(desk.share) > 0
        or state.is_latched(name, OF_ALL)
    )
    reply = HealthReply(
        admin_version=ADMIN_VERSION,
        software_version=__version__,
        log_id=state.log_id,
        epoch=state.epoch,
        endpoint=service.gateway.endpoint,
        log_directory=str(service.options.log_directory),
        head_sequence=head.sequence,
        head_hash=head.entry_hash,
        is_serving=is_serving,
        is_firm_halted=state.is_firm_stopped,
        desks_halted=halted[:NAMES_MAX],
        symbols_halted=sorted(state.stopped_symbols)[:NAMES_MAX],
        is_firm_reducing=state.is_firm_reducing or state.is_latched(OF_ALL, OF_ALL),
        desks_reducing=reducing[:NAMES_MAX],
        symbols_reducing=sorted(state.reducing_symbols)[:NAMES_MAX],
        names_halted=named(state, state.stopped_names, "is_stopped")[:NAMES_MAX],
        names_reducing=named(state, state.reducing_names, "is_reducing")[:NAMES_MAX],
        latches=latch_lines(state.latches)[:NAMES_MAX],
        limits_nearly_used=nearly_used[:NAMES_MAX],
        limits_used=[
            LimitUse(key_of(use), said, desk, symbol, use.used, use.most)
            for use in service.limit_alarms.worst()
            for said, _, desk, symbol in [use.place]
        ],
        standing=service.standing.lines(),
        entries_halted=None if state.entries_halt is None else state.entries_halt.reason,
        figures={
            **_figures(service, pipeline, checkpointer),
            "limits_nearly_used": len(nearly_used),
            "latches": len(state.latches),
            "desks_reducing": len(reducing),
        },
        troubles=[],
    )
    reply.troubles = troubles_of(reply)
    return reply


def named(state: GuardState, names: set[tuple[str, str]], flag: str) -> list[str]:
    """The accounts of which that is so, and those others: which, and the name."""
    accounts = [f"account {one.name}" for one in state.accounts.all() if getattr(one, flag)]
    return accounts + [f"{scope} {name}" for scope, name in sorted(names)]


def _figures(service: Service, pipeline: Pipeline, checkpointer: Checkpointer) -> dict[str, int]:
    state, writer, log = service.engine.state, service.writer, service.options.config.log
    head, now_ns = writer.durable_head, clock.monotonic_ns()
    anchor, feed = service.anchor, service.feed
    return {
        "uptime_ns": pipeline.uptime_ns(),
        "batch_waiting_ns": pipeline.batch_waiting_ns(),
        "last_sync_ns": 0 if writer.last_sync is None else writer.last_sync.latency_ns,
        "disk_left_bytes": _left(service),
        "disk_reserve_bytes": log.disk_reserve_bytes,
        "clock_behind_ns": max(0, state.last_received_at_ns - clock.system_ns()),
        "checkpoint_sequence": checkpointer.last_sequence,
        "checkpoint_age_ns": now_ns - checkpointer.last_taken_ns,
        "checkpoint_interval_ns": log.checkpoint_interval_s * NANOSECONDS_PER_SECOND,
        "records_since_checkpoint": head.sequence - checkpointer.last_sequence,
        "anchor_sequence": _UNKNOWN if anchor is None else anchor.published_sequence,
        "anchor_behind_ns": 0 if anchor is None else anchor.behind_ns(head, now_ns),
        "desks": len(state.desks),
        "instruments": len(state.instruments),
        "open_orders": state.ledger.active_reservations + state.positions.open_exits,
        "remembered_orders": len(state.orders),
        "remembered_orders_max": state.remembered_orders_max,
        "actions_remembered": len(state.actions),
        "fills_unconfirmed": len(state.executions.unconfirmed),
        "executions_unreported": len(state.executions.unreported),
        "unreconciled_overdue": overdue_count(state, clock.wall_ns()),
        "connections": service.gateway.counts()["connections"],
        "feed_connections": 0 if feed is None else feed.counts()["connections"],
        "feed_unsent_bytes": 0 if feed is None else feed.backlog.bytes,
        "lines_not_said": lines_not_said(),
    }


def _left(service: Service) -> int:
    try:
        return free_bytes(service.recovered.lock.directory_descriptor)
    except OSError:
        return _UNKNOWN
