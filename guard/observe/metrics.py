"""The picture as metrics, in the exposition formats of Prometheus.

Owns the names, which follow its conventions: base units (seconds, bytes; units of the guard's
currency, which `pretrade_guard_currency_info` names), `_total` for what only grows, labels of few
values, no ids among them. Counts of records are since the observer began, counts of the daemon
since the daemon did: both may begin anew, as counters do.

Of a daemon that does not answer nothing is said but that: figures of an hour ago would look alive.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from guard.admin.messages import DeskLine, HealthReply
from guard.admin.troubles import KINDS
from guard.engine.limit_use import used_ratio
from guard.observe.picture import Picture, use_of
from guard.observe.readiness import WORDS
from guard.protocol.instruments import MICROCENTS_PER_CURRENCY_UNIT
from guard.protocol.messages import I64_MAX, StatsReply

PREFIX: Final = "pretrade_guard_"
_NS: Final = 1e9

# Of `health`: the figure, the metric, what it is divided by, what it says. Below 0 it is unknown.
_FIGURES: Final = (
    ("uptime_ns", "uptime_seconds", _NS, "Since the daemon began to serve."),
    ("batch_waiting_ns", "batch_waiting_seconds", _NS, "How long the disk has not answered for."),
    ("last_sync_ns", "last_sync_seconds", _NS, "How long the last write and sync took."),
    ("clock_behind_ns", "clock_behind_seconds", _NS, "The clock stands before the newest record."),
    ("checkpoint_age_ns", "checkpoint_age_seconds", _NS, "Since the last checkpoint."),
    (
        "checkpoint_interval_ns",
        "checkpoint_interval_seconds",
        _NS,
        "After how long one is due; 0: not by time.",
    ),
    (
        "records_since_checkpoint",
        "records_since_checkpoint",
        1,
        "Records that a start would read behind the last checkpoint.",
    ),
    ("disk_left_bytes", "disk_free_bytes", 1, "Free on the log's disk."),
    ("disk_reserve_bytes", "disk_reserve_bytes", 1, "Below that much free entries are halted."),
    ("open_orders", "open_orders", 1, "Orders that hold exposure."),
    ("remembered_orders", "remembered_orders", 1, "Order ids that are remembered."),
    ("remembered_orders_max", "remembered_orders_max", 1, "How many order ids may be."),
    ("connections", "connections", 1, "Connections at the orders' door."),
    ("limits_nearly_used", "limits_nearly_used", 1, "Limits of which warn_percent is used."),
    ("latches", "latches", 1, "Latches that are set."),
    ("desks_reducing", "desks_reducing", 1, "Desks that may but reduce positions."),
    ("desks", "desks", 1, "Desks."),
    ("instruments", "instruments", 1, "Instruments."),
)
# Of `stats`: the counter, the metric, what it says.
_COUNTERS: Final = (
    ("messages", "messages", "Messages read."),
    ("requests", "requests", "Requests in them."),
    ("request_errors", "request_errors", "Requests that were answered by an error."),
    ("rejects", "rejects", "Orders refused, as the daemon counts."),
    ("refused_disk_full", "disk_full_errors", "Errors because the disk takes no record."),
    ("records", "records", "Records logged."),
    ("logged_bytes", "log_written_bytes", "Bytes of the log that were made durable."),
    ("uncharged_fees", "uncharged_fees", "Fills whose fee was not charged."),
    ("duty_failures", "duty_failures", "Duties beside the orders that failed."),
    ("lines_not_said", "lines_not_said", "Lines of the daemon that nobody took."),
    ("pauses", "pauses", "Times that nothing was read because too much waited for the disk."),
    ("replies_dropped_slow", "replies_dropped_slow", "Replies dropped: the client did not read."),
    ("cluster_commits", "cluster_commits", "Rows of the log that a quorum has committed."),
    ("cluster_beats", "cluster_beats", "Signs of life that a quorum has committed."),
    (
        "cluster_epochs_begun_again",
        "cluster_epochs_begun_again",
        "Times that a statement's outcome was unknown, and the next epoch began.",
    ),
)
# The same of a guard with a cluster, as it is now: the metric, what it is divided by, what it says.
_CLUSTER: Final = (
    ("cluster_epoch", "cluster_epoch", 1, "The epoch in which it writes."),
    ("cluster_lag_records", "cluster_lag_records", 1, "Records that no quorum has yet."),
    ("cluster_lag_bytes", "cluster_lag_bytes", 1, "Their bytes."),
    ("cluster_commit_ns_last", "cluster_commit_last_seconds", _NS, "The quorum's last commit."),
    ("cluster_commit_ns_max", "cluster_commit_max_seconds", _NS, "The longest one."),
    ("cluster_waiting_ns", "cluster_waiting_seconds", _NS, "How long one is under way already."),
    ("cluster_fenced", "cluster_fenced", 1, "Has another guard taken over?"),
)
# Of a desk, all in units of currency: the metric, what it says, how it is had.
_DESK_MONEY: Final[tuple[tuple[str, str, Callable[[DeskLine], int | None]], ...]] = (
    ("granted", "Budget.", lambda desk: desk.granted_microcents),
    ("held", "Held by open orders.", lambda desk: desk.held_microcents),
    ("spent", "Spent on fees.", lambda desk: desk.spent_microcents),
    ("remaining", "Budget neither held nor spent.", lambda desk: desk.remaining_microcents),
    ("cap", "Cap of what is held, where there is one.", lambda desk: desk.max_reserved_microcents),
    ("unpaid_fees", "Fees owed.", lambda desk: desk.unpaid_fees_microcents),
    (
        "exposure_gross",
        "Positions and all that works, at the recorded prices.",
        lambda desk: desk.exposure_gross_microcents,
    ),
    ("day_profit", "Made since the day's turn.", lambda desk: desk.day_profit_microcents),
)


class PictureCollector(Collector):
    """Gives out a picture, as it is when it is asked for."""

    def __init__(self, picture: Picture, now_ns: Callable[[], int]) -> None:
        self._picture = picture
        self._now_ns = now_ns

    def collect(self) -> Iterator[Any]:
        """Every metric there is now."""
        picture, now_ns = self._picture, self._now_ns()
        unready = picture.unready(now_ns)
        is_up = "silent" not in unready
        yield _gauge("up", "Does the daemon answer?", is_up)
        yield _gauge("ready", "Is it ready for orders?", not unready)
        yield _labeled("not_ready", "Why not.", "reason", {word: word in unready for word in WORDS})
        silent_s = picture.silent_ns(now_ns) / _NS
        yield _gauge("silent_seconds", "Since the daemon answered last.", silent_s)
        yield from _of_records(picture)
        health, stats = picture.health, picture.stats
        if is_up and health is not None:
            yield from _of_health(picture, health)
            yield from _of_desks(picture)
            if stats is not None:
                yield from _of_stats(stats)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, float(value))


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, float(value))


def _labeled(name: str, text: str, label: str, values: dict[str, bool]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[label])
    for word, value in values.items():
        family.add_metric([word], float(value))
    return family


def _of_records(picture: Picture) -> Iterator[Any]:
    """What was counted of records."""
    tally = picture.tally
    orders = CounterMetricFamily(
        f"{PREFIX}orders", "Orders decided.", labels=["verdict", "stage", "reason"]
    )
    for key, count in tally.orders.items():
        orders.add_metric(key, count)
    yield orders
    yield _counter("substituted_orders", "Orders admitted to another venue.", tally.substituted)
    yield _counter("fills", "Fills recorded.", tally.fills)
    for name, text, label, counts in (
        ("fill_flags", "Fills by what was told of them.", "flag", tally.fill_flags),
        ("events", "Records of what no request asked for.", "event", tally.events),
    ):
        family = CounterMetricFamily(PREFIX + name, text, labels=[label])
        for word, count in counts.items():
            family.add_metric([word], count)
        yield family
    yield _counter("cancels", "Cancels recorded.", tally.cancels)
    yield _counter("feed_records", "Records that the observer has counted.", tally.records)
    yield _counter("feed_unreadable", "Lines that were no record.", tally.unreadable)
    yield _counter("feed_gaps", "Times that records could not be had.", picture.feed_gaps)
    yield _gauge(
        "feed_sequence", "The record that the observer has read last.", tally.last_sequence
    )
    failing = bool(picture.feed_error)
    yield _gauge("feed_failing", "Can the observer read no records?", failing)


def _of_health(picture: Picture, health: HealthReply) -> Iterator[Any]:
    figures = health.figures
    yield _gauge("serving", "Does it take orders?", health.is_serving)
    for figure, name, unit, text in _FIGURES:
        if figures.get(figure, -1) >= 0:
            yield _gauge(name, text, figures[figure] / unit)
    yield _gauge("head_sequence", "The last record that is on disk.", health.head_sequence)
    behind = max(0, health.head_sequence - picture.tally.last_sequence)
    yield _gauge("feed_behind_records", "Records that the observer has not read yet.", behind)
    if figures.get("anchor_sequence", -1) >= 0:
        yield _gauge(
            "anchor_behind_seconds",
            "For how long the log has had records that the anchor has not.",
            figures["anchor_behind_ns"] / _NS,
        )
        yield _gauge("anchor_sequence", "The record of the anchor.", figures["anchor_sequence"])
    yield _gauge("firm_halted", "Has a person halted all entries?", health.is_firm_halted)
    yield _gauge("firm_reducing", "May all desks but reduce positions?", health.is_firm_reducing)
    yield _gauge(
        "symbols_reducing",
        "Symbols in which positions may but be reduced.",
        len(health.symbols_reducing),
    )
    yield _gauge(
        "standing_alarms",
        "Alarms that last: suspect orders, marks that jumped, fills without room.",
        len(health.standing),
    )
    used = GaugeMetricFamily(
        f"{PREFIX}limit_used_ratio",
        "Of each key of limits the greatest share that anybody uses of theirs.",
        labels=["limit"],
    )
    for use in health.limits_used:
        used.add_metric([use.limit.replace(" ", "_")], used_ratio(use.used, use.bound))
    yield used
    is_halted = health.entries_halted is not None
    yield _gauge("entries_halted", "Has the disk halted all entries?", is_halted)
    yield _gauge("desks_halted", "Desks that are halted.", len(health.desks_halted))
    yield _gauge("symbols_halted", "Symbols that are halted.", len(health.symbols_halted))
    text = "Accounts, traders and algorithms that are halted."
    yield _gauge("names_halted", text, len(health.names_halted))
    found = picture.troubles()
    kinds = {kind: kind in found for kind in KINDS}
    yield _labeled("trouble", "What is wrong, by kind: `status` says more.", "kind", kinds)
    currency = picture.currency
    if currency:
        text = "The currency of all amounts."
        yield InfoMetricFamily(f"{PREFIX}currency", text, {"currency": currency})


def _of_desks(picture: Picture) -> Iterator[Any]:
    desks = picture.desk_lines()
    for name, text, had in _DESK_MONEY:
        family = GaugeMetricFamily(f"{PREFIX}desk_{name}_currency_units", text, labels=["desk"])
        for desk in desks:
            microcents = had(desk)
            if microcents is not None:
                family.add_metric([desk.desk], microcents / MICROCENTS_PER_CURRENCY_UNIT)
        yield family
    used = GaugeMetricFamily(
        f"{PREFIX}desk_used_ratio",
        "Of the budget what is held and spent, or of the cap what is held: the greater.",
        labels=["desk"],
    )
    halted = GaugeMetricFamily(f"{PREFIX}desk_halted", "May it enter no orders?", labels=["desk"])
    for desk in desks:
        used.add_metric([desk.desk], use_of(desk) / 1_000)
        halted.add_metric([desk.desk], float(desk.state == "halted"))
    yield used
    yield halted


def _of_stats(stats: StatsReply) -> Iterator[Any]:
    counters = stats.counters
    for counter, name, text in _COUNTERS:
        if counter in counters:
            yield _counter(name, text, counters[counter])
    for counter, name, unit, text in _CLUSTER:
        if counter in counters:
            yield _gauge(name, text, counters[counter] / unit)
    yield _histogram(
        "sync_latency_seconds",
        "How long batches took to write and sync.",
        stats.syncs_by_latency_ns,
        counters.get("sync_latency_ns_sum", 0),
    )
    if stats.answers_by_latency_ns:
        yield _histogram(
            "answer_latency_seconds",
            "Of each batch, from when its first message was taken in until its replies left.",
            stats.answers_by_latency_ns,
            counters.get("answer_latency_ns_sum", 0),
        )
    if stats.build:
        yield InfoMetricFamily(f"{PREFIX}build", "What the daemon runs.", stats.build)


def _histogram(
    name: str, text: str, classes: list[tuple[int, int]], sum_ns: int
) -> HistogramMetricFamily:
    buckets, total = [], 0
    for end_ns, count in classes:
        total += count
        if end_ns < I64_MAX:
            buckets.append((repr(end_ns / _NS), float(total)))
    buckets.append(("+Inf", float(total)))
    return HistogramMetricFamily(PREFIX + name, text, buckets, sum_ns / _NS)


class Metrics:
    """The page that a monitoring system fetches."""

    def __init__(self, picture: Picture, now_ns: Callable[[], int]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(PictureCollector(picture, now_ns))
        ProcessCollector(registry=self._registry)  # of the observer's own process

    def page(self, accept: str) -> tuple[bytes, str]:
        """Its bytes and their type, in the format that the asker accepts."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
