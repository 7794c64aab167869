"""The oracle's part about `cancel_all`: what is open of a scope is off (PROTOCOL, 5.3)."""

from collections.abc import Callable
from typing import Any

from sim.tables import DISK_FULL, WORTH, Reply

SINCE_VERSION = 3  # of the rules
SCOPE = ("of_desk", "of_symbol", "of_venue")


class OracleCancelAll:
    """See the module."""

    rules_version: int
    next_sequence: int
    orders: dict[tuple[str, str], Reply]
    desks: dict[str, Reply]
    refused: tuple[str, ...]
    _free: Callable[[Reply, int, int], tuple[int, int]]
    _record: Callable[[str, Any, int, int], int]
    _sweep: Callable[[str | None, int, int], None]

    def _cancel_all(self, request: Reply, now_ns: int, wall_ns: int) -> Reply:
        scope = {name: request.get(name) for name in SCOPE}
        through = request["through_sequence"]
        if self.rules_version < SINCE_VERSION:
            return {"type": "error", "code": "unknown_type", "field": "type"}
        if through >= self.next_sequence:
            return {"type": "error", "code": "unknown_record", "field": "through_sequence"}
        for name, code, known in (
            ("of_desk", "unknown_desk", self.desks),
            ("of_symbol", "unknown_symbol", WORTH),
        ):
            if scope[name] is not None and scope[name] not in known:
                return {"type": "error", "code": code, "field": name}
        if "cancel_all" in self.refused:
            return dict(DISK_FULL)
        meant = [order for order in self.orders.values() if _is_meant(order, through, scope)]
        sequence = self._record("cancel_all", request, wall_ns, now_ns)
        released = collected = 0
        for order in sorted(meant, key=lambda order: order["answer"]["wal_sequence"]):
            held, paid = self._free(order, sequence, now_ns)
            order["released"].pop("collected_microcents", None)  # its own cancel tells none of it
            released, collected = released + held, collected + paid
        self._sweep(None, sequence, now_ns)
        return {
            "type": "canceled_all",
            "through_sequence": through,
            **scope,
            "wal_sequence": sequence,
            "orders": len(meant),
            "released_microcents": released,
            **({"collected_microcents": collected} if collected else {}),
        }


def _is_meant(order: Reply, through: int, scope: Reply) -> bool:
    """Is it open, of the scope, and not behind the record? Nor may any be that is in its place."""
    content, chain = order["content"], order.get("chain") or {"stands": order, "waits": None}
    works = (one for one in (chain["stands"], chain["waits"]) if one is not None)
    return (
        order["state"] == "open"
        and all(one["answer"]["wal_sequence"] <= through for one in works)
        and scope["of_desk"] in (None, content["desk"])
        and scope["of_symbol"] in (None, content["symbol"])
        and scope["of_venue"] in (None, order["answer"]["venue"])
    )
