"""The good client: one request after the other, at an even pace, each answered as it must be.

    python bystander.py ENDPOINT SEED REQUESTS_PER_S SECONDS RESULT_FILE

Writes what it has measured, in nanoseconds, and the ids of its orders, as JSON. Exit 0: every
request had its one right answer, in time.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from protocol_client import PING, ProtocolClient, cancel, fill, order, status

DESK = "desk-good"
QUANTITY = 100
CONNECTED = ".connected"  # the suffix of the file that says so
HEARTBEAT_MS = 500


class Bystander:
    """An order's whole life, again and again."""

    def __init__(self, endpoint: str, seed: int) -> None:
        self._draw = random.Random(seed)
        self._client = ProtocolClient(endpoint, encoding="msgpack", heartbeat_ms=HEARTBEAT_MS)
        self.latencies_ns: list[int] = []
        self.orders: dict[str, int] = {}  # the record that holds the answer
        self._steps: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def ask(self) -> None:
        """The next request and its reply."""
        if not self._steps:
            self._steps = self._life(f"G-{len(self.orders)}")
        request, expected = self._steps.pop(0)
        started_ns = time.perf_counter_ns()
        reply = self._client.ask(request)
        self.latencies_ns.append(time.perf_counter_ns() - started_ns)
        wrong = {key: reply.get(key) for key, value in expected.items() if reply.get(key) != value}
        assert not wrong, f"{request} was answered by {reply}, expected {expected}"
        if reply["type"] == "admit":
            self.orders[request["client_order_id"]] = reply["wal_sequence"]

    def _life(self, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Its requests, each with what its reply must hold."""
        part = self._draw.randint(1, QUANTITY - 1)
        new = order(name, desk=DESK, quantity=QUANTITY)
        first = {"type": "admit", "client_order_id": name, "repeat": False}
        filled = {"type": "filled", "open_quantity": QUANTITY - part, "flags": []}
        return [
            (new, first),
            (fill(name, "F-1", desk=DESK, quantity=part), {**filled, "repeat": False}),
            (fill(name, "F-1", desk=DESK, quantity=part), {**filled, "repeat": True}),
            (status(name, DESK), {"state": "open", "filled_quantity": part}),
            (cancel(name, DESK), {"type": "released", "repeat": False}),
            (new, {**first, "repeat": True}),
            (PING, {"type": "pong"}),
            (status(name, DESK), {"state": "closed", "filled_quantity": part}),
        ]

    def close(self) -> None:
        self._client.close()


def main() -> int:
    endpoint, seed, requests_per_s, seconds, result_file = sys.argv[1:]
    bystander = Bystander(endpoint, int(seed))
    bystander.ask()
    Path(result_file).with_suffix(CONNECTED).touch()
    period_s = 1 / float(requests_per_s)
    started = due = time.monotonic()
    while due - started < float(seconds):
        bystander.ask()
        # One that was held up is not followed by a burst of those that it held up.
        due = max(due + period_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    bystander.close()
    result = {"latencies_ns": bystander.latencies_ns, "orders": bystander.orders}
    Path(result_file).write_text(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
