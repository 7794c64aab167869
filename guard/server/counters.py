"""What has passed since the start, counted. Pure.

Owns the counters' names (`guard/PROTOCOL.md` section 7 gives their meaning) and the bounds of the
histograms of syncs and of answers. Every bound of the daemon that an overload can reach has a
counter here, or one of the door's (`guard.server.listener`), which `as_reply` is given. Nothing
here decides or fails.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX, StatsReply

# Upper ends of the histogram's classes: from far below a good disk's sync to far above a bad one's.
SYNC_LATENCY_BOUNDS_NS: Final = (
    *(factor * 10**power for power in range(5, 10) for factor in (1, 2, 5)),
    10**10,
    I64_MAX,
)


@dataclass(slots=True)
class Counters:
    """Counts since the start; a name that ends in `_max` is the highest value seen."""

    messages: int = 0
    requests: int = 0
    request_errors: int = 0
    refused_disk_full: int = 0
    not_permitted: int = 0
    rejects: int = 0
    full_windows: int = 0
    full_fill_windows: int = 0
    uncharged_fees: int = 0
    records: int = 0
    batches: int = 0
    batches_on_loop: int = 0
    turns_polled: int = 0
    collections: int = 0
    collection_ns_max: int = 0
    batch_records_max: int = 0
    batch_bytes_max: int = 0
    logged_bytes: int = 0
    sync_latency_ns_sum: int = 0
    sync_latency_ns_max: int = 0
    answer_latency_ns_sum: int = 0
    answer_latency_ns_max: int = 0
    gathered_messages_max: int = 0
    gathered_bytes_max: int = 0
    pauses: int = 0
    messages_discarded: int = 0
    older_records_verified: int = 0
    older_damage: int = 0
    duty_failures: int = 0
    syncs_by_latency: list[int] = field(default_factory=lambda: [0] * len(SYNC_LATENCY_BOUNDS_NS))
    answers_by_latency: list[int] = field(default_factory=lambda: [0] * len(SYNC_LATENCY_BOUNDS_NS))

    def count_sync(self, record_count: int, batch_bytes: int, latency_ns: int) -> None:
        """A batch of records has become durable."""
        self.batch_records_max = max(self.batch_records_max, record_count)
        self.batch_bytes_max = max(self.batch_bytes_max, batch_bytes)
        self.logged_bytes += batch_bytes
        self.sync_latency_ns_sum += latency_ns
        self.sync_latency_ns_max = max(self.sync_latency_ns_max, latency_ns)
        self.syncs_by_latency[bisect_left(SYNC_LATENCY_BOUNDS_NS, latency_ns)] += 1

    def count_batch(self, message_count: int, byte_count: int, latency_ns: int) -> None:
        """The replies of a batch have left, so long after the first of its messages was taken."""
        self.batches += 1
        self.gathered_messages_max = max(self.gathered_messages_max, message_count)
        self.gathered_bytes_max = max(self.gathered_bytes_max, byte_count)
        if message_count:  # else nobody has waited for it
            self.answer_latency_ns_sum += latency_ns
            self.answer_latency_ns_max = max(self.answer_latency_ns_max, latency_ns)
            self.answers_by_latency[bisect_left(SYNC_LATENCY_BOUNDS_NS, latency_ns)] += 1

    def as_reply(self, **gauges: int) -> StatsReply:
        """All of it, and what else is to be told, as the reply to `stats`."""
        histograms = ("syncs_by_latency", "answers_by_latency")
        names = [name for name in Counters.__slots__ if name not in histograms]
        counters = {name: getattr(self, name) for name in names} | gauges
        syncs, answers = (
            list(zip(SYNC_LATENCY_BOUNDS_NS, getattr(self, name), strict=True))
            for name in histograms
        )
        return StatsReply(counters, syncs, answers_by_latency_ns=answers)


def held_counters(state: GuardState, counters: Counters) -> dict[str, int]:
    """Of what `stats` tells of decisions: what the state holds, and what was counted beside it."""
    return {
        "request_errors": counters.request_errors,
        "refused_disk_full": counters.refused_disk_full,
        "not_permitted": counters.not_permitted,
        "full_windows": counters.full_windows,
        "uncharged_fees": counters.uncharged_fees,
        "remembered_orders": len(state.orders),
        "remembered_orders_max": state.remembered_orders_max,
        "open_holds": state.ledger.active_reservations,
        "desks_halted": sum([desk.is_halted for desk in state.desks.values()]),
        "entries_halted": int(state.entries_halt is not None),
    }
