"""Records folded into an engine: what a log says, applied and not decided.

Owns the step from a record's data to the state, for recovery and for whoever folds records by
itself; and what becomes of a record that has another text than the guard writes: msgspec's types
are asked what it says, and their text of it is read.

How it fails: `RecordError` for data that is no record of ours; `InvariantError` where a record does
not follow from those before it.
"""

from guard.engine.engine import Engine
from guard.engine.events import LogOpened, Outcome
from guard.engine.request_events import (
    REQUEST_EVENTS,
    OrderDecided,
    OrderRefused,
)
from guard.protocol.fields import CODE_OF_REASON, EARLY, RATE, RECORDED_FLAGS, UNCHARGED
from guard.protocol.messages import I64_MAX, Admit
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.outcome import OutcomeKind
from guard.protocol.reasons import NOT_REMEMBERED
from guard.protocol.request import Request
from guard.record.codec import RecordError, decode_event, encode_event
from guard.record.reader import RecordReader
from guard.record.rules import RecordRules
from guard.record.words import shown

_CANCEL_FLAGS = EARLY | RATE
_RECORDED_FLAGS = (1 << len(RECORDED_FLAGS)) - 1


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


class RecordFolder:
    """Folds the records of one log, one at a time: `read`, then `apply`."""

    def __init__(self, engine: Engine, key_id: str | None) -> None:
        """`key_id`: of the key that the log is read with; None where there are several."""
        self._engine = engine
        self._reader = RecordReader()
        self._rules = RecordRules(engine.state, key_id)
        self.request, self.outcome = Request(), RequestOutcome()

    def read(self, sequence: int, data: bytes, previous_hash: str) -> Outcome | None:
        """Reads a record, which must be one that a guard can have written there.

        An administrative event, or None for one that answers a request, which is then to be found
        in `request` and `outcome`. `previous_hash`: of the record before. Raises RecordError.
        """
        request, outcome = self.request, self.outcome
        if (
            self._reader.read(data, request, outcome)
            and outcome.sequence == sequence
            and self._rules.takes(request)
            and (outcome.kind != OutcomeKind.FILLED or is_fee_covered(request, outcome))
            and (outcome.kind != OutcomeKind.RELEASED or not outcome.flags & ~_CANCEL_FLAGS)
            and (outcome.kind != OutcomeKind.ADMITTED or is_hold_said(outcome))
            and (outcome.kind != OutcomeKind.ADMITTED or is_located(request, outcome))
        ):
            return None
        event = decode_event(data)
        if (sequence == 1) != isinstance(event, LogOpened):
            raise RecordError("a log begins with log_opened, once")
        self._rules.check(sequence, event, previous_hash)
        if not isinstance(event, REQUEST_EVENTS):
            return event
        read_event(self._reader, event, request, outcome)
        return None

    def apply(self, sequence: int, event: Outcome | None) -> None:
        """Applies what was read last."""
        if event is None:
            self._engine.apply(self.request, self.outcome)
            self._rules.note_batch(self.request.batch_first_sequence)
        else:
            self._engine.apply_event(sequence, event)
            self._rules.note(sequence, event)


def is_hold_said(outcome: RequestOutcome) -> bool:
    """Is something held for an order, and a number given, unless it but reduces a position?"""
    holds = not outcome.reducing
    return (outcome.notional_microcents > 0) == holds == (outcome.reservation_id > 0)


def is_located(request: Request, outcome: RequestOutcome) -> bool:
    """Are no more lots located than the order has, and none where it names no locate?"""
    lots: int = outcome.located_lots
    return lots == 0 or (lots <= request.quantity and request.fill_id_bytes > 0)


def is_fee_covered(request: Request, outcome: RequestOutcome) -> bool:
    """Is no more of a fill's fee unpaid than is charged of it, and no flag one of a reply alone?"""
    flags = outcome.flags
    charged = 0 if flags & UNCHARGED else max(request.fee_microcents, 0)
    return outcome.unpaid_fee_microcents <= charged and flags <= _RECORDED_FLAGS
