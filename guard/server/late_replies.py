"""Replies of which one is known only when it leaves. Pure."""

from typing import Any

from msgspec import Raw, Struct

from guard.protocol.messages import Pong, StatsReply
from guard.protocol.wire import JSON, MESSAGEPACK


class LateReplies(Struct, gc=False):
    """Replies to one message, of which one is known only when it leaves; others are encoded."""

    is_json: bool
    is_array: bool
    replies: list[Raw | Pong | StatsReply]

    def encode(self, replies: list[Any]) -> bytes:
        """The answer's body, of these in the place of its replies."""
        encode = (JSON if self.is_json else MESSAGEPACK).encode
        return encode(replies if self.is_array else replies[0])
