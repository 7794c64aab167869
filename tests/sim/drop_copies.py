"""The simulator's drop copy: what a venue reports of trades beside the desk's own session.

Owns the executions, and the fills of trades that it reports first. They come before their fills,
after them and instead of them, twice, with other numbers, from a venue where the order is not, and
of orders that nobody knows. Which of it arrives, and when, is the world's business (`sim.world`).
"""

import random
from typing import Any

from sim.clients import Clients

Request = dict[str, Any]
OTHER = {"AAPL": "BTC-USD", "BTC-USD": "AAPL"}


class DropCopies:
    """That of one firm; nothing where it is not used. All randomness comes from `rng`."""

    def __init__(self, rng: random.Random, clients: Clients, *, is_used: bool) -> None:
        self._rng = rng
        self._clients = clients
        self._is_used = is_used
        self._executions: list[Request] = []
        self._next_id = 0
        self.known: list[Request] = []  # all that was ever sent

    def next_requests(self) -> list[Request]:
        """What the next message holds; nothing mostly."""
        rng = self._rng
        if not self._is_used or rng.random() < 0.5:
            return []
        found = [self._next_request() for _ in range(rng.choice((1, 1, 2, 4)))]
        requests = [request for request in found if request is not None]
        self.known += map(dict, requests)
        for request in requests:
            if rng.random() < 0.4:
                request["request_id"] = rng.randrange(1_000)
        return requests

    def _next_request(self) -> Request | None:
        rng = self._rng
        kinds = ("first", "behind", "fill", "again", "changed", "stray")
        kind = rng.choices(kinds, (30, 30, 30, 8, 4, 3))[0]
        if kind == "behind":
            return self._behind_a_fill()
        if kind == "stray":
            return self._execution({"desk": rng.choice(("desk-alpha", "desk-nobody")),
                                    "client_order_id": f"Z-{rng.randrange(5)}", "symbol": "AAPL",
                                    "side": "buy", "venue": 10, "price": 20_000}, 1)  # fmt: skip
        if kind == "first" or not self._executions:
            orders = [one for one in self._clients.orders[-25:] if _place_is_known(one)]
            if not orders:
                return None
            order = rng.choice(orders)
            quantity = order["quantity"]
            parts = (1, max(1, quantity // 3), quantity, rng.randint(1, quantity + 3))
            return self._execution(order, rng.choice(parts))
        execution = rng.choice(self._executions[-12:])
        if kind == "fill":
            return self._fill_of(execution)
        if kind == "changed":
            field = rng.choice(("quantity", "price"))
            return {**execution, field: execution[field] + 1}
        return dict(execution)

    def _execution(self, order: Request, lots: int, name: str = "") -> Request:
        """Mostly as its order is."""
        rng = self._rng
        self._next_id += 1
        request = {
            "type": "execution",
            "desk": order["desk"],
            "client_order_id": order["client_order_id"],
            "execution_id": name or f"E-{self._next_id}",
            "venue": order["venue"],
            "symbol": order["symbol"],
            "side": order["side"],
            "quantity": lots,
            "price": max(1, order["price"] + rng.choice((0, 0, -1, 7))),
        }
        oddity = rng.random()
        if oddity < 0.03:
            request["venue"] = rng.choice((10, 20, 30, 40))
        elif oddity < 0.05:
            request["symbol"] = OTHER.get(order["symbol"], "AAPL")
        elif oddity < 0.07:
            request["side"] = "sell" if order["side"] == "buy" else "buy"
        elif oddity < 0.08:
            request["symbol"] = "NONE"
        if rng.random() < 0.3:
            request["executed_at_ns"] = rng.randrange(1, 10**18)
        self._executions.append(request)
        return dict(request)

    def _behind_a_fill(self) -> Request | None:
        """The execution of a fill that was sent: mostly it says the same."""
        rng = self._rng
        by_name = {(one["desk"], one["client_order_id"]): one for one in self._clients.orders[-60:]}
        named = [
            (one, by_name[one["desk"], one["client_order_id"]])
            for one in self._clients.known[-60:]
            if one["type"] == "fill" and (one["desk"], one["client_order_id"]) in by_name
        ]
        known = [(fill, order) for fill, order in named if _place_is_known(order)]
        if not known:
            return None
        fill, order = rng.choice(known)
        lots = max(1, fill["quantity"] + rng.choice((0, 0, 0, 0, -1, 5)))
        request = self._execution(order, lots, fill["fill_id"])
        if rng.random() < 0.7:
            request["price"] = fill.get("price", request["price"])
        self._executions[-1] = dict(request)
        return request

    def _fill_of(self, execution: Request) -> Request:
        """The fill of a trade that was reported: mostly it says the same."""
        rng = self._rng
        names = ("desk", "client_order_id")
        request = {
            "type": "fill",
            **{name: execution[name] for name in names},
            "fill_id": execution["execution_id"],
            "quantity": max(1, execution["quantity"] + rng.choice((0, 0, 0, 0, -1, 5))),
            "fee_microcents": rng.choice((0, rng.randint(1, 50_000), -500)),
        }
        if rng.random() < 0.6:
            request["price"] = max(1, execution["price"] + rng.choice((0, 0, 0, 3)))
        return request


def _place_is_known(order: Request) -> bool:
    """Does everybody know where it is executed, whatever the guard's kernel prefers?"""
    return order.get("allow_substitute") is False
