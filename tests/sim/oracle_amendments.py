"""The oracle's part about what a person says of a fill: accepted, busted, corrected.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the admin page. What was
said stands with the fill's own record, and is forgotten with it.
"""

from typing import Any

from sim.facts import pay
from sim.oracle_positions import Positions
from sim.tables import WORTH, Reply, again

Key = tuple[str, str]
KINDS = ("accept_fill", "bust_fill", "correct_fill")
NAMES = ("desk", "client_order_id", "fill_id")
CORRECTED = ("quantity", "price", "fee_microcents")


class OracleAmendments:
    """See the module."""

    desks: dict[str, Any]
    orders: dict[Key, Reply]
    positions: Positions
    _recorded_fill: Any

    def _is_again(self, action: Reply, asked: Reply, now_ns: int) -> bool:
        """Asks an action on a fill for what was done under its id?"""
        if any(action.get(name) != asked.get(name) for name in ("type", *NAMES)):
            return False
        # As it is now: what it would still change was not done.
        return action["type"] != "correct_fill" or self._object_fill(action, now_ns) is not None

    def _object_fill(self, action: Reply, now_ns: int) -> Key | None:
        """Why nothing can be said of the fill, or nothing new."""
        if action["type"] == "correct_fill" and all(action.get(key) is None for key in CORRECTED):
            return "missing", "quantity"
        record = self._recorded_fill(action, now_ns)
        if record is None or action["desk"] not in self.desks:
            return "invalid", "fill_id"
        said = record.get("said", {})
        if action["type"] == "bust_fill":
            return ("already_so", "fill_id") if said.get("busted") else None
        if said.get("busted"):
            return "invalid", "fill_id"
        if action["type"] == "correct_fill":
            is_same = _corrected(record, action) == _corrected(record, {})
            return ("already_so", "fill_id") if is_same else None
        if said.get("accepted"):
            return "already_so", "fill_id"
        return None if "uncharged" in record["answer"]["flags"] else ("invalid", "fill_id")

    def _do_accept_fill(self, action: Reply, _sequence: int, now_ns: int) -> None:
        record = self._recorded_fill(action, now_ns)
        self._charge(self.desks[action["desk"]], max(_corrected(record, {})["fee_microcents"], 0))
        record.setdefault("said", {})["accepted"] = True

    def _do_bust_fill(self, action: Reply, _sequence: int, now_ns: int) -> None:
        record = self._recorded_fill(action, now_ns)
        self._return(self.desks[action["desk"]], _charged(record))
        self._trade_otherwise(action, record, None)
        record.setdefault("said", {})["busted"] = True

    def _do_correct_fill(self, action: Reply, _sequence: int, now_ns: int) -> None:
        record = self._recorded_fill(action, now_ns)
        after, desk = _corrected(record, action), self.desks[action["desk"]]
        before = _charged(record)
        lots = after["quantity"]
        changed = {**record, "said": {**record.get("said", {}), **after}}
        more = _charged(changed) - before
        if more > 0:
            self._charge(desk, more)
        else:
            self._return(desk, -more)
        self._trade_otherwise(action, record, lots)
        record["said"] = changed["said"]

    def _charge(self, desk: Reply, microcents: int) -> None:
        """A fee is paid as far as there is something free, and owed beyond."""
        paid = min(microcents, desk["remaining"])
        desk["remaining"] -= paid
        desk["committed"] += paid
        desk["unpaid"] += microcents - paid
        desk["halted"] = desk["halted"] or paid < microcents

    def _return(self, desk: Reply, microcents: int) -> None:
        """What was charged returns, as far as the desk spent and owes it; then debts are paid."""
        there = desk["committed"] + desk["unpaid"] - desk["returned"]
        returned = min(microcents, max(0, there))
        for name in ("initial", "remaining", "returned"):
            desk[name] += returned
        if returned:
            pay(desk, min(desk["unpaid"], desk["remaining"]))

    def _trade_otherwise(self, action: Reply, record: Reply, lots: int | None) -> None:
        """The fill counted, if it did, and counts with so many lots now, or not at all."""
        order = self.orders.get((action["desk"], action["client_order_id"]))
        order = None if order is None else order.get("chain", {}).get("first", order)
        sequence = record["answer"]["wal_sequence"]
        if order is None or order["content"]["symbol"] not in WORTH:
            return
        if sequence < max(self.positions.since, order["answer"]["wal_sequence"]):
            return
        confirmed = _confirmed(order, record)
        if confirmed is None:
            return
        desk = order["content"]["desk"]
        surplus = self.positions.surplus(desk, self.orders)
        before, content = _corrected(record, {}), order["content"]
        count = before["quantity"]
        self.positions.move(content, -count, -min(confirmed, count), before["price"])
        if lots is not None:
            price = _corrected(record, action)["price"]
            self.positions.move(content, lots, min(confirmed, lots), price)
        if self.positions.surplus(desk, self.orders) > surplus:
            self.positions.latched.add(desk)


def said_of_fills(order: Reply) -> Reply:
    """What a status says of an order's fills beside the rest."""
    said = [record.get("said", {}) for record in order["fills"].values()]
    counts = {
        "busted_fills": sum("busted" in one for one in said),
        "corrected_fills": sum("quantity" in one for one in said),
    }
    return {name: count for name, count in counts.items() if count}


def told_again(record: Reply) -> Reply:
    """The answer to a fill that is sent again, with what was said of it since."""
    said, answer = record.get("said", {}), again(record["answer"])
    by_flag = {"accepted": "accepted", "busted": "busted", "corrected": "quantity"}
    since = [flag for flag, name in by_flag.items() if name in said]
    return {**answer, "flags": answer["flags"] + since}


def _corrected(record: Reply, action: Reply) -> Reply:
    """The fill's numbers as they stand, or as they were then."""
    known = {**record["content"], **record.get("said", {})}
    values = {name: action.get(name) for name in CORRECTED}
    return {name: known[name] if value is None else value for name, value in values.items()}


def _charged(record: Reply) -> int:
    """What was charged for a fill, be it paid or owed."""
    is_charged = "uncharged" not in record["answer"]["flags"]
    if not is_charged and not record.get("said", {}).get("accepted"):
        return 0
    return max(_corrected(record, {})["fee_microcents"], 0)


def _confirmed(order: Reply, record: Reply) -> int | None:
    """How many lots of a fill were within its order; None where it counted nothing."""
    if order["state"] == "refused":
        return 0 if "refused" in record["answer"]["flags"] else None
    chain, filled = order.get("chain"), 0
    most = chain["ever"] if chain else order["content"]["quantity"]
    for one in order["fills"].values():
        lots = one["content"]["quantity"]
        if "reduce_id" in one["content"] and (chain or "late" in one["answer"]["flags"]):
            continue  # it took nothing off: of several orders all that was ever admitted counts
        if one is record:
            return max(0, min(lots, most - filled))
        filled += lots
    return None
