"""What the simulator's oracle knows of the protocol page and of its world, as tables."""

from typing import Any

Reply = dict[str, Any]

GATES = (
    *("disabled", "quality", "risk_ceiling", "latency", "capability", "provider", "region"),
    *("budget", "utility"),
)
ADOPTED = ("venue", "substituted", "fee_microcents", "reason")
NOT_REMEMBERED = ("client_order_id_reused", "stale_order", "idempotency_window_full")
VENUES = (10, 20, 30)
# symbol: what a lot at one tick is worth in microcents, as a fraction
WORTH = {"AAPL": (1_000_000, 1), "BTC-USD": (1, 100)}
# By policy: the highest risk and the lowest confidence of an order, in basis points. The epoch of
# each is the one behind that of the policy before it.
POLICIES = {
    "first": (9_600, 7_000),
    "second": (2_000, 9_000),
    "third": (9_600, 8_500),
    "fourth": (2_500, 7_000),
    "fifth": (9_600, 7_000),
}
DISK_FULL = {"type": "error", "code": "disk_full", "field": ""}
HALT_SPACE_BYTES = 65_536  # with less, entries are refused without an event that says so


class WrongError(AssertionError):
    """The guard's answer, or its state, is not what it must be."""


def content_of(request: Reply, defaults: Reply) -> Reply:
    """What makes two requests the same one, with its defaults."""
    return {name: request.get(name, default) for name, default in defaults.items()}


def again(answer: Reply) -> Reply:
    """The first answer to a request that is sent again."""
    return {**answer, "repeat": True}


def admitted(content: Reply, sequence: int, reservation_id: int, notional: int) -> Reply:
    """The answer to an order that is admitted; None: not known yet."""
    return {
        "type": "admit",
        "client_order_id": content["client_order_id"],
        "wal_sequence": sequence,
        "reservation_id": reservation_id,
        "venue": None,
        "substituted": None,
        "notional_microcents": notional,
        "fee_microcents": None,
        "reason": None,
        "repeat": False,
    }
