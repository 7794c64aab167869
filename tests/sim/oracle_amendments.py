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
    latches: dict[tuple[str, str, str], int]
    next_sequence: int
    _bust_report: Any
    _recorded_fill: Any
    _find: Any
    _report_of: Any

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
        if action["type"] == "bust_fill" and self._report_of(action, now_ns) is not None:
            return None
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
        report = self._report_of(action, now_ns)
        if report is not None:
            surplus = self.positions.surplus(action["desk"], self.orders)
            self._bust_report(report, self._find(action, now_ns))
            self._latch_surplus(action["desk"], surplus)
            return
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
        flags = record["answer"]["flags"]
        if "unknown" in flags and "refused" not in flags:
            return
        desk, confirmed = order["content"]["desk"], record["confirmed"]
        surplus = self.positions.surplus(desk, self.orders)
        before, content = _corrected(record, {}), order["content"]
        count, leg = before["quantity"], record.pop("leg", None)
        if leg is None:
            self.positions.move(content, -count, -min(confirmed, count), before["price"])
        elif leg["content"]["symbol"] in WORTH:  # an execution that counts in its place
            executed = leg["content"]
            self.positions.move(executed, -executed["quantity"], 0, executed["price"])
        if lots is not None:
            price = _corrected(record, action)["price"]
            self.positions.move(content, lots, min(confirmed, lots), price)
        self._latch_surplus(desk, surplus)

    def _latch_surplus(self, desk: str, before: int) -> None:
        """A person's word has left more of it, or any."""
        if self.positions.surplus(desk, self.orders) > before:
            self.latches.setdefault((desk, "", "surplus"), self.next_sequence)


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
