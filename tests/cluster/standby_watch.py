"""What standbys say of themselves, held against what clients had been answered when.

Owns the questions to them, and the judgement: a standby that says that it may be behind by so long
must have every record that a client had been told of before that, and know each order that had
been answered then by its first answer. It knows nothing of the product but the protocol.
"""

import random
import time
from bisect import bisect_right
from typing import Any, Final

from protocol_client import PING, ProtocolClient, status

_S_PER_NS: Final = 1e-9


class StandbyWatch:
    """Over one run. `answers`: the first one to each order, by its id, as they come."""

    def __init__(self, answers: dict[str, dict[str, Any]], draw: random.Random) -> None:
        self._answers = answers
        self._draw = draw
        self._sockets: dict[str, ProtocolClient] = {}
        self._asked: dict[int, tuple[float, dict[str, Any]]] = {}
        self._times: list[float] = []  # when a client was answered by a record that was the newest
        self._newest: list[int] = []
        self.count = 0
        self.longest_s = 0.0
        self.wrong: list[str] = []

    def ask(self, endpoint: str) -> None:
        """A ping, and a question about an order that was answered."""
        client = self._sockets.get(endpoint)
        if client is None:
            client = self._sockets[endpoint] = ProtocolClient(endpoint)
        questions: list[dict[str, Any]] = [dict(PING)]
        if self._answers:
            questions.append(status(self._draw.choice(list(self._answers))))
        for question in questions:
            number = len(self._asked) + 1
            self._asked[number] = time.monotonic(), dict(question)
            client.send({**question, "request_id": number})

    def look(self, newest: int) -> None:
        """Takes what has come. `newest`: the last record that any client was answered by."""
        if not self._newest or newest > self._newest[-1]:
            self._times.append(time.monotonic())
            self._newest.append(newest)
        for client in self._sockets.values():
            while client.socket.poll(0):
                self._judge(client.receive())

    def _judge(self, reply: dict[str, Any]) -> None:
        asked_at, question = self._asked[reply["request_id"]]
        if "behind_ns" not in reply:
            return  # it serves by now
        self.count += 1
        behind_s = reply["behind_ns"] * _S_PER_NS
        self.longest_s = max(self.longest_s, behind_s)
        at = bisect_right(self._times, asked_at - behind_s)
        owed = self._newest[at - 1] if at else 0
        if reply["type"] == "pong":
            if reply["head_sequence"] < owed:
                self.wrong.append(f"a standby lacks record {owed}, and says {reply}")
            return
        first = self._answers[question["client_order_id"]]
        if reply["answer"] is None:
            if first["wal_sequence"] <= owed:
                self.wrong.append(f"a standby does not know {first}, and says {reply}")
            return
        plain = {key: value for key, value in reply["answer"].items() if key != "repeat"}
        if plain != first:
            self.wrong.append(f"a standby says {plain} of {first}")
