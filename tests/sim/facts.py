"""The oracle's second part: facts that come before their order, fees that are charged, debts.

As `sim.oracle`, worked out from the protocol page a second time; imports nothing of the product.
Under the first version of the rules none of this was so.
"""

from typing import Any

from sim.oracle_positions import lots_of

Reply = dict[str, Any]
FillKey = tuple[str, str, str]
SINCE_VERSION = 2
I64_MAX = 2**63 - 1


class Facts:
    """What is kept beside orders and orphans; `window_ns`: for how long."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.fills: dict[FillKey, Reply] = {}
        self.cancels: dict[tuple[str, str], Reply] = {}
        self.due: list[Reply] = []  # contents of fills, the next record first

    def forget_expired(self, now_ns: int) -> None:
        """What may be forgotten by now."""
        for kept in (self.fills, self.cancels):
            for key in [key for key, fact in kept.items() if fact["expires_ns"] <= now_ns]:
                del kept[key]  # type: ignore[arg-type]

    def keep_fill(self, key: FillKey, record: Reply, now_ns: int) -> None:
        """Keeps a fill for its order."""
        self.fills[key] = {"record": record, "expires_ns": now_ns + self.window_ns}

    def keep_cancel(self, request: Reply, sequence: int, now_ns: int) -> Reply:
        """Keeps a cancel for its order; its answer."""
        answer = {
            "type": "released",
            "desk": request["desk"],
            "client_order_id": request["client_order_id"],
            "wal_sequence": sequence,
            "released_microcents": 0,
            "repeat": False,
            "flags": ["early"],
        }
        key = (request["desk"], request["client_order_id"])
        # At the window's last nanosecond the order is not stale yet.
        expires_ns = now_ns + self.window_ns + 1
        self.cancels[key] = {"answer": answer, "expires_ns": expires_ns}
        return dict(answer)

    def cancel_of(self, request: Reply, now_ns: int) -> Reply | None:
        """The answer to an early cancel of that order."""
        kept = self.cancels.get((request["desk"], request["client_order_id"]))
        if kept is None or kept["expires_ns"] <= now_ns:
            return None
        answer: Reply = kept["answer"]
        return answer

    def fill_of(self, key: FillKey, now_ns: int) -> Reply | None:
        """What was said and answered of an early fill."""
        kept = self.fills.get(key)
        if kept is None or kept["expires_ns"] <= now_ns:
            return None
        record: Reply = kept["record"]
        return record

    def meet(self, desk: str, client_order_id: str) -> None:
        """The order is there: its fills are due, in the order in which they came.

        Those of which a person has said what they were are not.
        """
        for key in [key for key in self.fills if key[:2] == (desk, client_order_id)]:
            if "said" not in self.fills[key]["record"]:
                self.due.append(self.fills.pop(key)["record"]["content"])


def fee_of(content: Reply, flags: list[str], desk: Reply | None, freed: int) -> Reply:
    """What becomes of a fill's fee under the second version of the rules, and of the debt.

    Adds to the flags; `unpaid`, `charged` (what is paid of it) and `collected`.
    """
    fee = max(content["fee_microcents"], 0)
    if fee and ("unknown" in flags or desk is None):
        flags.append("uncharged")
        fee = 0
    free = 0 if desk is None else desk["remaining"] + freed
    unpaid = max(fee - free, 0)
    charged = fee - unpaid
    owed = 0 if desk is None else desk["unpaid"]
    collected = min(owed, free - charged)
    said = {"collected_microcents": collected} if collected else {}
    return {"unpaid": unpaid, "charged": charged, "collected": collected, "said": said}


def fee_before(content: Reply, desk: Reply | None, freed: int) -> Reply:
    """The same under the first version."""
    fee = max(content["fee_microcents"], 0)
    unpaid = max(fee - (0 if desk is None else desk["remaining"] + freed), 0)
    return {"unpaid": unpaid, "charged": fee - unpaid, "collected": 0, "said": {}}


def pay(desk: Reply, collected: int) -> None:
    """What came free pays so much of a debt."""
    if collected:
        desk["remaining"] -= collected
        desk["committed"] += collected
        desk["unpaid"] -= collected
        desk["halted"] = desk["unpaid"] > 0


def share(order: Reply | None, content: Reply) -> tuple[int, int, int, list[str]]:
    """What a fill frees, what is then held and open, and its flags."""
    if order is None:
        return 0, 0, 0, ["unknown"]
    if order["state"] == "refused":
        return 0, 0, 0, ["unknown", "refused"]
    left = (
        max(lots_of(order) - order["filled"], 0)
        if "chain" in order
        else (order["content"]["quantity"] - order["filled"] - order.get("reduced", 0))
    )
    left -= content["quantity"]
    flags = ["overfill"] if left < 0 else []
    if order["state"] != "open":
        return 0, 0, 0, [*flags, "late"]
    hold = share_left(order, max(left, 0))
    return order["hold"] - hold, hold, max(left, 0), flags


def share_left(order: Reply, left: int) -> int:
    """What an order still holds with so many lots left."""
    chain = order.get("chain")
    if chain is None:
        return held_with(order, left)
    filled = lots_of(order) - left
    lives = [one for one in (chain["stands"], chain["waits"]) if one is not None]
    return max(
        held_with(one, max(0, one["content"]["quantity"] - one.get("reduced", 0) - filled))
        for one in lives
    )


def held_with(order: Reply, left: int) -> int:
    """What it alone holds with so many lots left."""
    quantity, notional = order["content"]["quantity"], order["answer"]["notional_microcents"]
    return int(notional - notional * (quantity - left) // quantity) if left else 0
