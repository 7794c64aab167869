"""The oracle's positions: what is had and what works of each desk and symbol, in lots.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the protocol page. Profit is
by average cost (PROTOCOL 12), in microcents.
"""

from typing import Any

from sim.tables import WORTH

Reply = dict[str, Any]
SINCE_VERSION = 3
I64_MAX = 2**63 - 1


class Positions:
    """By desk and symbol: position and confirmed, signed; `buy` and `sell` work."""

    def __init__(self) -> None:
        self.is_kept = False
        self.since = 0  # the record
        self.lines: dict[tuple[str, str], dict[str, int]] = {}
        self.money: dict[tuple[str, str], list[int]] = {}  # cost and realised profit
        self.turned: dict[tuple[str, str], int] = {}  # what was made by the day's turn
        self.uncounted: set[tuple[str, str]] = set()  # where something was too much in this day

    def begin(self, orders: dict[tuple[str, str], Reply], sequence: int) -> None:
        """From this record on they are kept: what is open works."""
        self.is_kept, self.since = True, sequence
        for order in orders.values():
            if order["state"] == "open":
                self.work(order["content"], left_of(order))

    def _line(self, content: Reply) -> dict[str, int]:
        key = (content["desk"], content["symbol"])
        return self.lines.setdefault(key, {"position": 0, "confirmed": 0, "buy": 0, "sell": 0})

    def work(self, content: Reply, lots: int) -> None:
        """So many more lots of an order work."""
        if self.is_kept:
            self._line(content)[content["side"]] += lots

    def surplus(self, desk: str, orders: dict[tuple[str, str], Reply]) -> int:
        """By how many lots its reducing orders that work exceed what there is to reduce."""
        exits: dict[tuple[str, str], int] = {}
        for (of, _), order in orders.items():
            if of == desk and order["state"] == "open" and "reducing" in order["answer"]:
                key = (order["content"]["symbol"], order["content"]["side"])
                exits[key] = exits.get(key, 0) + left_of(order)
        excess = 0
        for (symbol, side), lots in exits.items():
            line = self.lines[desk, symbol]
            sign = 1 if side == "sell" else -1
            there = max(0, min(sign * line["position"], sign * line["confirmed"]))
            excess += max(0, lots - there)
        return excess

    def reduces(self, content: Reply) -> bool:
        """Can the order but reduce what there is, beside all that works that way?"""
        return bool(content["quantity"] <= self.reducible(content, 0))

    def reducible(self, content: Reply, own: int) -> int:
        """How many lots it may reduce, beside what works that way but for so many of its own."""
        line = self.lines.get((content["desk"], content["symbol"]))
        if line is None:
            return 0
        sign = 1 if content["side"] == "sell" else -1
        there = min(sign * line["position"], sign * line["confirmed"])
        return max(0, there - (line[content["side"]] - own))

    def worst(self, content: Reply) -> int:
        """What the desk has on the order's side, with all that works there; below zero: against."""
        line = self.lines.get((content["desk"], content["symbol"]))
        if line is None:
            return 0
        sign = 1 if content["side"] == "buy" else -1
        return sign * line["position"] + line[content["side"]]

    def short(self, content: Reply) -> int:
        """How many lots of a sell are beyond what covers it, with all that works to sell."""
        line = self.lines.get((content["desk"], content["symbol"]))
        if line is None:
            return int(content["quantity"])
        there = line["position"]
        if there > 0:
            there = max(0, min(there, line["confirmed"]))
        beyond = content["quantity"] - (there - line["sell"])
        return max(0, min(beyond, content["quantity"]))

    def worsts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Of each the lots that it may come to be long, and short, with all that works."""
        return {
            key: (line["position"] + line["buy"], line["sell"] - line["position"])
            for key, line in self.lines.items()
        }

    def fill(self, order: Reply | None, lots: int, is_known: bool, price: int | None = None) -> int:
        """Lots of an order were filled; `is_known`: its desk and its symbol are. How many of them
        are confirmed."""
        if order is None or not is_known:
            return 0
        content = order["content"]
        within = 0 if order["state"] == "refused" else min(lots, left_of(order))
        if order["state"] == "open":
            self.work(content, -within)
        chain = order.get("chain")
        if chain and order["state"] != "refused":  # all that was ever admitted counts
            within = max(0, min(lots, chain["ever"] - order["filled"]))
        self.move(content, lots, within, price)
        return within

    def move(self, content: Reply, lots: int, confirmed: int, price: int | None = None) -> None:
        """So much more of an order was filled, or less; confirmed: within it."""
        if self.is_kept:
            line, sign = self._line(content), 1 if content["side"] == "buy" else -1
            self._pay(content, sign * lots, price or content["price"])
            line["position"] += sign * lots
            line["confirmed"] += sign * confirmed
            key, is_up = (content["desk"], content["symbol"]), content["side"] == "buy"
            whole = worth(abs(lots), key[1], price or content["price"], is_up=is_up)
            if any(map(is_at_end, (whole, line["position"], *self.money[key]))):
                self.uncounted.add(key)

    def _pay(self, content: Reply, lots: int, price: int) -> None:
        """What lots bought, or sold where below zero, cost, and what of it was made or lost."""
        key = (content["desk"], content["symbol"])
        has, money = self.lines[key]["position"], self.money.setdefault(key, [0, 0])
        whole = worth(abs(lots), content["symbol"], price, is_up=content["side"] == "buy")
        if has == 0 or (has > 0) == (lots > 0):
            money[0] = bounded(money[0] + whole)
            return
        size, is_long = abs(has), has > 0
        if abs(lots) <= size:
            part, got = divided(money[0] * abs(lots), size, is_up=is_long), whole
            money[0] -= part
        else:
            part, got = money[0], divided(whole * size, abs(lots), is_up=not is_long)
            money[0] = whole - got
        money[1] = bounded(money[1] + (got - part if is_long else part - got))

    def made(self, key: tuple[str, str], price: int) -> int:
        """Realised and unrealised; price 0: not known."""
        cost, realised = self.money.get(key, [0, 0])
        has = self.lines[key]["position"]
        if not price or not has:
            return realised
        value = worth(abs(has), key[1], price, is_up=has < 0)
        return bounded(realised + (value - cost if has > 0 else cost - value))

    def turn_day(self, prices: dict[str, int]) -> None:
        """A day ends: what is made from here on is the next one's."""
        self.turned = {key: self.made(key, prices.get(key[1], 0)) for key in self.lines}
        self.uncounted = {key for key in self.lines if self._is_beyond(key, prices)}

    def day_profit(self, prices: dict[str, int], desk: str, symbol: str) -> int:
        """What a desk has made since then in a symbol; empty: in all. A loss that cannot be counted
        is the greatest."""
        keys = [key for key in self.lines if desk in ("", key[0]) and symbol in ("", key[1])]
        if any(key in self.uncounted or self._is_beyond(key, prices) for key in keys):
            return -I64_MAX
        made = (self.made(key, prices.get(key[1], 0)) - self.turned.get(key, 0) for key in keys)
        return bounded(sum(map(bounded, made)))

    def _is_beyond(self, key: tuple[str, str], prices: dict[str, int]) -> bool:
        """Is what a position is worth, or has made, more than is counted?"""
        price, has = prices.get(key[1], 0), self.lines[key]["position"]
        value = worth(abs(has), key[1], price, is_up=has < 0)
        return is_at_end(value) or is_at_end(self.made(key, price))

    def shown(self) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        """As the guard's are compared."""
        return {key: tuple(line.values()) for key, line in self.lines.items()}  # type: ignore[misc]


def lots_of(order: Reply) -> int:
    """How many lots it may be filled with: of orders that replace each other the larger one's."""
    chain = order.get("chain") or {"stands": order, "waits": None}
    return max(
        one["content"]["quantity"] - one.get("reduced", 0)
        for one in (chain["stands"], chain["waits"])
        if one is not None
    )


def left_of(order: Reply) -> int:
    """How many of its lots are neither filled nor taken off."""
    return max(0, lots_of(order) - order["filled"])


def worth(lots: int, symbol: str, price: int, *, is_up: bool) -> int:
    """So many lots at that price, in microcents."""
    numerator, denominator = WORTH[symbol]
    return bounded(divided(lots * price * numerator, denominator, is_up=is_up))


def is_at_end(amount: int) -> bool:
    """Is it as much as is counted, or more?"""
    return abs(amount) >= I64_MAX


def bounded(amount: int) -> int:
    """What is beyond the ends of what is counted stays there."""
    return max(1 - 2**63, min(amount, 2**63 - 1))


def divided(amount: int, by: int, *, is_up: bool) -> int:
    """Rounded up or down."""
    return -(-amount // by) if is_up else amount // by
