"""The oracle's part about reductions: lots that the venue took off an order.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the protocol page. A
reduction stands among its order's fills, under a key that no fill has.
"""

from typing import Any

from sim.facts import pay, share_left
from sim.oracle_positions import SINCE_VERSION, Positions, left_of
from sim.tables import DISK_FULL, Reply, again

MARK = "\x01"


class OracleReductions:
    """See the module."""

    rules_version: int
    refused: tuple[str, ...]
    orders: dict[tuple[str, str], Reply]
    desks: dict[str, Any]
    positions: Positions
    _close: Any
    _find: Any
    _record: Any
    _sweep: Any

    def _recorded_reduction(self, request: Reply, now_ns: int) -> Reply | None:
        """What was said and answered under its id: known until it is swept out."""
        order = self._find(request, now_ns) or self.orders.get(
            (request["desk"], request["client_order_id"])
        )
        found = None if order is None else order["fills"].get(MARK + request["reduce_id"])
        return found if found is None else dict(found)

    def _reduce(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        if self.rules_version < SINCE_VERSION:
            return {"type": "error", "code": "unknown_order", "field": "client_order_id"}
        earlier = self._recorded_reduction(request, now_ns)
        if earlier is not None:
            if earlier["content"]["quantity"] != request["quantity"]:
                return {"type": "error", "code": "reduce_id_reused", "field": "quantity"}
            return {**again(earlier["answer"]), "client_order_id": request["client_order_id"]}
        order = self._find(request, now_ns)
        if order is None or order["state"] == "refused":
            code = "unknown_order" if order is None else "order_refused"
            return {"type": "error", "code": code, "field": "client_order_id"}
        if "reduce" in self.refused:
            return dict(DISK_FULL)
        is_open, left = order["state"] == "open", left_of(order)
        own, there = self._named(order, request), left
        if own is not order or "chain" in order:
            there = 0
            if own is not None:
                lots_own = own["content"]["quantity"] - own.get("reduced", 0)
                there = max(0, lots_own - order["filled"])
        is_live = is_open and own is not None
        lots = min(there, request["quantity"]) if is_live else 0
        flags = [] if is_live else ["late"]
        if is_live and request["quantity"] > there:
            flags = ["overreduced"]
        if own is not None:
            own["reduced"] = own.get("reduced", 0) + lots
        left_then = left_of(order) if is_open else 0
        hold = share_left(order, left_then) if is_open else 0
        freed = order["hold"] - hold
        desk = self.desks[request["desk"]]
        desk["remaining"] += freed
        desk["reserved"] -= freed
        collected = min(desk["unpaid"], desk["remaining"])
        pay(desk, collected)
        answer = {
            "type": "reduced",
            "desk": request["desk"],
            "client_order_id": request["client_order_id"],
            "reduce_id": request["reduce_id"],
            "wal_sequence": self._record("reduce", request, wall_ns, now_ns),
            "open_quantity": left_then,
            "hold_microcents": hold,
            "released_microcents": freed,
            "flags": flags,
            "repeat": False,
            **({"collected_microcents": collected} if collected else {}),
        }
        if is_open:
            self.positions.work(order["content"], left_then - left)
        order["fills"][MARK + request["reduce_id"]] = {"content": request, "answer": answer}
        order["hold"] = hold
        if is_open and not left_then:
            self._close(order, "filled", now_ns)
        self._sweep(request["desk"], answer["wal_sequence"], now_ns)
        return dict(answer)

    def _named(self, first: Reply, request: Reply) -> Reply | None:
        """The order that the request names, if it stands or waits: lots are taken off that one."""
        chain = first.get("chain")
        if chain is None:
            return first
        own = self.orders[request["desk"], request["client_order_id"]]
        return own if own is chain["stands"] or own is chain["waits"] else None


def said_of_reductions(order: Reply) -> Reply:
    """What a status says of them."""
    lots = order.get("reduced", 0)
    return {"reduced_quantity": lots} if lots else {}
