"""What must hold of the door's state machine, whatever bytes come and however they are cut. Pure.

`check` is given one input of a fuzzer, or of the corpus, and raises where a promise is broken. An
input is a program for two peers of one listener: its first byte says how the rest is cut, the
second where it is parted between the two.
"""

from __future__ import annotations

from typing import Any

from guard.server import zmtp
from guard.server.policy import null_router
from guard.server.zmtp import END, MESSAGE, NEED_DATA, READY, SEND, Limits, ServerProtocol

# Small, so that every bound is near.
LIMITS = Limits(body_bytes_max=300, message_bytes_max=600, frames_max=8)
# A command, or a body, with its place; twice while it is copied.
HELD_BYTES_MAX = 2 * zmtp.COMMAND_BYTES_MAX
WHYS = {
    *("stranger", "old_version", "mechanism", "refused", "protocol", "peer_error"),
    *("frames", "message_bytes"),
}


class Peer:
    """One connection's machine, and what it has told."""

    def __init__(self) -> None:
        self.machine = ServerProtocol(LIMITS, null_router())
        self.events: list[Any] = []

    @property
    def has_ended(self) -> bool:
        return bool(self.events) and self.events[-1][0] == END

    def feed(self, data: bytes) -> None:
        """All of it in one buffer."""
        buffer, at = bytearray(data), 0
        while True:
            before = at
            at = self.machine.step(buffer, at, len(buffer))
            assert before <= at <= len(buffer)
            self.check_held()
            if self.machine.event == NEED_DATA:
                assert at == len(buffer)
                return
            self.note()
            if self.machine.event == END:
                return

    def read_into_place(self, data: bytes) -> int:
        """As much of it as there is room for in a long body's place; how much that was."""
        room = self.machine.room()
        if room == 0:
            return 0
        place, filled = self.machine.place, self.machine.place_filled
        assert place is not None
        part = data[:room]
        place[filled : filled + len(part)] = part
        self.machine.fill(len(part))
        self.check_held()
        if self.machine.event != NEED_DATA:
            self.note()
        return len(part)

    def check_held(self) -> None:
        place = self.machine.place
        assert place is None or len(place) <= HELD_BYTES_MAX, len(place)

    def note(self) -> None:
        machine = self.machine
        assert not self.has_ended, "something behind the end"
        event: tuple[Any, ...] = (machine.event,)
        if machine.event == MESSAGE:
            assert machine.is_ready
            check_message(machine)
            event += (machine.envelope, machine.body, machine.frame_count)
        elif machine.event == READY:
            assert not any(kind == READY for kind, *_ in self.events)
            event += (machine.socket_type, machine.identity, machine.to_send)
        elif machine.event == SEND:
            event += (machine.to_send,)
        else:
            assert machine.event == END
            assert machine.why in WHYS, machine.why
            event += (machine.why, machine.to_send)
        self.events.append(event)


def check_message(machine: ServerProtocol) -> None:
    """Within the bounds, and mirrored as the protocol says."""
    assert 1 <= machine.frame_count <= LIMITS.frames_max
    body, envelope = machine.body, machine.envelope
    if body is None:
        return
    assert machine.body_bytes <= LIMITS.message_bytes_max
    expected = machine.body_bytes if machine.body_bytes <= LIMITS.body_bytes_max else 1
    assert len(body) == expected
    if machine.frame_count == 1:
        assert envelope == b""
    elif machine.frame_count == 2:
        assert envelope == b"\x01\x00"
    else:
        assert machine.frame_count == 3
        assert (envelope[:2], envelope[6:]) == (b"\x01\x04", b"\x01\x00")


def check(data: bytes) -> None:
    """Raises where a promise is broken."""
    if len(data) < 2:
        return
    cut, parted, rest = data[0], data[1], data[2:]
    border = len(rest) * parted // 255
    streams = (rest[:border], rest[border:])
    alone = [events_of(stream) for stream in streams]
    # Both at once, in pieces, some of them read straight into their place: each has its own.
    peers = (Peer(), Peer())
    left = list(streams)
    turn = 0
    while any(left):
        turn += 1
        index = turn * (1 + cut) // 3 % 2
        peer, stream = peers[index], left[index]
        taken = peer.read_into_place(stream[: 1 + cut % 7]) if cut & 1 else 0
        if not taken:
            taken = 1 + (cut * turn) % 97
            peer.feed(stream[:taken])
        left[index] = b"" if peer.has_ended else stream[taken:]
        if not left[index]:
            other = 1 - index
            if not left[other]:
                break
            peers[other].feed(left[other])
            left[other] = b""
    assert [peer.events for peer in peers] == alone


def events_of(stream: bytes) -> list[Any]:
    """Of one peer alone, all of whose bytes come at once."""
    peer = Peer()
    peer.feed(stream)
    return peer.events
