"""The simulator's clients: what they send, how often, in which encoding, and what goes wrong.

Owns the requests. They resend what was answered and what was not, change the content under a known
id, fill too much, too late and what nobody knows, and send what is no request at all. Which of
it arrives, when and how often is the world's business (`sim.world`).
"""

import random
from typing import Any

import msgspec

from sim.oracle_limits import draw_mark
from sim.tables import WORTH

Request = dict[str, Any]

TRADERS = ("t-1", "t-2")
LOCATES = ("L-1", "L-2", "L-3", "L-4")
DESKS = ("desk-alpha", "desk-alpha", "desk-beta")
MALFORMED: tuple[tuple[Request, str, str], ...] = (
    ({"type": "order", "desk": "desk-alpha"}, "missing_field", "client_order_id"),
    ({"type": "cancel", "desk": "no spaces", "client_order_id": "X"}, "invalid_field", "desk"),
    ({"type": "status", "desk": "d", "client_order_id": "X", "more": 1}, "unknown_field", "more"),
    ({"type": "amend"}, "unknown_type", "type"),
)


class Clients:
    """All trading systems together. All randomness comes from `rng`."""

    def __init__(self, rng: random.Random, marks_per_cent: int) -> None:
        self._rng = rng
        self._marks_per_cent = marks_per_cent
        self._orders: list[Request] = []
        self._sent: list[Request] = []
        self._replaces: list[Request] = []
        self._groups: list[Request] = []
        self._now_ns = 0
        self._next_id = 0
        self.knows_locates = False  # software with earlier rules did not
        self.knows_names = False  # the same of whom orders name
        self.accounts: dict[str, list[str]] = {}  # of desks, as far as their clients know

    @property
    def known(self) -> list[Request]:
        """Every request ever sent that names an order."""
        return self._sent

    @property
    def orders(self) -> list[Request]:
        """All that was ever ordered, with what is known of it beside."""
        return self._orders

    def next_requests(self, now_ns: int) -> list[Request]:
        """What the next message holds."""
        if self._rng.random() < 0.05:
            return [self._together(now_ns)]
        count = self._rng.choice((1, 1, 1, 2, 5, 12)) if self._rng.random() < 0.99 else 80
        return [self._next_request(now_ns) for _ in range(count)]

    def encode(self, requests: list[Request]) -> bytes:
        """The body of a message with these requests, in either encoding."""
        bodies = [{k: v for k, v in request.items() if k not in ("code", "field")}
                  for request in requests]  # fmt: skip
        for body in bodies:
            body["type"] = body.get("wire_type", body["type"])
            body.pop("wire_type", None)
            if "orders" in body:  # whose the fault is, the oracle has beside them
                body.pop("desk", None)
                body.pop("client_order_id", None)
        is_together = any("orders" in body for body in bodies)
        is_single = is_together or (len(bodies) == 1 and self._rng.random() < 0.7)
        content = bodies[0] if is_single else bodies
        encode = self._rng.choice((msgspec.json.encode, msgspec.msgpack.encode))
        return encode(content)

    def _next_request(self, now_ns: int) -> Request:
        rng = self._rng
        self._now_ns = now_ns
        kind = rng.choices(
            (
                *("order", "again", "changed", "fill", "cancel", "status", "ping", "malformed"),
                *("mark", "reduce", "cancel_all", "replace", "settle"),
            ),
            (36, 16, 5, 22, 9, 6, 3, 3, self._marks_per_cent, 6, 1, 9, 8),
        )[0]
        if kind == "ping":
            request: Request = {"type": "ping"}
        elif kind == "mark":
            request = draw_mark(rng, now_ns)
        elif kind == "malformed":
            body, code, field = rng.choice(MALFORMED)
            request = {**body, "wire_type": body["type"], "type": "bad"}
            request |= {"code": code, "field": field}
        elif kind == "order" or not self._orders:
            request = self._order(now_ns)
            self._orders.append(request)
        elif kind == "again":
            request = dict(rng.choice(self._sent[-60:]))
        elif kind == "changed":
            request = self._changed(dict(rng.choice(self._sent[-60:])))
        else:
            request = getattr(self, f"_{kind}")(rng.choice(self._orders[-25:]))
        request.pop("request_id", None)
        if "client_order_id" in request and request["type"] in (
            "order",
            "fill",
            "cancel",
            "reduce",
            "replace",
            "replaced",
            "replace_rejected",
        ):
            self._sent.append(dict(request))
        if rng.random() < 0.5:
            request["request_id"] = rng.choice((rng.randrange(1000), f"r-{rng.randrange(1000)}"))
        return request

    def _order(self, now_ns: int) -> Request:
        rng = self._rng
        self._next_id += 1
        is_share = rng.random() < 0.7
        quantity = rng.choice((1, rng.randint(1, 300), rng.randint(1, 4_000)))
        request = {
            "type": "order",
            "client_order_id": f"A-{self._next_id}",
            "desk": rng.choice(DESKS) if rng.random() < 0.97 else "desk-nobody",
            "symbol": "AAPL" if is_share else "BTC-USD",
            "side": rng.choice(("buy", "sell")),
            "quantity": quantity if is_share else quantity * rng.randint(1, 9_999),
            "price": rng.randint(15_000, 25_000) if is_share else rng.randint(4_000_000, 9_000_000),
            "venue": rng.choice((10, 20, 30)),
            "risk_bps": rng.randint(0, 3_000),
            "confidence_bps": rng.randint(8_000, 10_000),
        }
        if self._marks_per_cent > 10 and self._orders and rng.random() < 0.15:  # again, by a slip
            request |= {
                name: self._orders[-1][name]
                for name in ("desk", "symbol", "side", "quantity", "price")
            }
        numerator, denominator = WORTH.get(request["symbol"], (0, 1))
        worth = request["quantity"] * request["price"] * numerator // denominator
        if self._next_id % 3 and worth > 10**9:
            # To the venue that the kernel prefers: so everybody knows where it is executed.
            request |= {"venue": 10, "allow_substitute": False}
        if self.knows_locates and request["side"] == "sell" and self._next_id % 5:
            request["locate_id"] = LOCATES[self._next_id % len(LOCATES)]
        if self.knows_names:
            request |= self._names(request["desk"])
        if self._next_id % 5 == 0:
            request["time_in_force"] = "gtc"  # its day's close leaves it open
        oddity = rng.random()
        if oddity < 0.03:
            request["risk_bps"] = rng.randint(9_601, 10_000)
        elif oddity < 0.06:
            request["confidence_bps"] = rng.randint(0, 6_999)
        elif oddity < 0.08:
            request["quantity"] = 2**32 + rng.randrange(9)
        elif oddity < 0.10:
            request["symbol"] = "NONE"
        if rng.random() < 0.5:
            request["sent_at_ns"] = now_ns
        if rng.random() < 0.1:
            request |= {"order_type": "limit", "currency": "USD"}  # what is the default anyway
        return request

    def _names(self, desk: str) -> Request:
        """Whose an order of that desk is, and the person that has made it."""
        number = self._next_id
        accounts = self.accounts.get(desk, [])
        found = {"trader": TRADERS[number // 7 % len(TRADERS)]} if number % 2 == 0 else {}
        if accounts and number % 8:
            found["account"] = accounts[number // 2 % len(accounts)]
        if number % 41 == 0:
            found["account"] = "acc-nobody"
        return found

    def _together(self, now_ns: int) -> Request:
        """Orders that stand or fall together: new ones, the same again, or some that are known."""
        rng = self._rng
        kind = rng.choices(("new", "again", "mixed", "bad"), (60, 30, 8, 2))[0]
        if kind == "again" and self._groups:
            request = dict(rng.choice(self._groups[-8:]))
        else:
            desk = rng.choice(DESKS)
            count = rng.choice((1, 2, 2, 3, 4, 9))
            orders = [{**self._order(now_ns), "desk": desk} for _ in range(count)]
            if rng.random() < 0.7:  # such as are often admitted
                for order in orders:
                    order["quantity"] = min(order["quantity"], 300)
            if kind == "mixed" and self._orders:
                known = dict(rng.choice(self._orders[-25:]), desk=desk)
                known.pop("request_id", None)
                names = [order["client_order_id"] for order in orders]
                if known["client_order_id"] not in names:
                    orders.insert(rng.randrange(count + 1), known)
            request = {"type": "all_or_none", "orders": orders}
            if kind == "bad":
                wrong = {"type": "bad", "wire_type": "all_or_none", "code": "invalid_field"}
                orders.append(dict(orders[0]))
                name = {"desk": desk, "client_order_id": orders[0]["client_order_id"]}
                field = f"orders[{count}].client_order_id"
                return {**request, **wrong, **name, "field": field}
            self._groups.append(dict(request))
            self._orders += orders
            self._sent += [dict(order) for order in orders]
        request.pop("request_id", None)
        if rng.random() < 0.5:
            request["request_id"] = f"g-{rng.randrange(1000)}"
        return request

    def _changed(self, request: Request) -> Request:
        if request["type"] == "order":
            field = self._rng.choice(("quantity", "price", "risk_bps"))
            request[field] = request[field] + 1 if field != "risk_bps" else 4_000
        elif request["type"] == "fill":
            field = self._rng.choice(("quantity", "fee_microcents"))
            request[field] += 1
        elif request["type"] in ("reduce", "replace"):
            request["quantity"] += 1
        return request

    def _fill(self, order: Request) -> Request:
        rng = self._rng
        quantity = order["quantity"]
        part = rng.choice((1, max(1, quantity // 3), quantity, rng.randint(1, quantity + 3)))
        fee = rng.choice((0, rng.randint(1, 50_000), rng.randint(1, 10**9), -500))
        if rng.random() < 0.01:
            fee = 3 * 10**14  # more than anybody has: the rest is unpaid
        number = rng.randrange(10**6)
        name = order["client_order_id"] if rng.random() < 0.94 else f"Z-{rng.randrange(5)}"
        request = {
            "type": "fill",
            "desk": order["desk"],
            "client_order_id": name,
            "fill_id": f"F-{number}",
            "quantity": part,
            "fee_microcents": fee,
        }
        if rng.random() < 0.5:
            request["price"] = order["price"]
        return request

    def _cancel(self, order: Request) -> Request:
        return {"type": "cancel", "desk": order["desk"],
                "client_order_id": order["client_order_id"]}  # fmt: skip

    def _reduce(self, order: Request) -> Request:
        quantity = order["quantity"]
        lots = self._rng.choice((1, max(1, quantity // 3), self._rng.randint(1, quantity + 3)))
        name = {"reduce_id": f"R-{self._rng.randrange(40)}", "quantity": lots}
        return {**self._cancel(order), "type": "reduce", **name}

    def _cancel_all(self, order: Request) -> Request:
        """Of a scope that the oracle knows: where an order went is the kernel's choice."""
        rng = self._rng
        request = {"type": "cancel_all", "through_sequence": rng.choice((10, 40, 100, 400))}
        if rng.random() < 0.8:
            request["of_desk"] = order["desk"]
        if rng.random() < 0.5:
            request["of_symbol"] = order["symbol"]
        return request

    def _replace(self, order: Request) -> Request:
        """Another order in its place, of more lots or fewer, dearer or cheaper, or as it is."""
        rng, quantity = self._rng, order["quantity"]
        self._next_id += 1
        name = f"A-{self._next_id}" if rng.random() < 0.95 else order["client_order_id"]
        lots = rng.choice((1, max(1, quantity // 2), quantity, quantity + 1, 2 * quantity))
        price = max(1, order["price"] + rng.choice((0, 0, -10, 10)))
        said = {
            "original_client_order_id": order["client_order_id"],
            "quantity": lots,
            "price": price,
            "order_type": "limit",
            "time_in_force": order.get("time_in_force", "day"),
        }
        if rng.random() < 0.05:
            said["time_in_force"] = "ioc"
        if rng.random() < 0.3:
            said["sent_at_ns"] = self._now_ns
        seen = {**order, "client_order_id": name, "quantity": lots, "price": price}
        self._orders.append(seen)
        self._replaces.append(seen)
        return {"type": "replace", "desk": order["desk"], "client_order_id": name, **said}

    def _settle(self, order: Request) -> Request:
        """The venue has replaced, or has not, or says so of an order that replaces none."""
        rng = self._rng
        if self._replaces and rng.random() < 0.95:
            order = rng.choice(self._replaces[-12:])
        word = rng.choice(("replaced", "replaced", "replace_rejected"))
        return {**self._cancel(order), "type": word}

    def _status(self, order: Request) -> Request:
        return {**self._cancel(order), "type": "status"}
