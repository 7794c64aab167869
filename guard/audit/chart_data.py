"""What the charts of the page draw, taken from the report's document. Pure.

Owns which desks have a chart, and how coarse the timeline is drawn. Numbers only, and names that
the page escapes: pictures may round, the tables beside them do not.
"""

from typing import Any, Final

from guard.audit.limit_tables import is_money
from guard.audit.table import Document
from guard.audit.timegrid import WIDTHS_NS

BARS_MAX: Final = 240
CHARTS_SHOWN_MAX: Final = 6
# To choose from. Each may have some 1,440 rows of 70 bytes in the page.
CHARTS_CHOSEN_MAX: Final = 60


def chart_desks(document: Document) -> list[str]:
    """The desks with charts, the most telling first; in the order of their names where all have.

    Most telling: whose highest exposure other rules would move the most, then who used the most.
    """
    lines = document["exposure"]["desks"]
    moved = document["what_if"]["desks"] if "what_if" in document else {}

    def rank(desk: str) -> tuple[int, int, str]:
        change = 0
        if desk in moved:
            before, after = (
                moved[desk][f"held_peak_microcents_{when}"] for when in ("before", "after")
            )
            change = abs(after - before)
        return -change, -lines[desk]["used_peak_microcents"], desk

    desks = sorted(lines, key=rank)
    return sorted(desks) if len(desks) <= CHARTS_SHOWN_MAX else desks[:CHARTS_CHOSEN_MAX]


def chart_positions(document: Document) -> list[Document]:
    """The positions with charts: those that moved, the ones that made or lost the most first."""
    moved = [line for line in document["positions"]["listed"] if len(line["rows"]) > 1]

    def made(line: Document) -> tuple[int, str, str]:
        return -max(abs(row[2]) for row in line["rows"]), line["desk"], line["symbol"]

    moved.sort(key=made)
    return sorted(moved[:CHARTS_SHOWN_MAX], key=lambda line: (line["desk"], line["symbol"]))


def chart_limits(document: Document) -> list[Document]:
    """The limits with charts: those of which the most was used, where anything was.

    Budgets and caps stand in the charts of exposure.
    """
    listed = (
        line for line in document["limits"]["listed"] if line["said"] != f"desks.{line['desk']}"
    )
    return [line for line in listed if any(row[1] for row in line["rows"])][:CHARTS_SHOWN_MAX]


def bars_of(document: Document) -> tuple[int, list[list[int]]]:
    """The document's timeline in bars few enough to be told apart: their width in ns, and rows."""
    width_ns: int = document["timeline"]["bucket_width_ns"]
    rows: list[list[int]] = document["timeline"]["rows"]
    span_ns = rows[-1][0] - rows[0][0] if rows else 0
    wider_ns = width_ns
    while span_ns // wider_ns >= BARS_MAX:
        wider_ns = next((width for width in WIDTHS_NS if width > wider_ns), 2 * wider_ns)
    merged: dict[int, list[int]] = {}
    for start_ns, *counts in rows:
        start_ns -= start_ns % wider_ns
        into = merged.setdefault(start_ns, [0] * len(counts))
        into[:] = [left + right for left, right in zip(into, counts, strict=True)]
    return wider_ns, [[start_ns, *merged[start_ns]] for start_ns in sorted(merged)]


def chart_data(document: Document) -> dict[str, Any]:
    """What is embedded in the page for its script."""
    desks = chart_desks(document)
    exposure = document["exposure"]
    width_ns, rows = bars_of(document)
    data: dict[str, Any] = {
        "currency": document["currency"],
        "end_ns": document["range"]["last_received_at_ns"],
        "timeline": {"bucket_width_ns": width_ns, "rows": rows},
        "exposure": {
            "bucket_width_ns": exposure["bucket_width_ns"],
            "desks": {desk: exposure["desks"][desk]["rows"] for desk in desks},
        },
        "positions": {
            "bucket_width_ns": document["positions"]["bucket_width_ns"],
            "courses": [
                {"size": float(line["lot_size"]), "rows": line["rows"]}
                for line in chart_positions(document)
            ],
        },
        "limits": {
            "bucket_width_ns": document["limits"]["bucket_width_ns"],
            "courses": [
                {"is_money": is_money(line["limit"]), "rows": line["rows"]}
                for line in chart_limits(document)
            ],
        },
        "orders": document["latency"]["orders"]["histogram"],
        "fills": document["latency"]["fills"]["histogram"],
        "batches": document["batches"]["histogram"],
    }
    if "what_if" in document:
        after = document["what_if"]["exposure_after"]
        data["what_if"] = {
            "bucket_width_ns": after["bucket_width_ns"],
            "desks": {d: after["desks"][d]["rows"] for d in desks if d in after["desks"]},
        }
    return data
