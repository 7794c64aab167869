"""The oracle's positions: what is had and what works of each desk and symbol, in lots.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the protocol page.
"""

from typing import Any

Reply = dict[str, Any]
SINCE_VERSION = 3


class Positions:
    """By desk and symbol: position and confirmed, signed; `buy` and `sell` work."""

    def __init__(self) -> None:
        self.is_kept = False
        self.since = 0  # the record
        self.lines: dict[tuple[str, str], dict[str, int]] = {}
        self.latched: set[str] = set()  # desks that a person left a surplus; nobody lifts it here

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
        line = self.lines.get((content["desk"], content["symbol"]))
        if line is None:
            return False
        sign = 1 if content["side"] == "sell" else -1
        there = min(sign * line["position"], sign * line["confirmed"])
        return content["quantity"] <= there - line[content["side"]]

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

    def fill(self, order: Reply | None, lots: int, is_known: bool) -> None:
        """Lots of an order were filled; `is_known`: its desk and its symbol are."""
        if not self.is_kept or order is None or not is_known:
            return
        content = order["content"]
        within = 0 if order["state"] == "refused" else min(lots, left_of(order))
        if order["state"] == "open":
            self._line(content)[content["side"]] -= within
        self.move(content, lots, within)

    def move(self, content: Reply, lots: int, confirmed: int) -> None:
        """So much more of an order was filled, or less; confirmed: within it."""
        if self.is_kept:
            line, sign = self._line(content), 1 if content["side"] == "buy" else -1
            line["position"] += sign * lots
            line["confirmed"] += sign * confirmed

    def shown(self) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        """As the guard's are compared."""
        return {key: tuple(line.values()) for key, line in self.lines.items()}  # type: ignore[misc]


def left_of(order: Reply) -> int:
    """How many of its lots are neither filled nor taken off."""
    gone = order["filled"] + order.get("reduced", 0)
    return max(0, order["content"]["quantity"] - gone)
