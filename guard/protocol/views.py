"""Answers as objects, made of a request and its outcome for who wants to hold one."""

from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.protocol.errors import error_reply
from guard.protocol.messages import (
    Admit,
    Executed,
    Filled,
    Reduced,
    Reject,
    Released,
    ReplaceSettled,
    Reply,
    StatusReply,
)
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.replies import reply_body
from guard.protocol.request import Request

_REPLY: Any = Admit | Reject | Filled | Released | Reduced | StatusReply | Executed | ReplaceSettled
_decode: Final = msgspec.msgpack.Decoder(_REPLY).decode


def reply_of(request: Request, outcome: Outcome) -> Reply:
    """The reply to a request of a client that waits for one now: no `pong`, no `stats`.

    An admit or a reject is as its record has it: without what a reply says beside (`REPLY_FIELDS`).
    """
    if outcome.kind == OutcomeKind.ERROR:
        return error_reply(request, outcome)
    reply: Reply = _decode(reply_body(request, outcome))
    answer = reply.answer if isinstance(reply, StatusReply) else reply
    if isinstance(answer, Admit | Reject):
        answer.desk = answer.received_at_ns = UNSET
    return reply
