"""The oracle's part about locates: lots that a desk may sell short (PROTOCOL 3.5, ADMIN 2).

Plain dictionaries, like the rest of it (`sim.oracle`). What an order uses of its locate is worked
out behind each record anew, from what of it is open or filled.
"""

from typing import Any

from sim.oracle_positions import lots_of
from sim.tables import WORTH, Reply

Key = tuple[str, str]


class OracleLocates:
    """See the module."""

    desks: dict[str, Any]
    orders: dict[Key, Reply]
    next_sequence: int

    def _reset_locates(self) -> None:
        self.locates: dict[str, Reply] = {}

    def _settle_locates(self) -> None:
        """What each order that is remembered uses by now."""
        for order in self.orders.values() if self.locates else ():
            if "located_lots" in order["answer"]:
                used = self._used_by(order)
                more, order["located"] = used - order.get("located", 0), used
                if more:
                    self.locates[order["content"]["locate_id"]]["used"] += more

    def _used_by(self, order: Reply) -> int:
        locate = self.locates.get(order["content"]["locate_id"])
        # One that was added since, under the same id, is another one.
        if locate is None or order["answer"]["wal_sequence"] < locate["sequence"]:
            return 0
        located = order["answer"]["located_lots"]
        covered = order["content"]["quantity"] - located
        lots = lots_of(order) if order["state"] == "open" else order["filled"]
        return int(min(max(0, lots - covered), located))

    def _locate_of(self, content: Reply) -> Reply | None:
        """The one that an order names, if it is of its desk and symbol."""
        locate = self.locates.get(content.get("locate_id") or "")
        names = ("desk", "symbol")
        is_own = locate is not None and all(locate[name] == content[name] for name in names)
        return locate if is_own else None

    def _unlocated(self, content: Reply, short: int, scope: int) -> tuple[str, Reply] | None:
        """Why lots that are short, where that takes a locate, are refused."""
        detail = {"asked": short, "scope": scope}
        if content.get("locate_id") is None or "original_client_order_id" in content:
            return "locate_missing", detail
        locate = self._locate_of(content)
        if locate is None:
            return "locate_unknown", detail
        if short > locate["quantity_lots"] - locate["used"]:
            told = {"limit": locate["quantity_lots"], "used": locate["used"]}
            return "locate_exceeded", {**detail, **told}
        return None

    # What operators do.

    def _object_add_locate(self, action: Reply, _now_ns: int) -> Key | None:
        if action["desk"] not in self.desks:
            return "unknown_desk", "desk"
        if action["symbol"] not in WORTH:
            return "unknown_symbol", "symbol"
        return ("locate_exists", "locate_id") if action["locate_id"] in self.locates else None

    def _object_remove_locate(self, action: Reply, _now_ns: int) -> Key | None:
        return None if action["locate_id"] in self.locates else ("unknown_locate", "locate_id")

    def _do_add_locate(self, action: Reply, sequence: int, _now_ns: int) -> None:
        kept = {name: action[name] for name in ("desk", "symbol", "quantity_lots")}
        self.locates[action["locate_id"]] = {**kept, "used": 0, "sequence": sequence}

    def _do_remove_locate(self, action: Reply, *_: int) -> None:
        del self.locates[action["locate_id"]]
        for order in self.orders.values():
            if order["content"].get("locate_id") == action["locate_id"]:
                order["located"] = 0

    def _shown_locates(self) -> Reply:
        lines = [
            {
                "locate_id": locate_id,
                **{name: locate[name] for name in ("desk", "symbol", "quantity_lots")},
                "used_lots": locate["used"],
                "wal_sequence": locate["sequence"],
            }
            for locate_id, locate in sorted(self.locates.items())
        ]
        head = self.next_sequence - 1
        return {"type": "locates", "locates": lines, "next_after": None, "head_sequence": head}
