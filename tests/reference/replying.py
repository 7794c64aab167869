"""Replies as objects to the body that answers a message."""

import msgspec

from guard.protocol.messages import Reply
from guard.protocol.wire import Message


def encode_replies(message: Message, replies: list[Reply]) -> bytes:
    """The body that answers `message`: one map, or an array where the message was one.

    As maps of what is said: of a type with more than 15 keys msgspec writes a longer head.
    """
    said = msgspec.to_builtins(replies)
    return message.form.encode(said if message.is_array else said[0])
