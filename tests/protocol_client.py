"""A client written from `guard/PROTOCOL.md` alone: sockets, frames, two encodings.

It shares no code with the guard, so that the page is tested as well as the daemon.
"""

from typing import Any

import msgspec
import zmq

PATIENCE_MS = 30_000

ORDER: dict[str, Any] = {
    "type": "order",
    "client_order_id": "A-1",
    "desk": "desk-alpha",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": 100,
    "price": 19_000,
    "venue": 10,
    "risk_bps": 200,
    "confidence_bps": 9_000,
}


def order(client_order_id: str, **changes: Any) -> dict[str, Any]:
    """The page's example order, under an id."""
    return {**ORDER, "client_order_id": client_order_id, **changes}


def fill(client_order_id: str, fill_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "fill",
        "desk": "desk-alpha",
        "client_order_id": client_order_id,
        "fill_id": fill_id,
        "quantity": 40,
        "fee_microcents": 5_000,
        **changes,
    }


def cancel(client_order_id: str, desk: str = "desk-alpha") -> dict[str, Any]:
    return {"type": "cancel", "desk": desk, "client_order_id": client_order_id}


def reduce(client_order_id: str, reduce_id: str, **changes: Any) -> dict[str, Any]:
    return {**cancel(client_order_id), "type": "reduce", "reduce_id": reduce_id,
            "quantity": 30, **changes}  # fmt: skip


def replace(name: str, original: str, **changes: Any) -> dict[str, Any]:
    said = {"quantity": 60, "price": 19_000, "order_type": "limit", "time_in_force": "day"}
    of = {"type": "replace", "desk": "desk-alpha", "client_order_id": name}
    return {**of, "original_client_order_id": original, **said, **changes}


def status(client_order_id: str, desk: str = "desk-alpha") -> dict[str, Any]:
    return {"type": "status", "desk": desk, "client_order_id": client_order_id}


PING: dict[str, Any] = {"type": "ping"}
STATS: dict[str, Any] = {"type": "stats"}


class ProtocolClient:
    """One socket: `DEALER` or `REQ`, JSON or MessagePack, with or without the empty frame."""

    def __init__(
        self,
        endpoint: str,
        *,
        kind: str = "DEALER",
        encoding: str = "json",
        empty: bool = False,
        heartbeat_ms: int = 0,
        receive_bytes: int = 0,
    ) -> None:
        """`receive_bytes`: that many, and one message, are buffered of replies; 0: no bound."""
        self.encoding = encoding
        self._codec: Any = msgspec.json if encoding == "json" else msgspec.msgpack
        self._frames_before = [b""] if empty else []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(getattr(zmq, kind))
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.RCVTIMEO, PATIENCE_MS)
        self.socket.set(zmq.SNDTIMEO, PATIENCE_MS)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.RCVHWM, 1 if receive_bytes else 0)
        if receive_bytes:
            self.socket.set(zmq.RCVBUF, receive_bytes)
        self.socket.set(zmq.HEARTBEAT_IVL, heartbeat_ms)
        self.socket.connect(endpoint)

    def send_frames(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def receive_frames(self) -> list[bytes]:
        return self.socket.recv_multipart()

    def send_body(self, body: bytes) -> None:
        self.send_frames(*self._frames_before, body)

    def receive_body(self) -> bytes:
        *before, body = self.receive_frames()
        assert before == self._frames_before, before
        return body

    def send(self, request: Any) -> None:
        self.send_body(self._codec.encode(request))

    def receive(self) -> Any:
        return self.decode(self.receive_body())

    def decode(self, body: bytes) -> Any:
        """A reply, in this client's encoding and no other."""
        assert (body[:1] in (b"{", b"[")) == (self.encoding == "json"), body
        return self._codec.decode(body)

    def ask(self, request: Any) -> Any:
        """One request or array and its reply."""
        self.send(request)
        return self.receive()

    def ask_body(self, body: bytes) -> Any:
        self.send_body(body)
        return self.receive()

    def close(self) -> None:
        self.socket.close(linger=0)
        self._context.term()

    def __enter__(self) -> "ProtocolClient":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def without_times(reply: Any) -> Any:
    """A reply, or an array of them, without the times at which orders were received."""
    if isinstance(reply, list):
        return [without_times(each) for each in reply]
    if isinstance(reply.get("answer"), dict):
        reply = {**reply, "answer": without_times(reply["answer"])}
    return {name: value for name, value in reply.items() if name != "received_at_ns"}


def decode_any(body: bytes) -> Any:
    """A reply in whichever encoding its first byte says."""
    return (msgspec.json if body[:1] in (b"{", b"[") else msgspec.msgpack).decode(body)
