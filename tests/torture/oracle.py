"""What must be true of a guard that was killed again and again, kept in plain dictionaries.

Owns: every request that was sent, the first answer to each, and a desk's account folded from those
answers alone. Must not: import anything of the product; it knows `guard/PROTOCOL.md` and no more.

How it works: an answer of a record names the record (`wal_sequence`), so that the answers of all
clients can be put into the log's own order and folded: each admit, refusal for want of exposure,
fill and cancel is predicted and compared. How it fails: `BrokenPromiseError`, saying which promise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Instruments of the trial: microcents of one tick times one lot.
MICROCENTS_PER_TICK_LOT = {"AAPL": 1_000_000}


class BrokenPromiseError(AssertionError):
    """A promise that was not kept."""


def must(is_kept: bool, promise: str, *facts: object) -> None:
    """Raises BrokenPromiseError with these facts unless the promise is kept."""
    if not is_kept:
        raise BrokenPromiseError(f"{promise}: " + "; ".join(repr(fact) for fact in facts))


@dataclass(slots=True)
class Account:
    """A desk, in microcents. `cap` is None where there is none."""

    initial: int
    cap: int | None
    reserved: int = 0
    committed: int = 0

    @property
    def remaining(self) -> int:
        return self.initial - self.reserved - self.committed


@dataclass(slots=True)
class Held:
    """An admitted order: what it asked for, and what is left of it."""

    quantity: int
    notional: int
    hold: int
    filled: int = 0
    is_closed: bool = False

    @property
    def open_quantity(self) -> int:
        return 0 if self.is_closed else self.quantity - self.filled


@dataclass(slots=True)
class Books:
    """The fold of all answers."""

    desks: dict[str, Account]
    orders: dict[tuple[str, str], Held] = field(default_factory=dict)


@dataclass
class Oracle:
    """`desks`: initial budget and cap of each, in microcents."""

    desks: dict[str, tuple[int, int | None]]
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    repeats: int = 0

    def sends(self, request: dict[str, Any]) -> None:
        """The client is about to send this, for the first time or again."""
        known = self.requests.setdefault(name_of(request), request)
        assert known == request, "a client that changes what it resends"

    def hears(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        """A first answer is kept. Each later one must be it, and must say that it repeats."""
        name = name_of(request)
        known = self.answers.get(name)
        is_error = reply["type"] == "error"
        if known is None:
            # Decided before a kill and answered only now, it says that it repeats.
            self.answers[name] = reply if is_error else {**reply, "repeat": False}
            return
        self.repeats += 1
        right = known if is_error else {**known, "repeat": True}
        must(reply == right, "a repeat gets the first answer", name, known, reply)

    def unanswered(self) -> list[dict[str, Any]]:
        """In the order in which they were sent."""
        return [each for name, each in self.requests.items() if name not in self.answers]

    def answered_orders(self) -> list[dict[str, Any]]:
        return [
            each
            for name, each in self.requests.items()
            if each["type"] == "order" and name in self.answers
        ]

    def recorded(self) -> dict[str, int]:
        """How many records of each kind the log must hold, everything being answered."""
        counts = dict.fromkeys(("decided", "fill", "release"), 0)
        for name, answer in self.answers.items():
            if answer["type"] != "error":
                kind = self.requests[name]["type"]
                counts[{"order": "decided", "cancel": "release"}.get(kind, kind)] += 1
        return counts

    def fold(self) -> Books:
        """The books by the answers, each predicted by those whose records stand before it."""
        books = Books({name: Account(*money) for name, money in self.desks.items()})
        by_sequence: dict[int, str] = {}
        for name, answer in self.answers.items():
            if answer["type"] == "error":
                continue
            sequence = answer["wal_sequence"]
            must(sequence not in by_sequence, "a record answers one request", name, answer)
            by_sequence[sequence] = name
        for _, name in sorted(by_sequence.items()):
            _FOLDS[self.requests[name]["type"]](books, self.requests[name], self.answers[name])
        for desk, account in books.desks.items():
            held = sum(each.hold for key, each in books.orders.items() if key[0] == desk)
            must(held == account.reserved, "each hold counts once", desk, held, account)
        return books

    def check_status(
        self, books: Books | None, request: dict[str, Any], reply: dict[str, Any]
    ) -> None:
        """`books` is None while something is unanswered: then only the first answer is known."""
        name = name_of(request)
        first = self.answers[name]
        must(reply["type"] == "status", "a status is answered", name, reply)
        must(reply["answer"] == first, "no answered order is lost or changed", name, first, reply)
        if books is None:
            return
        held = books.orders.get((request["desk"], request["client_order_id"]))
        if held is None:
            right = ("refused", 0, 0)
        else:
            right = ("closed" if held.is_closed else "open", held.hold, held.open_quantity)
        found = (reply["state"], reply["hold_microcents"], reply["open_quantity"])
        must(found == right, "an order holds once what its answers say", name, right, reply)


def name_of(request: dict[str, Any]) -> str:
    """What makes a request the same request."""
    parts = (request["type"], request["desk"], request["client_order_id"])
    return " ".join((*parts, request.get("fill_id", "")))


def _fold_order(books: Books, request: dict[str, Any], answer: dict[str, Any]) -> None:
    account = books.desks[request["desk"]]
    unit = MICROCENTS_PER_TICK_LOT[request["symbol"]]
    notional = request["quantity"] * request["price"] * unit
    if answer["type"] == "reject" and answer["stage"] == "kernel":
        return  # reserves nothing; that the kernel was right is replay's to say
    used = account.initial - account.remaining
    if account.cap is not None and account.reserved + notional > account.cap:
        right = ("exposure_limit_exceeded", notional, account.cap, account.reserved)
    elif notional > account.remaining:
        right = ("insufficient", notional, account.initial, used)
    else:
        must(answer["type"] == "admit", "there was room for it", request, answer, account)
        must(answer["notional_microcents"] == notional, "the notional", request, answer)
        key = (request["desk"], request["client_order_id"])
        must(key not in books.orders, "an order is admitted once", request, answer)
        books.orders[key] = Held(request["quantity"], notional, notional)
        account.reserved += notional
        return
    must(answer["type"] == "reject", "there was no room for it", request, answer, account)
    detail = answer["detail"]
    found = (answer["reason"], detail["asked"], detail["limit"], detail["used"])
    must(found == right, "a refusal counts what was held then", request, answer, right)


def _fold_fill(books: Books, request: dict[str, Any], answer: dict[str, Any]) -> None:
    account = books.desks[request["desk"]]
    held = books.orders.get((request["desk"], request["client_order_id"]))
    freed = 0
    if held is not None:
        held.filled += request["quantity"]
        if not held.is_closed:
            share = held.notional * min(held.filled, held.quantity) // held.quantity
            freed = held.hold - (held.notional - share)
            held.hold -= freed
            held.is_closed = held.filled >= held.quantity
    account.reserved -= freed
    # A fill of no order of ours is a fact, and charges nothing.
    fee = max(request["fee_microcents"], 0)
    account.committed += fee if held is not None else 0
    is_uncharged = "uncharged" in answer["flags"]
    must(is_uncharged == (held is None and fee > 0), "who pays no fee", request, answer)
    must(answer["unpaid_fee_microcents"] == 0, "the budget pays the fee", request, answer)
    found = (answer["released_microcents"], answer["hold_microcents"])
    right = (freed, held.hold if held is not None else 0)
    must(found == right, "a fill frees its share", request, answer, right)


def _fold_cancel(books: Books, request: dict[str, Any], answer: dict[str, Any]) -> None:
    held = books.orders[request["desk"], request["client_order_id"]]
    right = held.hold
    must(answer["released_microcents"] == right, "a cancel frees the rest", request, answer, right)
    books.desks[request["desk"]].reserved -= held.hold
    held.hold, held.is_closed = 0, True


_FOLDS = {"order": _fold_order, "fill": _fold_fill, "cancel": _fold_cancel}
