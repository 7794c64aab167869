"""The way of orders that stand or fall together: decided, recorded as one, applied, answered.

Owns for them what `guard.server.request_path` owns for requests that come alone, whose steps it
takes: of marks and of what is recorded before an order, of the sender's permit, of what the disk
takes, and of early fills.

How it fails: as that does.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, Raw

from guard.engine.engine import Engine
from guard.engine.order_group import NONE_REFUSED, SINCE_RULES, OrderGroup
from guard.protocol.all_or_none_messages import TYPE, AllOrNoneAnswer
from guard.protocol.messages import ErrorReply
from guard.protocol.outcome import Outcome
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request
from guard.record.order_groups import text_of
from guard.record.writer import RecordWriter
from wal import LogWriter
from wal.failpoint import reach

# Writes one order's reply, in the encoding of its message.
Put = Callable[[Request, Outcome], Raw]
UNKNOWN_WORDS: Final = f"type: {TYPE} is known since version {SINCE_RULES} of the rules"


class GroupPath:
    """The way; `group` is filled again and again."""

    def __init__(self, engine: Engine, log: LogWriter) -> None:
        self._engine = engine
        self._log = log
        self._writer = RecordWriter()
        self.group = OrderGroup()

    def decide(self, requests: list[Request]) -> bool:
        """Decides them; whether that is to be recorded."""
        self.group.begin(requests)
        reach("decide.before")
        is_recorded = self._engine.decide_group(self.group)
        reach("decide.after")
        return is_recorded

    def take(self) -> None:
        """Stages the record of what was decided, then applies it."""
        group, state = self.group, self._engine.state
        data = text_of(self._writer, group, state.policy_digest_hex)
        self._log.append(group.sequence, data, is_encoded=True)
        reach("append.after")
        self._engine.apply_group(group)
        reach("apply.after")

    def answer(self, put: Put) -> Any:
        """What they are answered, without their request's id."""
        group = self.group
        index = group.refused_index
        answers: list[Any] = [put(request, outcome) for request, outcome in group.pairs]
        return AllOrNoneAnswer(
            group.requests[0].desk,
            group.sequence,
            group.is_admitted,
            group.is_repeat,
            answers,
            UNSET if index == NONE_REFUSED else index,
        )

    def is_known(self) -> bool:
        """Do the rules in force have such requests?"""
        return bool(self._engine.state.rules_version >= SINCE_RULES)

    def unknown(self, first: Request) -> ErrorReply:
        """What is said where they do not: no start of this software leaves such in force."""
        echo: Any = Raw(first.echo()) if first.echo_bytes else UNSET
        return ErrorReply(ErrorCode.UNKNOWN_TYPE.word, "type", UNKNOWN_WORDS, request_id=echo)
