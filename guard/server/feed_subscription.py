"""What one connection follows of the log, and the messages that tell it.

Owns how far a subscription is, how far its client has been told, and its credit. When it is given
something, `guard.server.feed_door` says.
"""

from typing import TypeAlias

from guard.feed.messages import Heartbeat, Lines, Message, Subscribe, encode_message
from guard.feed.page import Page, Place
from guard.protocol.messages import RequestId
from guard.protocol.value_types import Behind
from guard.server.commands import LONG, MORE, SHORT_BYTES_MAX
from guard.server.connection import Connection
from wal import Head

# As the listener sends it: to whom, what stands before the last frame, that frame.
Sent: TypeAlias = tuple[Connection, bytes, bytes]


class Subscription:
    """Of one connection."""

    def __init__(
        self, peer: Connection, before: bytes, as_json: bool, asked: Subscribe, place: Place
    ) -> None:
        self.peer = peer
        self.request_id: RequestId = asked.request_id
        self.desks = None if asked.desks is None else frozenset(map(str.encode, asked.desks))
        self.credit_lines = asked.credit_lines
        self.place = place
        self.said = place.head  # how far the client has been told
        self.is_reading = False
        self.is_due = False
        self.is_stuck = False  # it has not fetched for a second
        self._before = before
        self._as_json = as_json

    def say(self, message: Message) -> Sent:
        """A message of one frame."""
        return self.peer, self._before, encode_message(message, self._as_json)

    def give(self, part: Page, begin: Head) -> Sent | None:
        """The message that holds these lines; None where there are none: it is only further now.

        `begin`: the record that they are looked for behind, with its hash.
        """
        if self.said.sequence == begin.sequence:
            self.said = begin
        self.place = part.end
        if part.line_count == 0:
            return None
        self.credit_lines -= part.line_count
        message = Lines(
            *self.said, *part.end.head, part.line_count, self.credit_lines, self.request_id
        )
        self.said = part.end.head
        return self.peer, self._before + more_frame(self._encoded(message)), part.lines

    def heartbeat(self, durable: Head, behind: Behind | None = None) -> Sent:
        """How far it is. `behind`: of a guard that stands by."""
        after, place = self.said.sequence, self.place
        self.said = place.head
        message = Heartbeat(
            after,
            place.sequence,
            place.head.entry_hash or None,
            self.credit_lines,
            *durable,
            self.request_id,
        )
        if behind is not None:
            message.behind_records, message.behind_ns = behind
        return self.say(message)

    def _encoded(self, message: Message) -> bytes:
        return encode_message(message, self._as_json)


def more_frame(content: bytes) -> bytes:
    """A frame that another one follows."""
    size = len(content)
    if size <= SHORT_BYTES_MAX:
        return bytes((MORE, size)) + content
    return bytes((MORE | LONG,)) + size.to_bytes(8, "big") + content
