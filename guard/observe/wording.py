"""Refused orders and halts of the log in words, for people who watch. Pure.

Owns what is shown of such a record: a few texts, exact, in the instrument's own decimals. Why an
order was refused is said as far as its record alone tells it; `replay --explain` has all of it.
"""

import json
from typing import Any, Final

from guard.audit.formats import money
from guard.audit.record_lines import Memory, Seen, seen_of
from guard.audit.units import price, quantity
from guard.audit.words import event_words, reason_words


def seen_in(line: bytes) -> Seen:
    """What a record's line says. Raises ValueError for what is no record."""
    record = json.loads(line)
    return seen_of(record["sequence"], record["data"])


def reject_row(line: bytes, memory: Memory) -> dict[str, Any]:
    """A refused order: which, what it asked, why not."""
    seen = seen_in(line)
    request, answer = seen.request, seen.answer
    symbol = request.get("symbol", "")
    instrument = memory.instruments.get(symbol)
    asked = (
        f"{request.get('side', '')} {quantity(request.get('quantity', 0), instrument)} {symbol} "
        f"at {price(request.get('price', 0), instrument)}"
    )
    return {
        "sequence": seen.sequence,
        "at_ns": seen.received_at_ns,
        "desk": seen.desk,
        "order": seen.order_id,
        "asked": asked,
        "stage": answer.get("stage", ""),
        "reason": answer.get("reason", ""),
        "words": f"{reason_words(answer.get('reason', ''))}{_how_near(answer)}",
    }


def _how_near(answer: dict[str, Any]) -> str:
    """By how much money was short, where it was money."""
    detail = answer.get("detail") or {}
    if answer.get("stage") != "ledger" or not {"asked", "limit", "used"} <= detail.keys():
        return ""
    left = max(detail["limit"] - detail["used"], 0)
    return f": {money(detail['asked'])} asked, {money(left)} left"


# An event by its word: has it stopped entries, or let them on again?
_STOPS: Final = {"trading_halted": True, "halt": True, "fill": True, "desk_halted": True}


def halt_row(line: bytes) -> dict[str, Any]:
    """What stopped entries, or let them on again: what, whose, by whom and why."""
    seen = seen_in(line)
    event = seen.event
    kind = event.get("event", "")
    scope = event.get("scope") or ("desk" if seen.desk else "firm")
    what = "fees of a fill unpaid" if kind == "fill" else event_words(kind)
    why = event.get("why") or event.get("reason") or ""
    return {
        "sequence": seen.sequence,
        "at_ns": seen.received_at_ns,
        "is_halt": _STOPS.get(kind, False),
        "what": what,
        "scope": scope,
        "name": event.get("name") or seen.desk,
        "by": event.get("by", ""),
        "why": why,
    }
