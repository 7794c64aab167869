"""One random history of a guard under limits: what is asked, what happens, what must be so.

Owns the steps and how likely each is. The guard is the product's engine as live runs it, each
outcome through the bytes of its record (`guard_support.LoggedEngine`); a restart goes through the
bytes of a checkpoint. Sizes lie at the limits and one beside them, times at the edges of windows.
Same seed, same history.
"""

import io
import random
from dataclasses import replace
from typing import Any, Final

from cancel_all_support import cancel_all
from guard.engine.amendments import FillName, assess
from guard.engine.engine import Engine
from guard.engine.events import (
    EntriesHalted,
    EntriesResumed,
    FillBusted,
    Revalued,
    TradingHalted,
    TradingReduced,
    TradingResumed,
)
from guard.engine.people_events import LatchLifted
from guard.protocol.messages import (
    Admit,
    Cancel,
    Executed,
    Execution,
    Filled,
    Reduce,
    Reduced,
    Reject,
    Released,
    Replace,
    Replaced,
    ReplaceRejected,
    ReplaceSettled,
)
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard_limits_support import limits_config
from guard_support import T0, LoggedEngine, actor, fill, order
from search.book import BUY, SELL, Book, Form, Known
from search.claims import MS_NS, Around, Broken, Claims, Terms

PRICE: Final = 19_000
UNIT: Final = 1_000_000  # microcents of a lot at a tick, of both symbols
LOT: Final = PRICE * UNIT
DESKS: Final = ("desk-alpha", "desk-beta")
SYMBOLS: Final = ("AAPL", "BTC-USD")
BUDGETS: Final = {"desk-alpha": 40 * LOT, "desk-beta": 18 * LOT}
CAPS: Final = {"desk-alpha": 25 * LOT, "desk-beta": None}
STEPS: Final = 60
_OPTIONS: Final[dict[str, tuple[Any, ...]]] = {
    "quantity_max": (None, None, 12),
    "value_max": (None, None, None, 11 * LOT),
    "collar_bps": (None, None, 100, 500),
    "long_max": (None, 15, 6),
    "short_max": (None, 15, 4),
    "open_orders_max": (None, 4, 7),
    "orders_in_window": (None, 3, 6),
    "notional_in_window": (None, None, 20 * LOT),
    "duplicate_window_ms": (None, 300),
    "gross_max": (None, None, 22 * LOT),
    "refuses_self_match": (False, False, True),
    "refuses_short_sales": (False, False, False, True),
}


def terms_of(rng: random.Random) -> Terms:
    """Some limits."""
    terms = Terms(**{name: rng.choice(options) for name, options in _OPTIONS.items()})
    return terms if terms.collar_bps is None else replace(terms, age_max_ms=2_000)


def money(microcents: int) -> str:
    return f'"{microcents // 10**8}.{microcents % 10**8:08}"'


def text_of(terms: Terms) -> str:
    """`[limits]` of these terms."""
    said = {
        "quantity_max": '"none"' if terms.quantity_max is None else str(terms.quantity_max),
        "value_max": '"none"' if terms.value_max is None else money(terms.value_max),
        "price_collar_bps": '"none"' if terms.collar_bps is None else str(terms.collar_bps),
        "reference_age_max_ms": terms.age_max_ms,
        "market_buffer_bps": 50,
        "position_long_max": terms.long_max,
        "position_short_max": terms.short_max,
        "open_orders_max": terms.open_orders_max,
        "duplicate_window_ms": terms.duplicate_window_ms,
        "revalue_bps": None if terms.gross_max is None else 20,
        "self_match": '"refuse"' if terms.refuses_self_match else None,
        "short_sales": '"refused"' if terms.refuses_short_sales else None,
    }
    lines = [f"{name} = {value}" for name, value in said.items() if value is not None]
    for desk in DESKS:
        if terms.gross_max is not None:
            lines += [f"[limits.desk.{desk}]", f"exposure_gross_max = {money(terms.gross_max)}"]
        for kind, most in (
            ("orders", terms.orders_in_window),
            ("notional", terms.notional_in_window),
        ):
            if most is not None:
                number = money(most) if kind == "notional" else str(most)
                lines += [f"[[limits.desk.{desk}.rates]]", f'kind = "{kind}"']
                lines += [f"window_ms = {terms.window_ms}", f"max = {number}"]
    return "\n".join(lines)


class Told(LoggedEngine):
    """Keeps no records but prices that were recorded: a long history fits in memory."""

    def __init__(self, *arguments: Any) -> None:
        self.prices: dict[str, int] = {}
        super().__init__(*arguments)
        self.is_checked = False

    def _log(self, event: Any) -> None:
        if isinstance(event, Revalued):
            self.prices[event.symbol] = event.price
        super()._log(event)

    def _keep(self, _data: bytes, batch_first_sequence: int) -> None:
        self.batch_first_sequence = batch_first_sequence

    def restart(self) -> None:
        """The state goes through a checkpoint."""
        data = b"".join(encode_state(self.state))
        self.engine = Engine(decode_state(io.BytesIO(data).read))


class History:
    """See the module. `trace`: what was done, a line each."""

    def __init__(
        self,
        seed: int,
        terms: Terms | None = None,
        claimed: Terms | None = None,
        book: Book | None = None,
    ) -> None:
        """`terms`: the guard's limits, some of the seed's choice where it is None. `claimed`: what
        the claims take them for."""
        self.rng = random.Random(seed)
        self.terms = terms_of(self.rng) if terms is None else terms
        budgets = [
            ('budget = "2000000.00"', f"budget = {money(BUDGETS['desk-alpha'])}"),
            ('exposure_cap = "1500000.00"', f"exposure_cap = {money(CAPS['desk-alpha'] or 0)}"),
            ('budget = "500000.00"', f"budget = {money(BUDGETS['desk-beta'])}"),
            ('lot_size = "0.00000001"', 'lot_size = "1"'),
        ]
        self.guard = Told(limits_config(text_of(self.terms), *budgets))
        self.book = book or Book()
        self.claims = Claims(claimed or self.terms, BUDGETS, CAPS)
        self.now_ns = T0
        self.marks: dict[str, tuple[int, int]] = {}  # price, and when it came
        if self.rng.random() < 0.8:
            self.marks = dict.fromkeys(SYMBOLS, (PRICE, T0 - 1))
        self.states: dict[tuple[str, str], str] = {}
        self.latched: set[str] = set()  # desks whose fills and executions differ
        self.is_disk_low = False
        self.trace: list[str] = []
        self._count = 0
        self._steps = (
            (self._order, 50), (self._exit, 14), (self._fill, 22), (self._cancel, 10),
            (self._replace, 8), (self._spoken, 6), (self._reduce, 4), (self._cancel_all, 1),
            (self._bust, 3), (self._forge, 3), (self._execution, 5), (self._lift, 8),
            (self._mark, 14), (self._wait, 14), (self._state, 4), (self._disk, 4),
            (self._restart, 2),
        )  # fmt: skip

    def run(self, steps: int = STEPS) -> None:
        """Raises Broken."""
        does, weights = zip(*self._steps, strict=True)
        for step in self.rng.choices(does, weights, k=steps):
            step()

    def _say(self, *words: Any) -> None:
        self.trace.append(" ".join(map(str, (f"+{(self.now_ns - T0) / 1e6:.3f} ms", *words))))

    def _place(self) -> tuple[str, str]:
        return self.rng.choice(DESKS), self.rng.choice(SYMBOLS)

    # What is asked.

    def _order(self) -> None:
        desk, symbol = self._place()
        edge = self.rng.choice((1, 2, 3, 5, 8, 12, 13))
        side = self.rng.choice((BUY, SELL))
        most = self.terms.long_max if side == BUY else self.terms.short_max
        if most is not None and self.rng.random() < 0.4:
            room = most - self.book.worst((desk, symbol), side)
            edge = max(1, room + self.rng.choice((-1, 0, 1)))
        self._ask(desk, symbol, side, edge)

    def _exit(self) -> None:
        """Of all that could be reduced, of one more, and of one less."""
        places = [place for place, lots in self.book.position.items() if lots]
        if not places:
            return self._order()
        place = self.rng.choice(sorted(places))
        side = SELL if self.book.position[place] > 0 else BUY
        sure, perhaps = self.book.reducible(place, side)
        lots = self.rng.choice((sure, perhaps)) + self.rng.choice((-1, 0, 0, 1))
        return self._ask(*place, side, max(1, lots))

    def _ask(self, desk: str, symbol: str, side: str, lots: int) -> None:
        self._count += 1
        mark = self.marks.get(symbol)
        price = (mark[0] if mark else PRICE) + self.rng.choice((0, 0, 0, 50, -50, 190, 191, -191))
        wild = self.rng.random() < 0.1
        asked = order(
            f"O-{self._count}", desk=desk, symbol=symbol, side=side, quantity=lots,
            price=max(1, price), venue=self.rng.choice((10, 20, 30)),
            risk_bps=self.rng.choice((200, 10_000)) if wild else 200,
            confidence_bps=self.rng.choice((0, 9_000)) if wild else 9_000,
        )  # fmt: skip
        around = self._around(symbol)
        _, perhaps = self.book.reducible((desk, symbol), side)
        wanted = self.claims.before(self.book, asked, around)
        answer = self._submit(asked)
        assert isinstance(answer, Admit | Reject), answer
        admit = answer if isinstance(answer, Admit) else None
        self._say(desk, symbol, side, lots, "at", asked.price, "->", answer.reason, wanted,
                  "reducing" if admit is not None and admit.reducing else "")  # fmt: skip
        known = self.book.answered(asked, self.now_ns, admit)
        # A price may have been recorded for this very order.
        around = replace(around, prices=self.guard.prices)
        self.claims.reducing(perhaps, known)
        self.claims.after(self.book, asked, wanted, around, known)

    def _submit(self, request: Any) -> Any:
        for symbol, (price, came_ns) in self.marks.items():
            self.guard.marks[symbol] = price, self.now_ns - came_ns
        return self.guard.submit(request, self.now_ns)

    def _around(self, symbol: str) -> Around:
        states = dict(self.states)
        if self.is_disk_low and states.get(("firm", "")) != "halted":
            states["firm", ""] = "reducing"
        for desk in self.latched:
            if states.get(("desk", desk), "active") == "active":
                states["desk", desk] = "reducing"
        units = dict.fromkeys(SYMBOLS, UNIT)
        return Around(self.now_ns, self.marks.get(symbol), self.guard.prices, states, units)

    # What happens.

    def _any(self) -> tuple[str, str] | None:
        """An order: mostly one that works."""
        names = list(self.book.open if self.rng.random() < 0.8 else self.book.orders)
        return self.rng.choice(names) if names else None

    def _fill(self) -> None:
        name = self._any()
        if name is None:
            return
        known = self.book.orders[name]
        lots = max(1, self.rng.choice((1, known.open_lots, known.open_lots, known.open_lots + 1)))
        fill_id = self.rng.choice(("F-1", f"F-{self._count}", f"F-{len(known.fills)}"))
        price = self.rng.choice((None, known.price, max(1, known.price - 7)))
        fee = 200 * LOT if self.rng.random() < 0.02 else self.rng.choice((0, 14_001))
        told = fill(fill_id, lots, fee, desk=name[0], client_order_id=name[1], price=price)
        answer = self._submit(told)
        self._say("fill", *name, fill_id, lots, "fee", fee, "->", getattr(answer, "flags", answer))
        if isinstance(answer, Filled) and not answer.repeat:
            self._note_difference(name[0], self.book.filled(name, fill_id, lots, price))

    def _execution(self) -> None:
        """A drop copy's word: of a trade that no fill has told yet, or of one, mostly the same."""
        name = self._any()
        if name is None:
            return
        self._count += 1
        known = self.book.orders[name]
        reported = list(known.said) if self.rng.random() < 0.5 else []
        execution_id = self.rng.choice(reported or [f"F-{self._count}"])
        lots, price = known.said.get(execution_id, (self.rng.choice((1, known.open_lots)), None))
        lots = max(1, lots + self.rng.choice((0, 0, 0, 0, 1, -1, 20)))
        price = max(1, (price or known.price) + self.rng.choice((0, 0, 0, 0, 7)))
        venue = known.venue if self.rng.random() < 0.95 else 40
        told = Execution(*name, execution_id, venue, known.place[1], known.side, lots, price)
        answer = self._submit(told)
        self._say("execution", *name, execution_id, lots, "at", price, "venue", venue, "->",
                  getattr(answer, "flags", answer))  # fmt: skip
        if not isinstance(answer, Executed) or answer.repeat:
            return
        if venue != known.venue and known.is_admitted:
            self.book.executed_elsewhere(name, lots, price)
            differs = True
        else:
            differs = self.book.executed(name, execution_id, lots, price)
        self._note_difference(name[0], differs)

    def _note_difference(self, desk: str, differs: bool) -> None:
        if differs:
            self.latched.add(desk)

    def _lift(self) -> None:
        """A person lifts a latch that a difference has set."""
        for desk in sorted(self.latched):
            self._say("lift", desk)
            who = actor(max(self.now_ns, self.guard.state.last_received_at_ns))
            self.guard.log(who.event(LatchLifted, desk=desk, symbol="", latch="execution_differs"))
        self.latched.clear()

    def _forge(self) -> None:
        """A fill of an order that nobody ever sent."""
        self._count += 1
        name = {"desk": self.rng.choice(DESKS), "client_order_id": f"X-{self._count}"}
        self._say("forged fill", *name.values())
        self._submit(fill("F-1", self.rng.choice((1, 10, 1_000)), 0, price=PRICE, **name))

    def _cancel(self) -> None:
        name = self._any()
        if name is not None:
            answer = self._submit(Cancel(*name))
            self._say("cancel", *name)
            if isinstance(answer, Released):
                self.book.taken_off(name)

    def _cancel_all(self) -> None:
        """Of some scope, up to a record now or a while ago; how many is told."""
        scope = {
            "of_desk": self.rng.choice((None, *DESKS)),
            "of_symbol": self.rng.choice((None, *SYMBOLS)),
            "of_venue": self.rng.choice((None, 10, 20, 30)),
        }
        last = self.guard.state.next_sequence - 1 - self.rng.choice((0, 0, 3, 10))
        if last < 1:
            return
        self.guard.now_ns = self.now_ns
        said = {name: value for name, value in scope.items() if value is not None}
        answer = cancel_all(self.guard, last, **said)
        self._say("cancel all", *scope.values(), "up to", last, "->", answer.orders)
        count = self.book.canceled(*scope.values(), last)
        if count != answer.orders:
            raise Broken(f"{answer.orders} orders were closed at once; {count} are of that scope")

    def _replace(self) -> None:
        """Another total, at another price, of what is open; most have no word of the venue yet."""
        names = [name for name, known in self.book.open.items() if known.pending is None]
        if not names:
            return
        self._count += 1
        name = self.rng.choice(names)
        known = self.book.orders[name]
        new = name[0], f"O-{self._count}"
        left = known.open_lots + self.rng.choice((-2, -1, 0, 0, 1, 2, 5, 12))
        total = known.filled + max(1, left)
        price = max(1, known.standing.price + self.rng.choice((0, 0, 7, -7, 190, -190)))
        form = Form(total, price, 0, 0, new[1])
        around = self._around(known.place[1])
        wanted = self.claims.before_replace(self.book, known, form, around)
        before = known.open_lots, known.held_at_least
        original = self.rng.choice(self._ids(known))
        answer = self._submit(Replace(new[1], name[0], original, total, price, "limit", "day"))
        self._say("replace", *name, "by", new[1], total, "at", price, "->",
                  getattr(answer, "reason", answer), wanted)  # fmt: skip
        if not isinstance(answer, Admit):
            self.claims.checked["refused"] += 1
            stands = original == known.standing.client_order_id
            if stands != isinstance(answer, Reject):
                raise Broken(f"the order that stands is {known.standing.client_order_id}")
            if stands and wanted == "must pass":
                raise Broken("a replace was refused that nothing may stop")
            return
        form.hold_microcents, form.sequence = answer.notional_microcents, answer.wal_sequence
        self.book.replacing(name, new, form)
        around = replace(around, prices=self.guard.prices)
        self.claims.after_replace(self.book, known, wanted, before, around)

    def _ids(self, known: Known) -> list[str]:
        """All ids that mean that order."""
        return [name[1] for name, other in self.book.orders.items() if other is known]

    def _spoken(self) -> None:
        """The venue says of a replace."""
        waiting = [known for known in self.book.open.values() if known.pending is not None]
        if not waiting:
            return
        known = self.rng.choice(waiting)
        name = known.name[0], self._ids(known)[-1]
        is_replaced = self.rng.random() < 0.6
        answer = self._submit((Replaced if is_replaced else ReplaceRejected)(*name))
        self._say("replaced" if is_replaced else "replace rejected", *name)
        assert isinstance(answer, ReplaceSettled), answer
        self.book.spoken(name, is_replaced=is_replaced)
        if answer.open_quantity != known.open_lots:
            raise Broken(f"{answer.open_quantity} lots are open, not {known.open_lots}")

    def _reduce(self) -> None:
        name = self._any()
        if name is None or len(self._ids(self.book.orders[name])) > 1:
            return
        self._count += 1
        lots = self.rng.choice((1, 2, 20))
        answer = self._submit(Reduce(*name, f"R-{self._count}", lots))
        self._say("reduce", *name, lots)
        if isinstance(answer, Reduced) and not answer.repeat:
            self.book.taken_off(name, lots)

    def _bust(self) -> None:
        found = [
            (known.name, fill_id)
            for name, known in self.book.orders.items()
            for fill_id in (*known.fills, *known.reports)
            if name == known.name
        ]
        if not found:
            return
        name, fill_id = self.rng.choice(found)
        at_ns = max(self.now_ns, self.guard.state.last_received_at_ns)
        fields = assess(self.guard.state, FillBusted, FillName(*name, fill_id), at_ns, None)
        if fields is not None:
            self._say("bust", *name, fill_id)
            self.guard.log(actor(at_ns).event(FillBusted, **fields))
            self.book.busted(name, fill_id)

    def _mark(self) -> None:
        symbol = self.rng.choice(SYMBOLS)
        price = PRICE + self.rng.choice((-400, -100, -20, 0, 20, 100, 400, 9_000, -18_000))
        self.marks[symbol] = price, self.now_ns - 1  # an age is never 0
        self._say("mark", symbol, price)

    def _wait(self) -> None:
        window = self.terms.window_ms
        edges = window // 16, window - 1, window, window + 1
        later_ms = self.rng.choice((0, 1, 10, 100, *edges, 2_001))
        self.now_ns += later_ms * MS_NS + self.rng.choice((0, 0, 1))

    def _state(self) -> None:
        stopped = sorted(place for place, state in self.states.items() if state != "active")
        if stopped and self.rng.random() < 0.7:
            (scope, name), kind = self.rng.choice(stopped), TradingResumed
        else:
            desks, symbols = self._place()
            scope, name = self.rng.choice((("firm", ""), ("desk", desks), ("symbol", symbols)))
            kind = self.rng.choice((TradingReduced, TradingHalted))
        words = {TradingResumed: "active", TradingReduced: "reducing", TradingHalted: "halted"}
        if self.states.get((scope, name), "active") == words[kind]:
            return
        self.states[scope, name] = words[kind]
        self._say(words[kind], scope, name)
        self.guard.log(actor(self.now_ns).event(kind, scope=scope, name=name))

    def _disk(self) -> None:
        if not self.is_disk_low and self.rng.random() < 0.7:
            return
        self.is_disk_low = not self.is_disk_low
        self._say("disk low" if self.is_disk_low else "disk has room")
        who = actor(self.now_ns)
        if self.is_disk_low:
            event = who.event(EntriesHalted, reason="disk_low", free_bytes=7, reserve_bytes=8)
        else:
            event = who.event(EntriesResumed, free_bytes=10)
        self.guard.log(event)

    def _restart(self) -> None:
        """The state goes through a checkpoint; marks do not."""
        self._say("restart")
        self.guard.restart()
        self.marks.clear()
        self.guard.marks.clear()


def broken_in(history: History, steps: int = STEPS) -> Broken | None:
    """Plays it: the claim that is not so."""
    try:
        history.run(steps)
    except Broken as broken:
        return broken
    return None
