"""The picture of a guard: what its records and its replies say, put together. Pure.

Owns all that is known, and hands it out as plain data (dicts, lists, integers, text: what JSON
has), for a page, for a terminal, for whoever else shows it. Every time that comes in is a caller's.

    picture = Picture(now_ns)
    picture.take_lines(lines, now_ns)                 # durable records, as a log or a feed has them
    picture.take_health(health, now_ns)               # replies of the admin endpoint
    picture.take_stats(stats, now_ns)
    picture.take_desks(every_desk_line, now_ns)
    picture.take_configuration(configuration)         # once a session of the daemon
    picture.note_silence("no answer within 5 s")      # an ask that failed
    picture.now(now_ns)                               # the state of things
    picture.desks()                                   # a row a desk, who uses most first
    picture.seconds(now_ns), picture.minutes(now_ns)  # series
    picture.exposure("desk-alpha", now_ns)            # a desk's day

Money is in microcents, times are nanoseconds since 1970-01-01 UTC, ages nanoseconds. It grows with
the number of desks and with nothing else.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from guard.admin.messages import ConfigurationReply, DeskLine, HealthReply
from guard.admin.troubles import troubles_by_kind
from guard.audit.record_lines import Memory
from guard.observe.exposure import DayExposure
from guard.observe.latency import Classes, percentile, since
from guard.observe.limit_rows import limit_rows
from guard.observe.readiness import unready
from guard.observe.series import MINUTE_NS, MINUTES_KEPT, SECOND_NS, SECONDS_KEPT, Ring
from guard.observe.tally import COLUMNS, Tally
from guard.observe.wording import halt_row, reject_row
from guard.protocol.messages import StatsReply

# What a second or a minute has: the counts of `COLUMNS`, then these, in ns, None where nothing was.
LATENCIES: Final = ("answer_p50", "answer_p99", "sync_p50", "sync_p99", "sent_max")
SERIES_COLUMNS: Final = ("begin_ns", *COLUMNS, *LATENCIES)
_EMPTY: Final = (*(0 for _ in COLUMNS), *(None for _ in LATENCIES))
_SENT_AT: Final = len(COLUMNS) + LATENCIES.index("sent_max")
# Of `stats`: a histogram, the counter of its greatest, its first column.
_HISTOGRAMS: Final = (
    ("answers_by_latency_ns", "answer_latency_ns_max", len(COLUMNS)),
    ("syncs_by_latency_ns", "sync_latency_ns_max", len(COLUMNS) + 2),
)
_FUTURE_NS: Final = 2 * SECOND_NS
_UNBOUNDED: Final = 2**62


class Picture:
    """All that is known of one daemon. One thread's."""

    def __init__(self, now_ns: int) -> None:
        """`now_ns`: the time at which it begins to count."""
        self.began_ns: Final = now_ns
        self.tally: Final = Tally()
        self.health: HealthReply | None = None
        self.stats: StatsReply | None = None
        self.error = ""  # what asking said last; "" where there was an answer
        self.feed_error = ""  # the same of the records
        self.feed_gaps = 0
        self._answered_ns = now_ns
        self._configuration: ConfigurationReply | None = None
        self._desks: list[DeskLine] = []
        self._exposure = DayExposure()
        self._rings = (Ring(SECOND_NS, SECONDS_KEPT, _EMPTY), Ring(MINUTE_NS, MINUTES_KEPT, _EMPTY))
        # Of the minute that lasts: each histogram's counts.
        self._minute: tuple[int, dict[str, dict[int, int]]] = (0, {})
        self._memory = Memory(orders_max=1)
        self._words: dict[bytes, dict[str, Any]] = {}

    # -- what comes in ---------------------------------------------------------------------------

    def begin_log(self, sequence: int) -> None:
        """Records of a log begin to come. Those before that one are shown in the series and among
        the newest, and not counted."""
        self.tally.counted_from = sequence
        self.tally.last_sequence = 0

    def take_lines(self, lines: Iterable[bytes], now_ns: int) -> None:
        """Durable records in their order, a line each."""
        late_ns = now_ns + _FUTURE_NS
        found: dict[int, list[int]] = {}  # by the second: the counts, and the slowest on its way
        for column, received_at_ns, sent_ns in self.tally.take(lines):
            # At its own time; at ours where a clock says what cannot be.
            second = (received_at_ns if received_at_ns <= late_ns else now_ns) // SECOND_NS
            counts = found.get(second)
            if counts is None:
                counts = found[second] = [0] * (len(COLUMNS) + 2)
            counts[column] += 1
            if sent_ns is not None and received_at_ns - sent_ns > counts[-1]:
                counts[-1] = received_at_ns - sent_ns
        for second, counts in found.items():
            for ring in self._rings:
                self._place(ring.row(second * SECOND_NS), counts)

    @staticmethod
    def _place(row: list[int | None] | None, counts: list[int]) -> None:
        if row is None:
            return
        for at in range(len(COLUMNS)):
            row[at] = (row[at] or 0) + counts[at]
        if counts[-1]:
            row[_SENT_AT] = max(row[_SENT_AT] or 0, counts[-1])

    def take_health(self, health: HealthReply, now_ns: int) -> None:
        """The daemon's health, as of now."""
        before = self.health
        if before is not None and (before.log_id, before.epoch) != (health.log_id, health.epoch):
            self._configuration = None  # another session: to be asked for again
        self.health, self.error, self._answered_ns = health, "", now_ns

    def take_stats(self, stats: StatsReply, now_ns: int) -> None:
        """What the daemon has counted: what came since the last look is this second's."""
        before, self.stats = self.stats, stats
        if before is None:
            return
        minute = now_ns // MINUTE_NS
        if self._minute[0] != minute:
            self._minute = (minute, {})
        for name, greatest, column in _HISTOGRAMS:
            greatest_ns = stats.counters.get(greatest, _UNBOUNDED)
            fresh = since(getattr(stats, name), getattr(before, name))
            self._place_times(self._rings[0].row(now_ns), column, fresh, greatest_ns)
            counts = self._minute[1].setdefault(name, {})
            for end_ns, count in fresh:
                counts[end_ns] = counts.get(end_ns, 0) + count
            of_minute = sorted(counts.items())
            self._place_times(self._rings[1].row(now_ns), column, of_minute, greatest_ns)

    @staticmethod
    def _place_times(
        row: list[int | None] | None, column: int, classes: Classes, greatest_ns: int
    ) -> None:
        if row is not None:
            for at, of_1_000 in enumerate((500, 990), column):
                row[at] = percentile(classes, of_1_000, greatest_ns)

    def take_desks(self, desks: list[DeskLine], now_ns: int) -> None:
        """Every desk's balances, as of now."""
        self._desks = desks
        for desk in desks:
            self._exposure.note(desk, now_ns)
        self._exposure.keep_only({desk.desk for desk in desks})

    def take_configuration(self, configuration: ConfigurationReply) -> None:
        """Currency and instruments, by which records are worded."""
        self._configuration = configuration
        self._memory.instruments = {
            one.symbol: msgspec.to_builtins(one) for one in configuration.instruments
        }
        self._words.clear()

    @property
    def has_configuration(self) -> bool:
        """Is what is in force known, of this session of the daemon?"""
        return self._configuration is not None

    @property
    def currency(self) -> str:
        """Of all amounts; "" before it is known."""
        return "" if self._configuration is None else self._configuration.currency

    @property
    def instruments(self) -> dict[str, Any]:
        """Instruments by symbol, with their sizes."""
        return self._memory.instruments

    def note_silence(self, error: str) -> None:
        """An ask was not answered."""
        self.error = error

    # -- what is shown ---------------------------------------------------------------------------

    def now(self, now_ns: int) -> dict[str, Any]:
        """The state of things: all but the desks' rows and the series.

        `daemon` is null before its first answer; after one it stays as it was then, and `silent_ns`
        says how long ago that is.
        """
        health = self.health
        behind = 0 if health is None else health.head_sequence - self.tally.last_sequence
        return {
            "at_ns": now_ns,
            "began_ns": self.began_ns,
            "silent_ns": self.silent_ns(now_ns),
            "error": self.error,
            "unready": self.unready(now_ns),
            "troubles": self.troubles(),
            "daemon": None if health is None else _daemon_data(health),
            "currency": self.currency,
            "feed": {
                "sequence": self.tally.last_sequence,
                "behind_records": max(0, behind),
                "gaps": self.feed_gaps,
                "error": self.feed_error,
            },
            "limits": [] if health is None else limit_rows(health.limits_used),
            "totals": self._totals(),
            "rejects": self._in_words(self.tally.rejects),
            "halts": self._in_words(self.tally.halts),
        }

    def silent_ns(self, now_ns: int) -> int:
        """Since the daemon answered last; since we began, before it ever did."""
        return max(0, now_ns - self._answered_ns)

    def unready(self, now_ns: int) -> dict[str, str]:
        """Why the guard is not ready for orders, by word; nothing where it is."""
        return unready(self.health, self.silent_ns(now_ns), self.error)

    def troubles(self) -> dict[str, str]:
        """What is wrong and what to do, by kind, the worst first."""
        return {} if self.health is None else troubles_by_kind(self.health)

    def desk_lines(self) -> list[DeskLine]:
        """Every desk as the daemon said it, by name."""
        return self._desks

    def desks(self) -> list[dict[str, Any]]:
        """A row a desk, who uses most of what it may first: its balances, and its use.

        `use_per_mille`: of its budget what is held and spent, or of its cap what is held, whichever
        is more.
        """
        rows = [
            {**msgspec.to_builtins(desk), "use_per_mille": use_of(desk)} for desk in self._desks
        ]
        rows.sort(key=_by_use)
        return rows

    def seconds(self, now_ns: int, count: int | None = None) -> list[list[int | None]]:
        """Rows of `SERIES_COLUMNS`, one for each of the last seconds that are over."""
        return self._rings[0].rows(now_ns, count)

    def minutes(self, now_ns: int) -> list[list[int | None]]:
        """The same by the minute, of a day, the one that has begun included."""
        return self._rings[1].rows(now_ns + MINUTE_NS)

    def exposure(self, desk: str, now_ns: int) -> dict[str, Any]:
        """A desk's day: rows as the report's (`guard.audit.exposure`), and their width."""
        rows = self._exposure.series(desk, now_ns)
        return {"desk": desk, "bucket_width_ns": self._exposure.width_ns, "rows": rows}

    def _totals(self) -> dict[str, Any]:
        tally = self.tally
        orders = [[*key, count] for key, count in sorted(tally.orders.items()) if count]
        return {
            "orders": orders,  # verdict, stage, reason, how many
            "fills": tally.fills,
            "cancels": tally.cancels,
            "records": tally.records,
            "unreadable": tally.unreadable,
        }

    def _in_words(self, lines: Iterable[bytes]) -> list[dict[str, Any]]:
        """The newest first; each is worded once."""
        is_reject = lines is self.tally.rejects
        kept, shown = {*self.tally.rejects, *self.tally.halts}, []
        for gone in self._words.keys() - kept:
            del self._words[gone]
        for line in lines:
            row = self._words.get(line)
            if row is None:
                row = reject_row(line, self._memory) if is_reject else halt_row(line)
                self._words[line] = row
            shown.append(row)
        return shown[::-1]


def _by_use(row: dict[str, Any]) -> tuple[int, int, str]:
    used = row["held_microcents"] + row["spent_microcents"]
    return -row["use_per_mille"], -used, row["desk"]


def use_of(desk: DeskLine) -> int:
    """How much a desk uses of what it may, in thousandths: of its budget or cap, the greater."""
    held, spent = desk.held_microcents, desk.spent_microcents
    of_budget = _per_mille(held + spent, desk.granted_microcents)
    return max(of_budget, _per_mille(held, desk.max_reserved_microcents or 0))


def _per_mille(part: int, whole: int) -> int:
    if whole <= 0:
        return 0
    return max(0, 1_000 * part // whole)


def _daemon_data(health: HealthReply) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(health)
    for name in ("type", "request_id", "troubles", "limits_used"):
        data.pop(name, None)
    return data
