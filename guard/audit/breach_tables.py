"""Tables of what went beyond its limits in a day or stopped a place, and who set it right. Pure.

Owns their columns and words, as `guard.audit.tables` owns those of the day.
"""

from typing import Any, Final

from guard.audit.formats import NOTHING, count, money, time
from guard.audit.table import Document, Row, Table
from guard.engine.latches import place_words

KIND_WORDS: Final = {
    "latch_execution_differs": "latch: fills and executions differ",
    "latch_reconciliation": "latch: to be reconciled since the start",
    "latch_repeated_executions": "latch: the same executed again and again",
    "latch_surplus": "latch: reducing orders beyond their position",
    "latch_silence": "latch: a client shows no sign of life",
    "latch_loss": "latch: more lost in a day than the limit",
    "fees_owed": "fees owed",
    "disk_low": "the log's disk low",
    "halted": "halted",
    "reducing": "positions may but be reduced",
    "proposal": "proposal",
    "loosened": "loosened for a time",
    "override": "override of one order",
    "fill_overfill": "fill beyond its order",
    "fill_unknown": "fill of no order",
    "fill_refused": "fill of a refused order",
    "fill_uncharged": "fill whose fee was not charged",
    "fill_differs": "fill that differs from its execution",
    "execution_differs": "execution that differs from its fill",
    "execution_overfill": "execution beyond its order",
    "execution_unknown": "execution of no order",
    "execution_refused": "execution of a refused order",
}
# What no one has to set right: it is over as it happens, unless a person amends it.
_FACTS: Final = ("fill_", "execution_")


def breach_tables(document: Document) -> list[Table]:
    """What the page's section of breaches and the text show."""
    return [_breaches(document), _suspects(document)]


def standing_of(document: Document) -> int:
    """How many of those that somebody or something has to end stand at the end."""
    return sum(
        entry["ended"] is None and not entry["kind"].startswith(_FACTS)
        for entry in document["breaches"]["listed"]
    )


def _breaches(document: Document) -> Table:
    breaches = document["breaches"]
    rows = [_row(entry) for entry in breaches["listed"]]
    note = ""
    if rows:
        note = f"{count(standing_of(document))} stand at the end."
    if breaches["left_out"]:
        note += f" {count(breaches['left_out'])} that are over, or came last, are left out."
    columns = (
        "what", "of", "#record", "from, UTC", "by", "measured", "ended", "lifted by", "why",
        "#at record", "at, UTC",
    )  # fmt: skip
    return Table("breaches", "Breaches, latches, halts and overrides", columns, rows, note)


def _row(entry: Document) -> Row:
    ended = entry["ended"]
    if ended is not None:
        over = (ended["how"], ended["by"] or NOTHING, ended["why"] or NOTHING)
        at = (str(ended["sequence"]), time(ended["at_ns"]))
    else:
        is_fact = entry["kind"].startswith(_FACTS)
        over = (NOTHING if is_fact else "stands", NOTHING, NOTHING)
        at = (NOTHING, NOTHING)
    said = entry["by"] + (f": {entry['why']}" if entry["why"] else "")
    return (
        KIND_WORDS.get(entry["kind"], entry["kind"].replace("_", " ")),
        place_words(entry["desk"], entry["symbol"]),
        NOTHING if entry["sequence"] is None else str(entry["sequence"]),
        time(entry["at_ns"]),
        said or NOTHING,
        measured_words(entry["measured"]) or NOTHING,
        *over,
        *at,
    )


def measured_words(measured: dict[str, Any]) -> str:
    """Name and value of each figure; money and times as such."""
    return ", ".join(_figure(name, value) for name, value in measured.items())


def _figure(name: str, value: Any) -> str:
    if name == "rates":
        return "above " + " or ".join(
            f"{count(rate['max'])} in {count(rate['window_ms'])} ms" for rate in value
        )
    if isinstance(value, list):
        return f"{name.replace('_', ' ')} {' '.join(map(str, value))}"
    words = name.removesuffix("_microcents").removesuffix("_ns").replace("_", " ")
    if name.endswith("_microcents"):
        return f"{words} {money(value)}"
    if name.endswith("_ns"):
        return f"{words} {time(value)}"
    return f"{words} {count(value) if isinstance(value, int) else value}"


def _suspects(document: Document) -> Table:
    breaches = document["breaches"]
    rows = [
        (order["desk"], order["client_order_id"], money(order["held_microcents"]))
        for order in breaches["suspect_orders"]
    ]
    left_out = breaches["suspect_orders_left_out"]
    note = f"{count(left_out)} more are left out." if left_out else ""
    columns = ("desk", "order", "#held")
    return Table("suspects", "Suspect orders at the end", columns, rows, note)
