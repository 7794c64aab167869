"""An event that answers a request, as an object, into a request and its outcome. Pure.

Owns what becomes of a record that has another text than the guard writes: msgspec's types are asked
what it says, and their text of it is read; and of an answer with words of other rules than these.

How it fails: `RecordError` for what no record can say.
"""

from guard.engine.events import Outcome
from guard.engine.request_events import OrderDecided, OrderRefused
from guard.protocol.fields import CODE_OF_REASON
from guard.protocol.messages import I64_MAX, Admit
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.outcome import OutcomeKind
from guard.protocol.reasons import NOT_REMEMBERED
from guard.protocol.request import Request
from guard.record.codec import RecordError, encode_event
from guard.record.reader import RecordReader
from guard.record.words import shown


def read_event(
    reader: RecordReader, event: Outcome, request: Request, outcome: RequestOutcome
) -> None:
    """Puts an event that answers a request into these. Raises RecordError where it cannot stand."""
    text = encode_event(event)
    if reader.read_event(text, request, outcome):
        return
    if not isinstance(event, OrderDecided | OrderRefused) or not reader.read_request(text, request):
        raise RecordError("no record of this guard: it holds a value that no record can")
    # What an earlier or a later version said is applied as it says: recovery decides nothing.
    answer = event.answer
    outcome.kind = OutcomeKind.REJECTED
    if isinstance(answer, Admit):
        outcome.kind = OutcomeKind.ADMITTED
        if not 0 <= answer.reservation_id <= I64_MAX:
            raise RecordError(
                f"record {answer.wal_sequence} holds reservation {shown(answer.reservation_id)}, "
                "which no ledger gives"
            )
        if not int(answer.reservation_id != 0) <= answer.notional_microcents <= I64_MAX:
            raise RecordError(f"record {answer.wal_sequence} holds an amount that none can hold")
    outcome.take_foreign(answer)
    if answer.reason in NOT_REMEMBERED:
        outcome.reason = CODE_OF_REASON[answer.reason]
