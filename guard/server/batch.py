# cython: annotation_typing=False, nonecheck=True
"""What has arrived, taken in and decided, waits here for its batch to be on disk.

Owns the answers of the batch that is being gathered, their bytes, the bounds beyond which nothing
more is taken in, and each client's share: no more than is left for all others. What an answer is,
`guard.server.request_path` says; when it may leave, `guard.server.pipeline`.

How it fails: what deciding raises comes through, and must end the pipeline.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec import Raw

from guard.protocol.messages import Pong, StatsReply
from guard.server.connection import Connection, Received
from guard.server.counters import Counters
from guard.server.late_replies import LateReplies
from guard.server.request_path import RequestPath
from wal import LogWriter

# Of a reply that is encoded only when it leaves, at most.
LATE_REPLY_BYTES: Final[dict[type, int]] = {Pong: 320, StatsReply: 4_096}

# A reply that waits for its batch: whose it is, what goes before it on the wire, its body. A plain
# tuple, since every message makes one.
Answer: TypeAlias = tuple[Connection, bytes, bytes | LateReplies]


class Bounds(NamedTuple):
    """Beyond any of these nothing more is taken in: of what is gathered for one batch."""

    messages_max: int
    records_max: int
    bytes_max: int  # of records and of replies: a query stages no record, its reply may be long


class Drained(IntEnum):
    """Why a drain has ended."""

    EMPTY = 0  # nothing waits
    ENOUGH = 1  # as much as was asked for: more may wait
    FULL = 2  # a bound is reached


_UNBOUNDED = 2**62

_EMPTY, _ENOUGH, _FULL = Drained.EMPTY, Drained.ENOUGH, Drained.FULL


class Gathering:
    """The batch that is being gathered."""

    def __init__(
        self, gateway: Any, path: RequestPath, writer: LogWriter, counters: Counters
    ) -> None:
        """`gateway`: whatever gives messages as `guard.server.listener` does."""
        self._gateway = gateway
        self._path = path
        self._staging = writer.staging
        self._counters = counters
        self.answers: list[Answer] = []
        self.answers_bytes = 0
        self._batch = 0
        # When so many bytes have been staged since the start, the disk is to be looked at.
        self.staged_end = _UNBOUNDED
        self._look_at_space: Callable[[], None] | None = None

    def watch_space(self, look: Callable[[], None]) -> None:
        """`look` sets `staged_end`; where that is no more than is staged, nothing is taken in."""
        self._look_at_space = look
        look()

    def take(self) -> list[Answer]:
        """What was gathered; the next batch begins."""
        answers, self.answers, self.answers_bytes = self.answers, [], 0
        self._batch += 1
        self._gateway.release_held()
        return answers

    def drain(self, messages_max: int, requests_max: int, bounds: Bounds) -> Drained:
        """Decides what has arrived: so many messages, or requests, and no more than fits."""
        gathered_max, records_max, bytes_max = bounds
        gateway, staging, counters = self._gateway, self._staging, self._counters
        requests_before = self._path.requests
        messages = 0
        drained = _ENOUGH
        gateway.begin_turn()
        while messages < messages_max:
            gathered_bytes = staging.byte_count + self.answers_bytes
            if (
                staging.record_count >= records_max
                or gathered_bytes >= bytes_max
                or len(self.answers) >= gathered_max
            ):
                drained = _FULL
                break
            if staging.taken_bytes + staging.byte_count >= self.staged_end:
                assert self._look_at_space is not None
                self._look_at_space()
                if staging.taken_bytes + staging.byte_count >= self.staged_end:
                    drained = _FULL
                    break
            received = gateway.receive()
            if received is None:
                # At a bound of a turn somebody may stand in line all the same.
                drained = _ENOUGH if gateway.has_ready() else _EMPTY
                break
            messages += 1
            self.take_in(received)
            client = received[0]
            size = staging.byte_count + self.answers_bytes - gathered_bytes
            messages_left = gathered_max - len(self.answers)
            if client.charge(self._batch, size, messages_left, bytes_max - gathered_bytes - size):
                gateway.hold(client)
            if self._path.requests - requests_before >= requests_max:
                break
        counters.messages, counters.requests = self._path.messages, self._path.requests
        return drained

    def take_in(self, received: Received) -> None:
        """Decides one message, and keeps its answer."""
        client, envelope, body, frame_count = received
        permit = client.permit
        if permit is not None and permit.in_flight_max:
            before = permit.under_way
            answer = self._path.answer(body, frame_count, permit)
            client.note_under_way(permit, permit.under_way - before)
        else:
            answer = self._path.answer(body, frame_count, permit)
        if isinstance(answer, bytes):
            self.answers_bytes += len(answer)
        else:
            self.answers_bytes += late_bytes(answer)
        self.answers.append((client, envelope, answer))


def late_bytes(late: LateReplies) -> int:
    """About how many bytes the replies will be, and not fewer by much."""
    total = 0
    for reply in late.replies:
        total += len(memoryview(reply)) if isinstance(reply, Raw) else LATE_REPLY_BYTES[type(reply)]
    return total
