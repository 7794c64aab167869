"""The oracle's part about limits and marks: worked out a second time from the protocol page, 3.5.

Imports nothing of the product. It keeps every admitted order with its time, and no buckets; the
marks are the world's and gone with the process, what an order's record says of one stays with it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from sim.oracle_meeting import crossing
from sim.oracle_positions import Positions, bounded
from sim.tables import WORTH, Reply

NS_PER_MS = 1_000_000


class Tree(NamedTuple):
    """What one tree of limits says otherwise than another. `open_orders_max`: desk-alpha's."""

    quantity_max: int
    collar_bps: int
    orders_max: int
    long_max: int
    open_orders_max: int
    revalue_bps: int
    revalue_s: int
    self_match: str
    short_sales: str  # of BTC-USD
    located_sales: str  # short sales of AAPL


TREES = {
    "first": Tree(3_500, 2_000, 4, 3_000, 5, 600, 10, "flag", "refused", "allowed"),
    "second": Tree(1_500, 800, 6, 1_200, 3, 200, 30, "off", "allowed", "locate"),
}
VALUE_MAX, AGE_MAX_MS, DUPLICATE_MS, SHORT_MAX = 600_000 * 10**8, 20_000, 15_000, 1_000
RATES = (  # scope, desk, kind, window, number; none: the tree's
    (1, None, "orders", 12_000, None),
    (2, "desk-alpha", "orders", 20_000, 4),
    (2, "desk-beta", "notional", 30_000, 40_000 * 10**8),
)
# The firm's gross, desk-alpha's net, and what is long of AAPL, in microcents.
GROSS_MAX, NET_MAX, LONG_WORTH_MAX = (thousands * 10**11 for thousands in (1_000, 450, 600))
JUMP_BPS, CONFIRM_MS = 1_500, 5_000  # of a mark, and how long it stands then before it counts
# What may be lost in a day: desk and symbol (empty: all), microcents, the scope's number.
LOSSES = (
    ("desk-alpha", "BTC-USD", 50 * 10**8, 4),
    ("desk-beta", "AAPL", 400 * 10**8, 4),
    ("desk-beta", "", 200 * 10**8, 2),
)
LIMITS_SINCE = 3  # of the rules: an order's record says its symbol's mark
LIMITS_SET = "limits_set"  # what a start says that has logged them


def limits_text(tree: Tree) -> str:
    """The tree, as a configuration has it."""
    return f"""[limits]
quantity_max = {tree.quantity_max}
value_max = "600000.00"
price_collar_bps = {tree.collar_bps}
reference_age_max_ms = {AGE_MAX_MS}
duplicate_window_ms = {DUPLICATE_MS}
position_long_max = {tree.long_max}
revalue_bps = {tree.revalue_bps}
revalue_s = {tree.revalue_s}
mark_jump_bps = {JUMP_BPS}
mark_confirm_ms = {CONFIRM_MS}
self_match = "{tree.self_match}"
exposure_gross_max = "1000000.00"
[[limits.rates]]
kind = "orders"
window_ms = 12_000
max = {tree.orders_max}
[limits.symbol.BTC-USD]
quantity_max = "none"
short_sales = "{tree.short_sales}"
[limits.symbol.AAPL]
short_sales = "{tree.located_sales}"
position_short_max = {SHORT_MAX}
exposure_long_max = "600000.00"
[limits.desk.desk-alpha]
open_orders_max = {tree.open_orders_max}
exposure_net_max = "450000.00"
[[limits.desk.desk-alpha.rates]]
kind = "orders"
window_ms = 20_000
max = 4
[[limits.desk.desk-beta.rates]]
kind = "notional"
window_ms = 30_000
max = "40000.00"
[limits.desk.desk-beta]
sides = ["buy"]
day_loss_max = "200.00"
[limits.desk.desk-beta.symbol.AAPL]
day_loss_max = "400.00"
[limits.desk.desk-alpha.symbol.BTC-USD]
day_loss_max = "50.00"
"""


class OracleLimits:
    """See the module. `has_limits`: they are in force."""

    rules_version: int
    next_sequence: int
    positions: Positions
    orders: dict[tuple[str, str], Reply]
    refused: tuple[str, ...]
    last_ns: int
    first_tree: Tree
    _unlocated: Any
    _log: Callable[[str, Any, int, int], int]

    def _reset_limits(self) -> None:
        """A process begins, and nothing is recorded yet."""
        self.has_limits = False
        self.tree = self.first_tree
        self.marks: dict[str, tuple[int, int, int]] = {}  # price, arrival, how late
        self.jumps: dict[str, tuple[int, int, int, int]] = {}  # the same of one that waits, since
        self.prices: dict[str, tuple[int, int]] = {}  # of positions: as recorded, and when
        self.lost: dict[tuple[str, str], int] = {}  # places that are latched, by record
        self.recorded_elapsed_ns = 0
        self.elapsed_ns = self.last_wall_ns = 0
        self.admitted: list[tuple[int, str, Reply, int]] = []  # elapsed, desk, content, value
        self.raised: list[tuple[int, str, int]] = []  # by replaces: elapsed, desk, what is more

    def _set_tree(self, name: str) -> None:
        """Another tree is in force, or none. What was used of its rates stays used in the other."""
        self.has_limits = name != "none"
        if self.has_limits:
            self.tree = TREES[name]
        else:
            self.admitted, self.raised = [], []

    def _reject(self, content: Reply, stage: str, reason: str, detail: Reply) -> Reply:
        return {
            "type": "reject",
            "client_order_id": content["client_order_id"],
            "wal_sequence": self.next_sequence,
            "stage": stage,
            "reason": reason,
            "detail": detail,
            "repeat": False,
        }

    def _tick(self, wall_ns: int) -> None:
        """The log's count of time goes on, by what passes while limits are in force."""
        if not self.has_limits:
            return
        if self.last_wall_ns == 0:
            self.elapsed_ns = self.recorded_elapsed_ns + 1
        else:
            self.elapsed_ns += max(0, wall_ns - self.last_wall_ns)
        self.last_wall_ns = wall_ns

    def _mark(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        symbol, price = request["symbol"], request["price"]
        if symbol not in WORTH:
            return {"type": "error", "code": "unknown_symbol", "field": "symbol"}
        clock_ns = wall_ns if abs(wall_ns - now_ns) > 10**9 else now_ns
        late_ns = max(0, clock_ns - request["as_of_ns"]) if "as_of_ns" in request else 0
        self._take_mark(symbol, (price, wall_ns, late_ns), wall_ns)
        in_force = self.marks[symbol][0]
        told = {} if in_force == price else {"in_force": in_force}
        return {"type": "marked", "symbol": symbol, "price": price, **told}

    def _take_mark(self, symbol: str, mark: tuple[int, int, int], wall_ns: int) -> None:
        """It counts; or it has jumped, and waits: there is but one client who sends any."""
        self.settle_marks(wall_ns, symbol)
        known = self.marks.get(symbol)
        if not self.has_limits or known is None or not has_jumped(known[0], mark[0]):
            self.marks[symbol] = mark
            self.jumps.pop(symbol, None)
            return
        waiting = self.jumps.get(symbol)
        is_same = waiting is not None and not has_jumped(waiting[0], mark[0])
        self.jumps[symbol] = (*mark, waiting[3] if waiting and is_same else wall_ns)

    def settle_marks(self, wall_ns: int, symbol: str = "") -> None:
        """What has stood for so long, and nobody has said otherwise, counts."""
        for name, (*mark, since_ns) in list(self.jumps.items()):
            if symbol in ("", name) and wall_ns - since_ns >= CONFIRM_MS * NS_PER_MS:
                self.marks[name] = (mark[0], mark[1], mark[2])
                del self.jumps[name]

    def _revalue(self, request: Reply, wall_ns: int) -> None:
        """Marks that have moved from the recorded prices are recorded before an order."""
        is_entry = request["type"] in ("order", "replace")
        if not is_entry or not self.has_limits or "order" in self.refused:
            return
        for symbol, (price, _, _) in self.marks.items():
            known, at_ns = self.prices.get(symbol, (0, 0))
            is_late = self.elapsed_ns - at_ns >= self.tree.revalue_s * 10**9
            has_moved = abs(price - known) * 10_000 > self.tree.revalue_bps * known
            if price != known and (has_moved or is_late):
                self._take_price((symbol, price, self.elapsed_ns), wall_ns)
                self.take_losses(wall_ns)

    def _take_price(self, content: tuple[str, int, int], wall_ns: int) -> None:
        symbol, price, elapsed_ns = content
        self._log("revalued", content, wall_ns, max(wall_ns, self.last_ns))
        self.prices[symbol] = (price, elapsed_ns)
        self.recorded_elapsed_ns = max(self.recorded_elapsed_ns, elapsed_ns)

    def take_losses(self, wall_ns: int) -> None:
        """What has lost more than it may is recorded, directly behind what has caused it."""
        for desk, symbol, _, _ in LOSSES:
            if (desk, symbol) not in self.lost and self._has_lost(desk, symbol):
                self._lose((desk, symbol), wall_ns)

    def _has_lost(self, desk: str, symbol: str) -> bool:
        """Has it lost more than it may?"""
        limits = {(of, at): most for of, at, most, _ in LOSSES if self.has_limits}
        most = limits.get((desk, symbol))
        return most is not None and self._profit(desk, symbol) < -most

    def _lose(self, place: tuple[str, str], wall_ns: int) -> None:
        self.lost[place] = self._log("loss", place, wall_ns, self.last_ns)

    def _profit(self, desk: str, symbol: str) -> int:
        """Since the day's turn, where limits say that it is looked at."""
        if not self.has_limits or not self.positions.is_kept:
            return 0
        prices = {symbol: price for symbol, (price, _) in self.prices.items()}
        return self.positions.day_profit(prices, desk, symbol)

    def _at_prices(self, desk: str) -> Reply:
        """What is shown of a desk: its gross, and its day's profit; where these can be said."""
        prices = {symbol: price for symbol, (price, _) in self.prices.items()}
        lines = {s: w for (of, s), w in self.positions.worsts().items() if of == desk}
        is_known = all(symbol in prices for symbol, pair in lines.items() if any(pair))
        gross = profit = None
        if self.has_limits and self.positions.is_kept and is_known:
            of = ([worth(n, s, prices.get(s, 0)) for n in pair] for s, pair in lines.items())
            gross, profit = bounded(sum(map(max, of))), self._profit(desk, "")
        return {"exposure_gross_microcents": gross, "day_profit_microcents": profit}

    def _loss_of(self, content: Reply) -> Reply | None:
        """The detail of the narrowest loss that bars an order; None where none does."""
        for desk, symbol, most, scope in LOSSES:
            is_own = desk == content["desk"] and symbol in ("", content["symbol"])
            if is_own and (desk, symbol) in self.lost:
                limit = most if self.has_limits else 2**63 - 1
                used = max(0, -self._profit(desk, symbol))
                return {"asked": 0, "limit": limit, "used": used, "scope": scope}
        return None

    def _said(self, request: Reply, wall_ns: int) -> Reply:
        """What the order's record says beside it: as it was recorded, or as it is now."""
        if "said" in request:
            said: Reply = request["said"]
            return said
        price = age_ns = 0
        if self.rules_version >= LIMITS_SINCE and request["symbol"] in self.marks:
            price, arrived_ns, late_ns = self.marks[request["symbol"]]
            age_ns = max(1, late_ns + max(0, wall_ns - arrived_ns))
        elapsed_ns = self.elapsed_ns if self.has_limits else 0
        jump = self.jumps.get(request["symbol"], (0,))[0]
        if not self.has_limits or not jump or not has_jumped(price, jump):
            jump = 0
        return {"price": price, "age_ns": age_ns, "jump": jump, "elapsed_ns": elapsed_ns}

    def _value(self, content: Reply, said: Reply, is_exit: bool) -> int:
        """What the order is valued at, in microcents; an exit at no more than its own price."""
        price = content["price"]
        if self.has_limits and said["price"] and content["side"] == "sell" and not is_exit:
            highest = -(-said["price"] * (10_000 + self.tree.collar_bps) // 10_000)
            price = max(price, highest)
        numerator, denominator = WORTH[content["symbol"]]
        return -(-content["quantity"] * price * numerator // denominator)

    def _beyond(
        self,
        content: Reply,
        said: Reply,
        value: int,
        is_exit: bool,
        added: tuple[int, int] | None = None,
        exit_detail: Reply | None = None,
    ) -> tuple[str, Reply] | None:
        """The first limit that refuses: its reason, and the detail.

        `added`: of a replace the lots and the microcents that it adds; `exit_detail`: of one of a
        reducing order that would do more.
        """
        if not self.has_limits:
            return None
        price, quantity, desk = content["price"], content["quantity"], content["desk"]

        def detail(asked: int, limit: int, used: int = 0, scope: int = 1) -> Reply:
            return {"asked": asked, "limit": limit, "used": used, "scope": scope}

        if desk == "desk-beta" and content["side"] == "sell":
            return "side_not_allowed", {"scope": 2}
        tree = self.tree
        if quantity > tree.quantity_max:
            return "quantity_above_max", detail(quantity, tree.quantity_max)
        if value > VALUE_MAX:
            return "value_above_max", detail(value, VALUE_MAX)
        is_stale = said["age_ns"] > AGE_MAX_MS * NS_PER_MS
        if is_exit and (is_stale or not said["price"]):
            return None
        if not said["price"]:
            return "reference_missing", {"scope": 1}
        if is_stale:
            age_ms = -(-said["age_ns"] // NS_PER_MS)
            return "reference_stale", detail(age_ms, AGE_MAX_MS)
        if said["jump"] and not is_exit:
            return "reference_unconfirmed", detail(said["jump"], JUMP_BPS, said["price"])
        low, high = sorted((said["price"], said["jump"] or said["price"]))
        nearest = max(low, min(price, high))
        if abs(price - nearest) * 10_000 > tree.collar_bps * nearest:
            return "price_outside_collar", detail(price, tree.collar_bps, nearest)
        if is_exit:
            return None
        if added is not None:
            too_fast = self._too_fast(desk, added[1], said, ("notional",)) if added[1] else None
            return too_fast or self._crowded(content, added[0], exit_detail)
        return self._too_fast(desk, value, said) or (
            self._duplicate(content, said) or self._crowded(content, content["quantity"])
        )

    def _too_fast(
        self, desk: str, value: int, said: Reply, kinds: tuple[str, ...] = ("orders", "notional")
    ) -> tuple[str, Reply] | None:
        for kind in kinds:
            for scope, of_desk, of_kind, window_ms, said_max in RATES:
                if of_kind != kind or of_desk not in (None, desk):
                    continue
                most = self.tree.orders_max if said_max is None else said_max
                amount = 1 if kind == "orders" else value
                used = self._used(said["elapsed_ns"], of_desk, kind, window_ms)
                if used + amount > most:
                    reason = "order" if kind == "orders" else "notional"
                    told = used if scope == 2 else 0
                    found = {"asked": amount, "limit": most, "used": told, "scope": scope}
                    return f"{reason}_rate_exceeded", found
        return None

    def _used(self, elapsed_ns: int, desk: str | None, kind: str, window_ms: int) -> int:
        """Of the running sixteenth of the window, and of the sixteen before it."""
        part_ns = -(-window_ms * NS_PER_MS // 16)
        counted = [(at_ns, of, value) for at_ns, of, _, value in self.admitted]
        return sum(
            1 if kind == "orders" else value
            for at_ns, of_desk, value in counted + (self.raised if kind == "notional" else [])
            if desk in (None, of_desk) and elapsed_ns // part_ns - at_ns // part_ns <= 16
        )

    def _raised(self, said: Reply, desk: str, more: int) -> None:
        """An admitted replace needs so much more."""
        if self.has_limits:
            self.raised.append((said["elapsed_ns"], desk, more))

    def _duplicate(self, content: Reply, said: Reply) -> tuple[str, Reply] | None:
        names = ("desk", "symbol", "side", "price", "quantity")
        for at_ns, _, other, _ in reversed(self.admitted):
            since_ns = said["elapsed_ns"] - at_ns
            if since_ns < DUPLICATE_MS * NS_PER_MS and all(content[n] == other[n] for n in names):
                detail = {"asked": since_ns // NS_PER_MS, "limit": DUPLICATE_MS, "used": 0}
                return "duplicate_order", {**detail, "scope": 1}
        return None

    def _crowded(
        self, content: Reply, lots: int, exit_detail: Reply | None = None
    ) -> tuple[str, Reply] | None:
        """Positions with all that works, and the desk's open orders; `lots`: what it adds."""
        is_replace = "original_client_order_id" in content
        desk, is_long = content["desk"], content["side"] == "buy"
        short = 0 if is_long else self.positions.short({**content, "quantity": lots})
        if short and content["symbol"] == "BTC-USD" and self.tree.short_sales == "refused":
            return "short_sale_not_allowed", {"asked": short, "scope": 3}
        if short and self._takes_locate(content):
            unlocated: tuple[str, Reply] | None = self._unlocated(content, short, 3)
            if unlocated is not None:
                return unlocated
        before = self.positions.worst(content)
        asked = before + lots
        limit, scope = (self.tree.long_max, 1) if is_long else (SHORT_MAX, 3)
        if lots and asked > limit and (is_long or content["symbol"] == "AAPL"):
            reason = f"position_{'long' if is_long else 'short'}_above_max"
            detail = {"asked": asked, "limit": limit, "used": max(0, before)}
            return reason, {**detail, "scope": scope}
        if exit_detail is not None:
            return "exit_beyond_position", exit_detail
        used = sum(key[0] == desk and of["state"] == "open" for key, of in self.orders.items())
        if not is_replace and desk == "desk-alpha" and used >= self.tree.open_orders_max:
            detail = {"asked": 1, "limit": self.tree.open_orders_max, "used": used}
            return "open_orders_above_max", {**detail, "scope": 2}
        return self._exposed(content, lots) if lots else None

    def _takes_locate(self, content: Reply) -> bool:
        """Does a short sale take one in its symbol?"""
        return (
            self.has_limits
            and content["symbol"] == "AAPL"
            and (self.tree.located_sales == "locate")
        )

    def _located_lots(self, content: Reply) -> int:
        """How many lots of an order that is admitted its locate answers for."""
        if content["side"] == "buy" or not self._takes_locate(content):
            return 0
        return self.positions.short(content)

    def _exposed(self, content: Reply, quantity: int) -> tuple[str, Reply] | None:
        """What everybody, the desk, or all in the symbol would have, at the recorded prices."""
        prices = {symbol: price for symbol, (price, _) in self.prices.items()}
        symbol, side = content["symbol"], content["side"]
        lines = self.positions.worsts()
        if symbol not in prices or any(of not in prices for (_, of), w in lines.items() if any(w)):
            return "reference_missing", {"scope": 1}
        key = (content["desk"], symbol)
        long, short = lines.get(key, (0, 0))
        more = (long + quantity, short) if side == "buy" else (long, short + quantity)
        after = {**lines, key: more}

        def sides(of: dict[tuple[str, str], tuple[int, int]], desk: str = "") -> dict[str, Any]:
            """By symbol what it is worth, long and short, of a desk or of all."""
            found: dict[str, tuple[int, int]] = {}
            for (name, held), pair in of.items():
                if desk in ("", name):
                    known = found.get(held, (0, 0))
                    found[held] = (known[0] + pair[0], known[1] + pair[1])
            return {s: [worth(lots, s, prices.get(s, 0)) for lots in w] for s, w in found.items()}

        own = worth(quantity, symbol, prices[symbol])
        at = 0 if side == "buy" else 1

        def gross(of: Any) -> int:
            return sum(max(pair) for pair in sides(of).values())

        def net(of: Any) -> int:
            return sum(pair[at] for pair in sides(of, "desk-alpha").values())

        if gross(lines) < gross(after) > GROSS_MAX:
            detail = {"asked": own, "limit": GROSS_MAX, "used": 0}
            return "exposure_gross_above_max", {**detail, "scope": 1}
        if content["desk"] == "desk-alpha" and net(lines) < net(after) > NET_MAX:
            detail = {"asked": net(after), "limit": NET_MAX, "used": max(0, net(lines))}
            return "exposure_net_above_max", {**detail, "scope": 2}
        if symbol == "AAPL" and side == "buy":
            before, behind = (max(0, sides(of).get(symbol, (0,))[0]) for of in (lines, after))
            if before < behind > LONG_WORTH_MAX:
                detail = {"asked": own, "limit": LONG_WORTH_MAX, "used": 0}
                return "exposure_long_above_max", {**detail, "scope": 3}
        return None

    def _meeting(self, content: Reply) -> list[Reply]:
        """The answers to the open orders that an admitted one may meet, if that is looked for."""
        if not self.has_limits or self.tree.self_match == "off":
            return []
        return crossing(content, self.orders.values())

    def _note(self, content: Reply, said: Reply, value: int, is_admitted: bool) -> None:
        """The order is recorded."""
        self.recorded_elapsed_ns = max(self.recorded_elapsed_ns, said["elapsed_ns"])
        if is_admitted and self.has_limits:
            self.admitted.append((said["elapsed_ns"], content["desk"], content, value))


def has_jumped(price: int, other: int) -> bool:
    """Does the other lie further from a price than counts at once?"""
    return abs(other - price) * 10_000 > price * JUMP_BPS


def worth(lots: int, symbol: str, price: int) -> int:
    """In microcents, with its sign, rounded up."""
    numerator, denominator = WORTH[symbol]
    return -(-lots * price * numerator // denominator)


def draw_mark(rng: Any, now_ns: int) -> Reply:
    """A mark as a client sends it: near the prices of orders, at times far from them."""
    symbol = rng.choice(("AAPL", "AAPL", "AAPL", "BTC-USD", "NONE"))
    price = 6_500_000 if symbol == "BTC-USD" else 20_000
    request = {
        "type": "mark",
        "symbol": symbol,
        "price": price * rng.choice((90, 98, 100, 100, 110)) // 100,
    }
    if rng.random() < 0.3:
        request["as_of_ns"] = now_ns - rng.choice((-(10**9), 0, 10**9, 5 * 10**9))
    return request
