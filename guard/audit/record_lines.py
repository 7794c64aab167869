"""A record as one line for a person: when, which, who, what, and how it was answered. Pure.

Owns the columns of `tail`, and which records it shows when it is asked for some of them. Prices and
quantities are in the instrument's own decimals where its definition was met, money in units of
currency, reasons and events in words.

What a later version writes is shown by the words that it has.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from guard.audit.formats import money, time
from guard.audit.units import price, quantity
from guard.audit.words import event_words, reason_words
from guard.protocol.fields import ORDER_NAMES
from guard.protocol.instruments import counted

VERDICTS: Final = ("admit", "reject", "fill", "cancel", "reduce", "exec", "settle", "event")
SEQUENCE_COLUMNS: Final = 9
VERDICT_COLUMNS: Final = 6
ORDER_COLUMNS_MAX: Final = 28
_CUT: Final = "…"
# Fields of an event that its line says otherwise, or that are longer than a line.
_UNSHOWN: Final = frozenset(
    {
        *("event", "received_at_ns", "client", "batch_first_sequence", "by", "why", "action_id"),
        *("desk", "scope", "name", "policy", "cuts", "losses"),
    }
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a record says, flattened: what filters and columns ask for."""

    sequence: int
    received_at_ns: int
    verdict: str  # one of VERDICTS
    event: dict[str, Any]
    request: dict[str, Any]
    answer: dict[str, Any]

    @property
    def desk(self) -> str:
        """The desk that it is about, if any."""
        return str(named_in("desk", self.event, self.request) or "")

    @property
    def order_id(self) -> str:
        """The order that it is about, if any."""
        found = self.request.get("client_order_id") or self.event.get("client_order_id") or ""
        return str(found)


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown; an empty set stands for everything. All that are given must hold."""

    desks: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    venues: frozenset[int] = frozenset()
    verdicts: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    orders: frozenset[str] = frozenset()
    from_ns: int = 0

    @property
    def is_everything(self) -> bool:
        """Does it let all records pass?"""
        return self == Filter()


@dataclass(slots=True)
class Memory:
    """What earlier records said that later ones are shown by: instruments, and orders' symbols.

    Orders are remembered while they are among the last so many: a fill names no symbol.
    """

    orders_max: int = 100_000
    instruments: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def note(self, seen: Seen) -> None:
        """Takes up what a record says."""
        if seen.event.get("event") == "instrument_defined":
            self.instruments[seen.event["symbol"]] = seen.event
        elif seen.verdict in ("admit", "reject"):
            key = (seen.desk, seen.order_id)
            if len(self.orders) >= self.orders_max:
                del self.orders[next(iter(self.orders))]
            venue = seen.answer.get("venue", seen.request.get("venue", 0))
            self.orders[key] = (seen.request.get("symbol", ""), venue)

    def symbol_of(self, seen: Seen) -> str:
        """The symbol that a record is about, as far as it is known."""
        said = named_in("symbol", seen.event, seen.request)
        return str(said or self.orders.get((seen.desk, seen.order_id), ("", 0))[0])

    def venue_of(self, seen: Seen) -> int:
        """The venue that its order went to, or asked for; 0 where nobody knows."""
        if seen.verdict == "admit":
            return int(seen.answer.get("venue", 0))
        said = named_in("venue", seen.event, seen.request)
        return int(said) if said else self.orders.get((seen.desk, seen.order_id), ("", 0))[1]


def named_in(kind: str, event: dict[str, Any], request: dict[str, Any]) -> Any:
    """The desk, symbol or venue that a record is about: its `kind`; None where it names none.

    A request or an event names it plainly, a `cancel_all` as its scope, an operator's action as the
    scope that it is for.
    """
    for said in (request, event):
        named = said.get(kind) or said.get(f"of_{kind}")
        if named:
            return named
    return event.get("name") if event.get("scope") == kind else None


def seen_of(sequence: int, data: dict[str, Any]) -> Seen:
    """What the data of a record says."""
    event = data.get("metadata", data)
    kind = event.get("event", "")
    answer = event.get("answer") or {}
    if kind in ("order", "order_refused"):
        verdict = "admit" if answer.get("type") == "admit" else "reject"
        request = event.get("order") or {}
    elif kind == "fill":
        verdict, request = "fill", event.get("fill") or {}
    elif kind == "release":
        verdict, request = "cancel", event.get("cancel") or {}
    elif kind == "cancel_all":
        verdict, request = "cancel", event.get("cancel_all") or {}
    elif kind == "reduce":
        verdict, request = "reduce", event.get("reduce") or {}
    elif kind == "execution":
        verdict, request = "exec", event.get("execution") or {}
    elif kind in ("replaced", "replace_rejected"):
        verdict, request = "settle", event.get(kind) or {}
    else:
        verdict, request = "event", {}
    return Seen(sequence, event.get("received_at_ns", 0), verdict, event, request, answer)


def seen_each(sequence: int, data: dict[str, Any]) -> list[Seen]:
    """The same, of each order by itself where the record has several together."""
    if data.get("event") != "all_or_none":
        return [seen_of(sequence, data)]
    return [seen_of(sequence, part) for part in data.get("records", ())]


def passes(seen: Seen, wanted: Filter, memory: Memory) -> bool:
    """Whether a record is one of those asked for."""
    checks = (
        (wanted.desks, seen.desk),
        (wanted.verdicts, seen.verdict),
        (wanted.reasons, seen.answer.get("reason", "")),
        (wanted.clients, seen.event.get("client", "")),
        (wanted.orders, seen.order_id),
    )
    if seen.received_at_ns < wanted.from_ns:
        return False
    if not all(not allowed or value in allowed for allowed, value in checks):
        return False
    if wanted.symbols and memory.symbol_of(seen) not in wanted.symbols:
        return False
    return not wanted.venues or memory.venue_of(seen) in wanted.venues


def line_of(seen: Seen, memory: Memory, columns: int) -> str:
    """The record in one line of at most so many columns."""
    name = f"{seen.desk}/{seen.order_id}" if seen.order_id else seen.desk
    of_day = time(seen.received_at_ns).rpartition(" ")[2]
    head = f"{of_day} {seen.sequence:>{SEQUENCE_COLUMNS},} {seen.verdict:<{VERDICT_COLUMNS}} "
    who = f"{cut(name, ORDER_COLUMNS_MAX)}: " if name else ""
    return cut(head + who + _what(seen, memory), columns)


def cut(text: str, columns: int) -> str:
    """The text, or its beginning and a mark."""
    return text if len(text) <= columns else text[: max(0, columns - 1)] + _CUT


def _what(seen: Seen, memory: Memory) -> str:
    request, answer = seen.request, seen.answer
    symbol = memory.symbol_of(seen)
    instrument = memory.instruments.get(symbol)
    if seen.verdict in ("admit", "reject"):
        size = quantity(request.get("quantity", 0), instrument)
        limit = price(request.get("price", 0), instrument)
        asked = f"{request.get('side', '')} {size} {symbol} at {limit}"
        if names := [f"{key} {request[key]}" for key in ORDER_NAMES if request.get(key)]:
            asked += f", of {', '.join(names)}"
        if replaces := seen.event.get("replaces"):
            asked = f"in place of {replaces}: {asked}"
        if seen.verdict == "reject":
            return f"{reason_words(answer.get('reason', ''))}; {asked}"
        other = " (another)" if answer.get("substituted") else ""
        held = money(answer.get("notional_microcents", 0))
        word = "worth" if replaces else "held"
        return f"{asked} to venue {answer.get('venue', 0)}{other}, {held} {word}"
    flags = answer.get("flags") or []
    said = f" ({', '.join(flags)})" if flags else ""
    if seen.verdict == "exec":
        size = quantity(request.get("quantity", 0), instrument)
        at = price(request.get("price", 0), instrument)
        return f"{request.get('side', '')} {size} {symbol} at {at} executed{said}"
    if seen.verdict == "fill":
        return (
            f"{quantity(request.get('quantity', 0), instrument)} {symbol} filled{said}, fee "
            f"{money(request.get('fee_microcents', 0))}, {_open(answer, instrument)}"
        )
    if seen.verdict == "cancel" and "orders" in answer:
        words = " ".join(
            f"{name} {request[key]}"
            for name, key in (("in", "of_symbol"), ("at venue", "of_venue"))
            if request.get(key)
        )
        count = counted(answer["orders"], "order")
        freed = money(answer.get("released_microcents", 0))
        return f"{count}{' ' if words else ''}{words} off, {freed} free again"
    if seen.verdict == "cancel":
        return f"{money(answer.get('released_microcents', 0))} free again"
    if seen.verdict == "reduce":
        lots = quantity(request.get("quantity", 0), instrument)
        return f"{lots} {symbol} taken off, {_open(answer, instrument)}"
    if seen.verdict == "settle":
        word = seen.event["event"].replace("_", " ")
        return f"{word}{said}, {_open(answer, instrument)}"
    return _event(seen.event)


def _open(answer: dict[str, Any], instrument: dict[str, Any] | None) -> str:
    left = answer.get("open_quantity", 0)
    return f"{quantity(left, instrument)} open" if left else "nothing open"


def _event(event: dict[str, Any]) -> str:
    said = [
        f"{name.removesuffix('_microcents').replace('_', ' ')} {_value(name, value)}"
        for name, value in event.items()
        if name not in _UNSHOWN and value not in (None, "")
    ]
    if event.get("scope"):
        said.insert(0, f"{event['scope']} {event.get('name', '')}".strip())
    by = f" ({event['by']}: {event['why']})" if event.get("why") else ""
    words = event_words(event.get("event", ""))
    return f"{words}{': ' if said else ''}{', '.join(said)}{by}"


def _value(name: str, value: Any) -> str:
    if name.endswith("_microcents") and isinstance(value, int):
        return money(value)
    return str(value)
