"""Records folded into an engine: what a log says, applied and not decided.

Owns the step from a record's data to the state, for recovery and for whoever folds records by
itself. What becomes of a record that has another text than the guard writes, says
`guard.record.unusual`.

How it fails: `RecordError` for data that is no record of ours; `InvariantError` where a record does
not follow from those before it.
"""

from guard.engine.engine import Engine
from guard.engine.events import LogOpened, Outcome
from guard.engine.order_group import OrderGroup
from guard.engine.request_events import REQUEST_EVENTS, AllOrNoneRecorded
from guard.protocol.fields import EARLY, RATE, RECORDED_FLAGS, UNCHARGED
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.outcome import OutcomeKind
from guard.protocol.request import Request
from guard.record.codec import RecordError, decode_event
from guard.record.order_groups import read_group
from guard.record.reader import RecordReader
from guard.record.rules import RecordRules
from guard.record.unusual import read_event

_CANCEL_FLAGS = EARLY | RATE
_RECORDED_FLAGS = (1 << len(RECORDED_FLAGS)) - 1


class RecordFolder:
    """Folds the records of one log, one at a time: `read`, then `apply`."""

    def __init__(self, engine: Engine, key_id: str | None) -> None:
        """`key_id`: of the key that the log is read with; None where there are several."""
        self._engine = engine
        self._reader = RecordReader()
        self._rules = RecordRules(engine.state, key_id)
        self.request, self.outcome = Request(), RequestOutcome()
        self._group = OrderGroup()

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
        if isinstance(event, AllOrNoneRecorded):
            read_group(self._reader, event, self._group)
        if not isinstance(event, REQUEST_EVENTS):
            return event
        read_event(self._reader, event, request, outcome)
        return None

    def apply(self, sequence: int, event: Outcome | None) -> None:
        """Applies what was read last."""
        if event is None:
            self._engine.apply(self.request, self.outcome)
            self._rules.note_batch(self.request.batch_first_sequence)
        elif isinstance(event, AllOrNoneRecorded):
            self._engine.apply_group(self._group)
            self._rules.note(sequence, event)
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
