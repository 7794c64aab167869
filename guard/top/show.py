"""What a terminal shows of a guard's picture: lines and rows of text, 80 columns. Pure.

Owns the words and their widths. Takes the plain data that `guard.observe.picture` hands out.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from guard.observe.picture import SERIES_COLUMNS
from guard.observe.tally import COLUMNS
from guard.protocol.instruments import MICROCENTS_PER_CURRENCY_UNIT

BAR_COLUMNS: Final = 8
_MONEY_COLUMNS: Final = 9
_MONEY: Final = (
    "held_microcents",
    "spent_microcents",
    "remaining_microcents",
    "max_reserved_microcents",
)
DESK_COLUMNS: Final = (
    ("desk", 14),
    ("state", 9),
    ("use", 7),
    ("", BAR_COLUMNS + 1),
    ("     held", _MONEY_COLUMNS + 1),
    ("    spent", _MONEY_COLUMNS + 1),
    ("     left", _MONEY_COLUMNS + 1),
    ("      cap", _MONEY_COLUMNS + 1),
)
DESKS_SHOWN_MAX: Final = 500
REJECTS_SHOWN: Final = 5
LIMITS_SHOWN: Final = 3
RATE_SECONDS: Final = 10

_S_NS: Final = 1_000_000_000
_SCALE: Final = ((1_000_000_000, "G"), (1_000_000, "M"))


def short_money(microcents: int | None) -> str:
    """Money in nine columns: with cents, with none from 100,000 on, then its first five digits."""
    if microcents is None:
        return "none"
    sign = "-" if microcents < 0 else ""
    whole, rest = divmod(abs(microcents), MICROCENTS_PER_CURRENCY_UNIT)
    for least, letter in _SCALE:
        if whole >= least:
            thousandths = whole * 1_000 // least
            text = f"{thousandths // 1_000}.{thousandths % 1_000:03}"[:6]
            return f"{sign}{text}{letter}"
    if whole >= 100_000:
        return f"{sign}{whole:,}"
    return f"{sign}{whole:,}.{100 * rest // MICROCENTS_PER_CURRENCY_UNIT:02}"


def title(now: dict[str, Any], endpoint: str) -> str:
    """Which guard, and is it serving."""
    daemon = now["daemon"]
    time = datetime.fromtimestamp(now["at_ns"] // _S_NS, UTC).strftime("%H:%M:%S UTC")
    if daemon is None:
        return f"{time}  nobody has answered at {endpoint}"
    state = "serving" if daemon["is_serving"] else "STOPPING"
    if now["silent_ns"] > 3 * _S_NS:
        state = f"SILENT for {now['silent_ns'] // _S_NS} s"
    if daemon["is_firm_halted"]:
        state += ", ALL DESKS HALTED"
    return f"{time}  {state}  log {daemon['log_id'][:8]}, head {daemon['head_sequence']:,}"


def figures(now: dict[str, Any], seconds: Sequence[Sequence[int | None]]) -> list[str]:
    """Rates, latency and ages, a line each."""
    rates = _rates(seconds[-RATE_SECONDS:])
    daemon = now["daemon"]
    if daemon is None:
        return [rates]
    of = daemon["figures"]
    ages = [f"checkpoint {_age(of['checkpoint_age_ns'])} ago"]
    if of["anchor_sequence"] >= 0:
        ages.append(f"anchor {max(0, daemon['head_sequence'] - of['anchor_sequence'])} behind")
    if of["disk_left_bytes"] >= 0:
        ages.append(f"disk {of['disk_left_bytes'] / 2**30:,.1f} GiB left")
    ages.append(f"{of['open_orders']:,} open orders")
    return [rates, ", ".join(ages), *_limits(now)]


def _limits(now: dict[str, Any]) -> list[str]:
    """The limits of which the most is used, in a line, where any are configured."""
    shown = []
    for row in now["limits"][:LIMITS_SHOWN]:
        use = row["use_per_mille"]
        share = "all" if use is None else f"{use / 10:.1f}%"
        who = row["said_by"] if row["used_by"] == "–" else f"{row['said_by']}: {row['used_by']}"
        shown.append(f"{row['limit']} {share} ({who})")
    return [f"limits: {', '.join(shown)}"] if shown else []


def _rates(rows: Sequence[Sequence[int | None]]) -> str:
    """Means of the last seconds that are over; the slowest of their syncs."""
    if not rows:
        return "nothing is counted yet"
    total = [sum(row[at + 1] or 0 for row in rows) for at in range(len(COLUMNS))]
    by_name = dict(zip(COLUMNS, total, strict=True))
    rejected = sum(count for name, count in by_name.items() if name.startswith("rejected"))
    orders, each = by_name["admitted"] + rejected, len(rows)
    text = (
        f"{orders / each:,.1f} orders/s, {rejected / each:,.1f} rejects/s, "
        f"{by_name['fills'] / each:,.1f} fills/s"
    )
    slowest = [
        max((row[SERIES_COLUMNS.index(name)] or 0 for row in rows), default=0)
        for name in ("sync_p50", "sync_p99")
    ]
    if slowest[1]:
        text += f"; sync {slowest[0] / 1e6:,.1f} ms p50, {slowest[1] / 1e6:,.1f} ms p99"
    return text


def _age(age_ns: int) -> str:
    if age_ns < 0:
        return "never"
    seconds = age_ns // _S_NS
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7_200 else f"{seconds // 3_600} h"


def alarms(now: dict[str, Any]) -> list[str]:
    """What is wrong, the worst first."""
    found = [*now["unready"].values(), *now["troubles"].values()]
    if now["feed"]["error"]:
        found.append(f"records: {now['feed']['error']}")
    return list(dict.fromkeys(found))


def desk_rows(rows: Iterable[dict[str, Any]], filter_text: str) -> list[tuple[str, ...]]:
    """A row a desk whose name has the text in it, as `DESK_COLUMNS` says."""
    return [_desk_row(row) for row in rows if filter_text.lower() in row["desk"].lower()]


def _desk_row(row: dict[str, Any]) -> tuple[str, ...]:
    use = row["use_per_mille"]
    full = min(BAR_COLUMNS, (use * BAR_COLUMNS + 500) // 1_000)
    return (
        row["desk"],
        row["state"],
        f"{use / 10:.1f}%",
        "█" * full + "·" * (BAR_COLUMNS - full),
        *(short_money(row[name]).rjust(_MONEY_COLUMNS) for name in _MONEY),
    )


def rejects(now: dict[str, Any]) -> list[str]:
    """The newest refused orders, in words."""
    return [
        f"{_clock(row['at_ns'])} {row['desk']}/{row['order']}: {row['words']} ({row['asked']})"
        for row in now["rejects"][:REJECTS_SHOWN]
    ]


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // _S_NS, UTC).strftime("%H:%M:%S")
