"""The oracle's part about executions: fills and cancels, and what each frees and charges.

Plain dictionaries, like the rest of it (`sim.oracle`), worked out from the protocol page.
"""

from typing import Any

from sim.facts import SINCE_VERSION, Facts, fee_before, fee_of, pay, share
from sim.oracle_amendments import told_again
from sim.oracle_drop_copy import differs_from
from sim.oracle_positions import Positions, left_of
from sim.request_defaults import FILL_DEFAULTS
from sim.tables import DISK_FULL, WORTH, Reply, again, content_of


class OracleExecution:
    """See the module."""

    rules_version: int
    refused: tuple[str, ...]
    desks: dict[str, Any]
    facts: Facts
    positions: Positions
    _close: Any
    _find: Any
    _report_of: Any
    _take_reported: Any
    _free: Any
    _record: Any
    _recorded_fill: Any
    _remember_orphan: Any
    _sweep: Any

    def _fill(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        content = content_of(request, FILL_DEFAULTS)
        earlier = self._recorded_fill(request, now_ns)
        if earlier is not None:
            for field, value in earlier["content"].items():
                if field != "client_order_id" and content[field] != value:
                    return {"type": "error", "code": "fill_id_reused", "field": field}
            return {**told_again(earlier), "client_order_id": content["client_order_id"]}
        if "fill" in self.refused:
            return dict(DISK_FULL)
        return self._take_fill("fill", request, content, now_ns, wall_ns, [])

    def _take_fill(
        self, kind: str, request: Reply, content: Reply, now_ns: int, wall_ns: int, more: list[str]
    ) -> Reply:
        """A fill is recorded. `more`: flags that it has as it came before its order."""
        order = self._find(content, now_ns)
        freed, hold, left, flags = share(order, content)
        report = None if order is None else order.get("reports", {}).get(content["fill_id"])
        if order is not None and report is not None:
            is_open = order["state"] == "open"
            freed, hold, left = 0, order["hold"], left_of(order) if is_open else 0
            more = ["executed", *(["differs"] if differs_from(report, content) else [])]
            flags = []
        desk = self.desks.get(content["desk"])
        if self.rules_version >= SINCE_VERSION:
            fee = fee_of(content, flags, desk, freed)
        else:
            fee = fee_before(content, desk, freed)
        answer = {
            "type": "filled",
            "desk": content["desk"],
            "client_order_id": content["client_order_id"],
            "fill_id": content["fill_id"],
            "wal_sequence": self._record(kind, request, wall_ns, now_ns),
            "open_quantity": left,
            "hold_microcents": hold,
            "released_microcents": freed,
            "fee_microcents": content["fee_microcents"],
            "unpaid_fee_microcents": fee["unpaid"],
            "flags": flags + more,
            "repeat": False,
            **fee["said"],
        }
        if desk is not None:
            desk["remaining"] += freed - fee["charged"]
            desk["reserved"] -= freed
            desk["committed"] += fee["charged"]
            pay(desk, fee["collected"])
            desk["halted"] = desk["halted"] or fee["unpaid"] > 0
            desk["unpaid"] += fee["unpaid"]
        symbol = "" if order is None else order["content"]["symbol"]
        is_known, price = desk is not None and symbol in WORTH, content["price"]
        record = {"content": content, "answer": answer}
        if order is not None and report is not None:
            self._take_reported(order, record)
            order["fills"][content["fill_id"]] = record
            self._sweep(content["desk"], answer["wal_sequence"], now_ns)
            return answer
        lots = content["quantity"]
        record["confirmed"] = self.positions.fill(order, lots, is_known, price)
        identity = (content["desk"], content["client_order_id"], content["fill_id"])
        if order is None and desk is not None and self.rules_version >= SINCE_VERSION:
            self.facts.keep_fill(identity, record, now_ns)
            self._sweep(content["desk"], answer["wal_sequence"], now_ns)
            return answer
        if order is None or order["state"] == "refused":
            self._remember_orphan(content, record, now_ns)
            self._sweep(content["desk"], answer["wal_sequence"], now_ns)
            return answer
        order["fills"][content["fill_id"]] = record
        order["filled"] += content["quantity"]
        order["hold"] = hold
        if order["state"] == "open" and left == 0:
            self._close(order, "filled", now_ns)
        self._sweep(content["desk"], answer["wal_sequence"], now_ns)
        return answer

    def _cancel(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        early = self.facts.cancel_of(request, now_ns)
        if early is not None:
            return again(early)
        order = self._find(request, now_ns)
        if order is None and self.rules_version >= SINCE_VERSION and request["desk"] in self.desks:
            if "cancel" in self.refused:
                return dict(DISK_FULL)
            sequence = self._record("cancel", request, wall_ns, now_ns)
            self._sweep(request["desk"], sequence, now_ns)
            return self.facts.keep_cancel(request, sequence, now_ns)
        codes = {"refused": "order_refused", "filled": "order_filled"}
        code = "unknown_order" if order is None else codes.get(order["state"])
        if order is None or code is not None:
            return {"type": "error", "code": code, "field": "client_order_id"}
        named = {"client_order_id": request["client_order_id"]}
        if order["released"] is not None:
            return {**again(order["released"]), **named}
        if "cancel" in self.refused:
            return dict(DISK_FULL)
        sequence = self._record("cancel", request, wall_ns, now_ns)
        self._free(order, sequence, now_ns)
        self._sweep(request["desk"], sequence, now_ns)
        return {**order["released"], **named}
