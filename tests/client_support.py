"""A ROUTER in a thread that follows a script: the peer of the client's tests.

A script receives and answers step by step, so that each test says exactly what the peer did; a
script that fails fails its test. Nothing waits by the clock but the resends under test.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import zmq

from guard.client import InstrumentSpec
from guard.protocol.messages import (
    Admit,
    Cancel,
    ErrorReply,
    Filled,
    Pong,
    Released,
    Reply,
    StatsReply,
)

Message = dict[str, Any]

ORDER: Any = {
    "client_order_id": "A-1",
    "desk": "desk-alpha",
    "symbol": "BTC-PERP",
    "side": "buy",
    "quantity": 5,
    "price": 619_001,
    "venue": 10,
    "risk_bps": 200,
    "confidence_bps": 9_000,
}
BITCOIN = InstrumentSpec("BTC-PERP", tick_size="0.01", lot_size="0.1")
# A script that waits longer than this has failed.
PEER_PATIENCE_MS = 30_000
RESEND_AFTER_S = 0.05


class Peer:
    """The guard's side of the wire. `receive` and `answer` are the script's steps."""

    def __init__(self, secret_key: bytes | None = None) -> None:
        self.secret_key = secret_key
        self.endpoint = "tcp://127.0.0.1:*"
        self.bind()

    def bind(self) -> None:
        """Binds: at first to any free port, later to the same one again."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.set(zmq.RCVTIMEO, PEER_PATIENCE_MS)
        if self.secret_key is not None:
            self.socket.set(zmq.CURVE_SERVER, 1)
            self.socket.set(zmq.CURVE_SECRETKEY, self.secret_key)
        self.socket.bind(self.endpoint)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def close(self) -> None:
        """Returns when what was answered has left and the port is free."""
        self.socket.close(linger=1_000)
        self._context.term()

    def receive(self) -> tuple[bytes, Any]:
        """(who, the decoded request or array)."""
        who, body = self.socket.recv_multipart()
        codec = msgspec.json if body[:1] in b"{[" else msgspec.msgpack
        self._encode = codec.encode
        return who, codec.decode(body)

    def send(self, who: bytes, body: bytes) -> None:
        self.socket.send_multipart([who, body])

    def answer(self, who: bytes, request: Any) -> None:
        """The reply that a guard could give to this request, or to this array."""
        if isinstance(request, list):
            self.send(who, self._encode([reply_to(each) for each in request]))
        else:
            self.send(who, self._encode(reply_to(request)))


def reply_to(request: Message) -> Reply:
    request_id = request["request_id"]
    order = (request.get("desk", ""), request.get("client_order_id", ""))
    if order[1].startswith("bad"):
        return ErrorReply("unknown_order", "", "never seen", request_id=request_id)
    match request["type"]:
        case "order":
            notional = BITCOIN.notional_microcents(request["quantity"], request["price"])
            said = Admit(order[1], 1, 1, 10, False, notional, 7, "why", False)
            return msgspec.structs.replace(said, request_id=request_id)
        case "fill":
            fill_id = request["fill_id"]
            return Filled(*order, fill_id, 2, 0, 0, 9, 7, 0, [], False, request_id=request_id)
        case "cancel":
            return Released(*order, 3, 0, False, request_id=request_id)
        case "stats":
            return StatsReply({"messages": 3}, [(100_000, 2)], request_id=request_id)
        case _:
            return Pong(3, "head", "log", 1, request_id)


@contextmanager
def scripted(script: Callable[[Peer], None], secret_key: bytes | None = None) -> Iterator[str]:
    """Runs the script in a thread; its failure is the test's."""
    failures: list[BaseException] = []
    peer = Peer(secret_key)

    def run() -> None:
        try:
            script(peer)
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            failures.append(error)
        finally:
            peer.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield peer.endpoint
    finally:
        thread.join()
        if failures:
            raise failures[0]


def answer_all(count: int) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        for _ in range(count):
            peer.answer(*peer.receive())

    return script


def receive_one(peer: Peer) -> None:
    peer.receive()


def cancels(*names: str) -> list[Cancel]:
    return [Cancel("desk-alpha", name) for name in names]


def names_of(replies: list[Reply]) -> list[str]:
    return [reply.client_order_id for reply in replies if isinstance(reply, Released)]
