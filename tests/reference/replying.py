"""Replies as objects to the body that answers a message."""

from guard.protocol.messages import Reply
from guard.protocol.wire import Message


def encode_replies(message: Message, replies: list[Reply]) -> bytes:
    """The body that answers `message`: one map, or an array where the message was one."""
    return message.form.encode(replies if message.is_array else replies[0])
