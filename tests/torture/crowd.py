"""Stock clients in one process, to be killed: DEALER and REQ as libzmq makes them.

    python crowd.py ENDPOINT SEED SOCKETS MESSAGES_PER_S SECONDS COUNTS_FILE

Each is born with its habits, drawn by the seed: heartbeats, a routing id of its own, of another one
or none, an encoding, how many messages it has under way, whether it reads its replies, how long it
lives. Then it closes, and another takes its place. One alone in its process floods: it sends what
it can at once, its heartbeats between, and reads nothing. Ends with its parent, or after SECONDS.
What it has done stands in the counts file, for who killed it.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
import zmq

from protocol_client import PING, cancel, fill, order, status

NICENESS = 19  # the daemon and its good client have the same few cores, and go first
TICK_S = 0.01
TICK_MESSAGES_MAX = 50  # what a tick that came late makes up for
REPORT_S = 0.1
SHARED_IDS = 5
IDS_A_CLIENT = 200  # then it begins again: repeats, and ids with other content
ARRAY_MAX = 256
LIFE_S = 5.0  # on the average
BURST_MESSAGES = 200
FLOOD_MESSAGES = 3_000  # more than any queue of a library's holds
FLOOD_EVERY_S = 0.5
FLOOD_HEARTBEAT_MS = 2
DESKS = ("desk-alpha", "desk-beta")


class Member:
    """One client and its habits."""

    _serial = itertools.count()

    def __init__(self, draw: random.Random, context: zmq.Context[Any], endpoint: str) -> None:
        self._draw = draw
        self.name = f"{os.getpid()}-{next(self._serial)}"
        self.is_req = draw.random() < 0.3
        self.reads = draw.random() < 0.85
        self.depth = 1 if self.is_req else draw.choice((1, 4, 16, 64))
        self.under_way = 0
        self.ends_at = time.monotonic() + draw.expovariate(1 / LIFE_S)
        self.codec: Any = draw.choice((msgspec.json, msgspec.msgpack))
        self.before = [b""] if not self.is_req and draw.random() < 0.3 else []
        self.desk = draw.choice(DESKS)
        self.socket = context.socket(zmq.REQ if self.is_req else zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        if draw.random() < 0.7:
            interval_ms = int(2 * 1_000 ** draw.random())  # 2 ms to 2 s
            self.socket.set(zmq.HEARTBEAT_IVL, interval_ms)
        if draw.random() < 0.25:
            self.socket.set(zmq.ROUTING_ID, b"trader-%d" % draw.randrange(SHARED_IDS))
        elif draw.random() < 0.2:
            self.socket.set(zmq.ROUTING_ID, self.name.encode())
        if self.is_req and draw.random() < 0.5:
            self.socket.set(zmq.REQ_RELAXED, 1)
            self.socket.set(zmq.REQ_CORRELATE, 1)
            self.depth = 4
        self.socket.connect(endpoint)

    def send(self, count: int) -> int:
        """Sends so many messages, if they fit into what it has under way; how many."""
        for sent in range(count):
            try:
                body = self.codec.encode(self._message())
                self.socket.send_multipart([*self.before, body], zmq.NOBLOCK)
            except zmq.ZMQError as error:
                if error.errno not in (zmq.EAGAIN, zmq.EFSM):  # full; a REQ that waits
                    raise
                return sent
            self.under_way += 1
        return count

    def receive(self) -> int:
        """Reads what has arrived; how many."""
        count = 0
        while self.socket.poll(0):
            self.socket.recv_multipart()
            count += 1
        self.under_way = max(0, self.under_way - count)
        return count

    def _message(self) -> Any:
        chance = self._draw.random()
        if chance < 0.7:
            return self._request()
        size = self._draw.randint(1, 16 if chance < 0.96 else ARRAY_MAX)
        return [self._request() for _ in range(size)]

    def _request(self) -> dict[str, Any]:
        draw = self._draw
        name = f"{self.name}-{draw.randrange(IDS_A_CLIENT)}"
        chance = draw.random()
        if chance < 0.5:
            return order(name, desk=self.desk, quantity=draw.randint(1, 9))
        if chance < 0.65:
            return fill(name, f"F-{draw.randrange(3)}", desk=self.desk, quantity=1)
        if chance < 0.8:
            return cancel(name, self.desk)
        return status(name, self.desk) if chance < 0.9 else PING


def write_counts(file: Path, counts: Mapping[str, int]) -> None:
    """Whole, whenever this process is killed."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(counts))
    fresh.replace(file)


def flood(endpoint: str, seconds: float, counts_file: Path, parent: int) -> None:
    """One client that waits for nothing."""
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.HEARTBEAT_IVL, FLOOD_HEARTBEAT_MS)
    socket.set(zmq.SNDHWM, 2 * FLOOD_MESSAGES)
    socket.connect(endpoint)
    body, sent = msgspec.json.encode(PING), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.getppid() == parent:
        for _ in range(FLOOD_MESSAGES):
            if not socket.poll(0, zmq.POLLOUT):
                break
            socket.send(body, zmq.NOBLOCK)
            sent += 1
        write_counts(counts_file, {"stock": 1, "messages": sent})
        time.sleep(FLOOD_EVERY_S)


class Crowd:
    """All clients of this process."""

    def __init__(self, endpoint: str, seed: int, sockets: int, counts_file: Path) -> None:
        self._draw = random.Random(seed)
        self._context: zmq.Context[Any] = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, 2 * sockets + 100)
        self._endpoint = endpoint
        self._counts: Counter[str] = Counter(stock=sockets)
        self._counts_file = counts_file
        self._members = [self._member() for _ in range(sockets)]
        self.report()

    def _member(self) -> Member:
        return Member(self._draw, self._context, self._endpoint)

    def report(self) -> None:
        write_counts(self._counts_file, self._counts)

    def tick(self, messages: int) -> None:
        """Sends so many messages, reads what came, ends whose time has come."""
        draw, members = self._draw, self._members
        for _ in range(messages):
            member = draw.choice(members)
            room = member.depth - member.under_way
            if draw.random() < 0.002:
                room = BURST_MESSAGES
            if room > 0:
                self._counts["messages"] += member.send(min(room, 2 if room <= 64 else room))
        now = time.monotonic()
        for at, member in enumerate(members):
            if member.reads:
                self._counts["replies"] += member.receive()
            if now >= member.ends_at:
                member.socket.close(linger=0)
                self._counts["closed"] += 1
                self._counts["stock"] += 1
                members[at] = self._member()


def main() -> int:
    endpoint, seed, sockets, messages_per_s, seconds, counts_file = sys.argv[1:]
    parent = os.getppid()
    os.nice(NICENESS)
    if sockets == "1":
        flood(endpoint, float(seconds), Path(counts_file), parent)
        os._exit(0)
    crowd = Crowd(endpoint, int(seed), int(sockets), Path(counts_file))
    started = ticked = reported = time.monotonic()
    owed = 0.0
    while ticked - started < float(seconds) and os.getppid() == parent:
        time.sleep(TICK_S)
        now = time.monotonic()
        owed = min(owed + (now - ticked) * float(messages_per_s), TICK_MESSAGES_MAX)
        ticked = now
        crowd.tick(int(owed))
        owed -= int(owed)
        if now - reported > REPORT_S:
            reported = now
            crowd.report()
    crowd.report()
    os._exit(0)  # as it stands: what libzmq has not sent is not waited for


if __name__ == "__main__":
    sys.exit(main())
