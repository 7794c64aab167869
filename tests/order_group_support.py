"""What tests of orders that stand or fall together share: how they are asked for and recorded."""

from dataclasses import dataclass

from guard.engine.order_group import NONE_REFUSED, OrderGroup
from guard.engine.request_events import AllOrNoneRecorded
from guard.protocol.messages import Admit, Order, Reject
from guard.protocol.request import Request
from guard.protocol.views import reply_of
from guard.record.codec import decode_data, encode_event
from guard.record.order_groups import read_group, text_of
from guard.record.reader import RecordReader
from guard.record.writer import RecordWriter
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_support import LoggedEngine, describe


@dataclass
class Together:
    """What orders were answered; `refused_index`: None where they are admitted."""

    answers: list[Admit | Reject]
    refused_index: int | None
    repeat: bool

    @property
    def reasons(self) -> list[str]:
        return [answer.reason for answer in self.answers]


def together(engine: LoggedEngine, *orders: Order, at_ns: int | None = None) -> Together:
    """Asks for the orders together, and records what was decided."""
    engine.now_ns = engine.now_ns if at_ns is None else at_ns
    requests = []
    for order in orders:
        engine.request = Request()
        engine.request.set_text("client", b"local")
        engine._reader.take(engine.request, order)
        requests.append(engine.request)
        _say(engine, order)
    for request in requests:  # behind what was recorded of prices
        request.batch_first_sequence = engine.engine.next_sequence
    group = OrderGroup()
    group.begin(requests)
    before = (describe(engine.state), state_digest_hex(engine.state))
    is_recorded = engine.engine.decide_group(group)
    assert (describe(engine.state), state_digest_hex(engine.state)) == before
    answers = [reply_of(request, outcome) for request, outcome in group.pairs]
    if is_recorded:
        data = text_of(RecordWriter(), group, engine.state.policy_digest_hex)
        event = decode_data(data).outcome
        assert isinstance(event, AllOrNoneRecorded)
        assert encode_event(event) == data
        recorded = OrderGroup()
        read_group(RecordReader(), event, recorded)
        engine.engine.apply_group(recorded)
        engine._keep(data, requests[0].batch_first_sequence)
        engine._record_due()
    refused = None if group.refused_index == NONE_REFUSED else group.refused_index
    return Together(answers, refused, group.is_repeat)


def _say(engine: LoggedEngine, order: Order) -> None:
    request = engine.request
    request.received_at_ns = max(engine.now_ns, engine.state.last_received_at_ns)
    request.batch_first_sequence = engine.engine.next_sequence
    request.clock_ns = engine.clock_ns
    engine._say_facts(order)
