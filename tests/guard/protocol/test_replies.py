"""Replies in MessagePack: one map each, however much is said. (In JSON there is no head to fit.)"""

from typing import Any

import msgspec

from guard.protocol.fields import CODE_OF_REASON
from guard.protocol.messages import Admit
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.replies import reply_body
from guard.protocol.request import Request


def reply(outcome: Outcome) -> dict[str, Any]:
    """What an order that has a request's id is told."""
    request = Request()
    request.set_text("client_order_id", b"A-1")
    request.set_text("desk", b"desk-alpha")
    request.set_text("echo", b"\xa1r")
    found: dict[str, Any] = msgspec.msgpack.decode(reply_body(request, outcome))
    return found


def test_an_admit_that_says_all_it_can_is_one_map() -> None:
    outcome = Outcome()
    outcome.kind, outcome.sequence, outcome.reservation_id = int(OutcomeKind.ADMITTED), 12, 3
    outcome.reason = CODE_OF_REASON["requested_model_maximizes_utility"]
    outcome.received_at_ns = 9
    outcome.self_match, outcome.located_lots = 1, 7  # what sells short reduces nothing
    found = reply(outcome)
    assert len(found) == 15
    outcome.reducing = 1
    assert reply(outcome) == found | {"reducing": True}
    said = {name: found[name] for name in ("self_match", "located_lots", "request_id", "desk")}
    assert said == {"self_match": True, "located_lots": 7, "request_id": "r", "desk": "desk-alpha"}


def test_an_answer_of_other_rules_is_one_map() -> None:
    outcome = Outcome()
    outcome.take_foreign(Admit("", 12, 3, 10, False, 7, 8, "a_later_reason", False))
    outcome.kind, outcome.received_at_ns, outcome.repeat = int(OutcomeKind.ADMITTED), 9, 1
    found = reply(outcome)
    assert (found["reason"], found["request_id"], found["repeat"]) == ("a_later_reason", "r", True)
    assert "self_match" not in found
