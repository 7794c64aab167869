"""The clients' side of the torture: orders to whoever serves, and the first answer to each.

Owns what was sent and answered, and the judgement of each reply against the replies before it. It
knows nothing of the product but the protocol.
"""

import random
import time
from typing import Any, Final

from protocol_client import PING, ProtocolClient, status
from protocol_client import order as an_order

IN_FLIGHT: Final = 32


class Load:
    """The clients' side: what was sent, what was answered, by whom and when."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.sockets: dict[str, ProtocolClient] = {}
        self.serving = ""
        self.next_number = 0
        self.waiting: dict[str, float] = {}  # order ids, when they were sent last
        self.answers: dict[str, dict[str, Any]] = {}  # the first to each order
        self.heads: list[tuple[int, str]] = []
        self.count = 0
        self.is_idle = False  # sends no orders, until another guard serves
        self.newest = 0  # the last record of all that were answered
        self.full_at = ""  # the guard whose disk is full
        self.put_off: dict[str, int] = {}  # orders that it has put off, and `newest` then
        self.late = 0  # answers of a guard that is not the one any more
        self.wrong: list[str] = []

    def serve_at(self, endpoint: str) -> None:
        """From now on requests go there; what waits is sent there again."""
        if endpoint == self.serving:
            return
        self.serving = endpoint
        self.is_idle = False
        if endpoint not in self.sockets:
            self.sockets[endpoint] = ProtocolClient(endpoint)
        for name in self.waiting:
            self._send(an_order(name, quantity=1))
            self.waiting[name] = time.monotonic()

    def turn(self) -> None:
        """Sends what there is room for, and takes what has come, from every guard there was."""
        if self.serving and not self.is_idle:
            while len(self.waiting) < IN_FLIGHT:
                self._one_more()
            now = time.monotonic()
            for name, sent in self.waiting.items():
                if now - sent > 5:
                    self.waiting[name] = now
                    self._send(an_order(name, quantity=1))
        self.listen()

    def listen(self) -> None:
        """Takes what has come."""
        for endpoint, client in self.sockets.items():
            while client.socket.poll(0):
                self._take(client.receive(), endpoint)
        if self.serving:
            self.sockets[self.serving].socket.poll(2)

    def _send(self, request: dict[str, Any]) -> None:
        self.sockets[self.serving].send(request)

    def ask(self, endpoint: str) -> None:
        """A ping and a query, whose answers may not show less than was answered before them.

        Each names in its request id what that was.
        """
        self.sockets[endpoint].send({**PING, "request_id": self.newest})
        if self.answers:
            known = self.draw.choice(list(self.answers))
            self.sockets[endpoint].send({**status(known), "request_id": "known"})

    def _one_more(self) -> None:
        name = f"T-{self.next_number}"
        self.next_number += 1
        self.waiting[name] = time.monotonic()
        self._send(an_order(name, quantity=1))
        if self.answers and self.draw.random() < 0.1:
            self.ask(self.serving)
            self._send(an_order(f"T-{self.draw.randrange(self.next_number)}", quantity=1))

    def _take(self, reply: dict[str, Any], endpoint: str) -> None:
        self.count += 1
        self.late += endpoint != self.serving
        if reply["type"] == "pong":
            self.heads.append((reply["head_sequence"], reply["head_hash"]))
            if reply["head_sequence"] < reply["request_id"]:
                self.wrong.append(f"a ping shows less than was answered before it: {reply}")
            return
        if reply["type"] == "error":
            if endpoint == self.full_at and reply["code"] == "disk_full":
                # Nothing has changed, it says; sent again later, the order is to be answered.
                self.put_off[reply["client_order_id"]] = self.newest
                return
            self.wrong.append(f"an error: {reply}")
            return
        answer = reply.get("answer", reply)
        if answer is None:
            if reply.get("request_id") == "known":
                self.wrong.append(f"an order that was answered is not known: {reply}")
            return
        name = answer["client_order_id"]
        plain = {key: value for key, value in answer.items() if key != "repeat"}
        first = self.answers.setdefault(name, plain)
        if first != plain:
            self.wrong.append(f"two answers to {name}: {first} and {plain}")
        if answer["wal_sequence"] <= self.put_off.get(name, 0):
            self.wrong.append(f"put off for a full disk, and recorded before that: {answer}")
        self.newest = max(self.newest, answer["wal_sequence"])
        self.waiting.pop(name, None)
