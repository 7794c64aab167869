# cython: annotation_typing=False, nonecheck=True
"""What no guard writes: the rules that each record of a log keeps with those before it. Pure.

Owns one statement of each of them, for a start (`guard.recovery.recover`) and for a replay alike:
they hold whoever has the log's key. What a field may hold at all, its type says
(`guard.protocol.ranges`); what the rules for requests give, a replay decides again; what moves
money, the ledger knows (`guard.engine.apply`). Here is what is left: the common head, the sessions,
what an answer repeats of its request, what an event names of the log itself. The table of them
stands in `wal/FORMAT.md`, "Records of the guard".

Must not: refuse what a guard of any version wrote. A clock that was set back gives equal times, so
those pass; of the first record behind a checkpoint the batch may have begun before it.

How it fails: `RecordError` naming the field, the value and what is allowed.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET

from guard.engine.events import (
    CheckpointTaken,
    ClockAccepted,
    DeskToppedUp,
    EntriesResumed,
    FillAccepted,
    FillBusted,
    FillCorrected,
    HoldFreed,
    KeyChanged,
    LimitsSet,
    LogOpened,
    Outcome,
    Revalued,
    RulesActivated,
    SessionStarted,
    SettingsActivated,
)
from guard.engine.loss_events import LossBreached
from guard.engine.people_events import LatchLifted, LatchSet
from guard.engine.request_events import (
    CLIENT_EVENTS,
    AllOrNoneRecorded,
    CanceledAllRecorded,
    ExecutionRecorded,
    FillRecorded,
    OrderDecided,
    OrderRefused,
    OrderReleased,
    ReductionRecorded,
    ReplaceDone,
    ReplaceFailed,
)
from guard.engine.state import GuardState
from guard.protocol import json_reader
from guard.protocol.fields import ORDER, ORDER_FIELDS, REDUCE, REPLACE
from guard.protocol.instruments import NAME_PATTERN
from guard.protocol.limits import normalized
from guard.protocol.messages import (
    I64_MAX,
    NAME_LENGTH_MAX,
    U32_MAX,
    U64_MAX,
    Admit,
    Order,
)
from guard.protocol.ranges import CLOCK_TOLERANCE_NS, LOCAL_CLIENT, TIME_NS_MAX
from guard.protocol.request import TEXTS, Request
from guard.protocol.wire import check_request, is_identifier
from guard.record import checking, fact_rules, group_rules, money_rules
from guard.record.checking import (
    check_answer,
    check_cut,
    check_is,
    check_range,
    refused,
)
from guard.record.codec import RecordError
from guard.record.loss_rules import check_loss
from guard.record.mark_rules import check_due_price, check_jump, check_revalued, has_jumped
from guard.record.people_rules import TIMED, check_due, check_latch

_UNKNOWN = 0  # of a sequence: the record that says it was not read
_NO_SESSION: Final = -1
_REASON_LENGTH_MAX = 64
_ORDER, _REPLACE = ORDER, REPLACE
_FIRST_NEW = REDUCE  # no earlier version of the rules has it, or any behind it
_LIMITS_SINCE = 3
_CLOCK_TOLERANCE_NS = CLOCK_TOLERANCE_NS
_CURRENCY_AT = TEXTS["currency"][0]
_CLIENT_BYTES_MAX: Final = NAME_LENGTH_MAX
_FREE_BYTES_MAX: Final = 2**128 - 1  # two u64 multiplied: blocks, and the size of one


class RecordRules:
    """The rules of one log, behind its first records or behind a checkpoint.

    A record is held to them before it is applied, and noted once it is.
    """

    def __init__(self, state: GuardState, key_id: str | None) -> None:
        """`key_id`: of the key that the log is read with; None where there are several."""
        self._state = state
        self._key_id = key_id
        self._batch_first_sequence = _UNKNOWN
        self._checkpoint_from = _UNKNOWN
        self._session_from = _UNKNOWN

    def follows(self, sequence: int, received_at_ns: int, batch_first_sequence: int) -> bool:
        """May a record with this head stand there? Not asked of one that begins a session.

        It begins its batch, or is of the batch of the record before it.
        """
        state, batch = self._state, self._batch_first_sequence
        last_ns = state.last_received_at_ns
        if received_at_ns < last_ns or state.is_closed_cleanly:
            return False
        if batch_first_sequence in (sequence, batch):
            return True
        return batch == _UNKNOWN and 0 < batch_first_sequence < sequence

    def takes(self, request: Request) -> bool:
        """As `check`, of what was read as a guard writes it: may its request stand there next?

        What reading has shown, which is the most of it, is not looked at again.
        """
        state = self._state
        clock_ns = request.clock_ns
        if clock_ns != 0 and abs(clock_ns - request.received_at_ns) <= _CLOCK_TOLERANCE_NS:
            return False
        is_order = request.kind in (_ORDER, _REPLACE)
        if not (self._may_say(request) if is_order else self._may_fact_say(request)):
            return False
        if request.kind >= _FIRST_NEW and state.rules_version < _LIMITS_SINCE:
            return False
        if (
            request.received_at_ns >= state.due_at_ns
            or len(state.losses_due) > 0
            or state.policy is None
            or not state.currency
            or not self.follows(
                state.next_sequence, request.received_at_ns, request.batch_first_sequence
            )
        ):
            return False
        if not 0 < request.client_bytes <= _CLIENT_BYTES_MAX:
            return False
        if not is_order or request.currency_bytes == 0:
            return True
        currency = state.currency.encode()
        count = len(currency)
        return request.currency_bytes == count and json_reader.is_same(
            request.texts, _CURRENCY_AT, _CURRENCY_AT + count, currency, count
        )

    def _may_say(self, request: Request) -> bool:
        """A mark is said since there are limits in the rules, its age with it; the log's count of
        time, which never runs backwards, where limits are in force."""
        state = self._state
        if (request.mark_price == 0) != (request.mark_age_ns == 0):
            return False
        if request.mark_price != 0 and state.rules_version < _LIMITS_SINCE:
            return False
        if request.mark_jump != 0 and not has_jumped(state, request):
            return False
        if not state.has_limits:
            return request.elapsed_ns == 0
        if state.prices.is_kept and self._is_revaluation_due(request):
            return False
        return request.elapsed_ns != 0 and request.elapsed_ns >= state.elapsed_ns

    def _is_revaluation_due(self, request: Request) -> bool:
        """Has an order's own mark to be recorded as its symbol's price before it is decided?"""
        worth = self._state.worth_of(request)
        if worth is None:
            return False
        return self._state.prices.is_due(worth.number, request.mark_price, request.elapsed_ns)

    def _may_fact_say(self, request: Request) -> bool:
        """The log's count of time, where facts count in rates, and no mark."""
        state = self._state
        if request.mark_price != 0 or request.mark_age_ns != 0 or request.mark_jump != 0:
            return False
        if not state.limits.counts_facts:
            return request.elapsed_ns == 0
        return request.elapsed_ns != 0 and request.elapsed_ns >= state.elapsed_ns

    def note_batch(self, batch_first_sequence: int) -> int:
        """As `note`, of a request."""
        self._batch_first_sequence = batch_first_sequence
        return 0

    def note(self, sequence: int, outcome: Outcome) -> None:
        """Says that this record is part of the state from now on."""
        self._batch_first_sequence = outcome.batch_first_sequence
        if type(outcome) in _BEFORE_CHECKPOINTS:
            self._checkpoint_from = sequence
        if type(outcome) is SessionStarted:
            self._session_from = sequence
        elif type(outcome) is LogOpened:
            self._session_from = _NO_SESSION

    def check(self, sequence: int, outcome: Outcome, previous_hash: str) -> None:
        """Raises RecordError where no guard can have written this at `sequence`.

        `previous_hash`: of the record before; of no interest but where a session begins.
        """
        kind = type(outcome)
        if kind is SessionStarted:
            check_is("client", outcome.client, LOCAL_CLIENT)
            self._check_session(sequence, outcome, previous_hash)
            return
        received_at_ns = outcome.received_at_ns
        if kind is ClockAccepted:  # the one that may stand behind a later one
            received_at_ns = self._state.last_received_at_ns
        if not self.follows(sequence, received_at_ns, outcome.batch_first_sequence):
            self._refuse_head(sequence, outcome)
        if kind not in _OF_CLIENTS and outcome.client != LOCAL_CLIENT:
            raise refused("client", outcome.client, LOCAL_CLIENT)
        if received_at_ns >= self._state.due_at_ns or kind in TIMED:
            check_due(self._state, outcome)
        if self._state.losses_due or kind is LossBreached:
            check_loss(self._state, outcome)
        rule = _RULES.get(kind)
        if rule is not None:
            rule(self, sequence, outcome)

    def _refuse_head(self, sequence: int, outcome: Outcome) -> None:
        state = self._state
        self._check_time(outcome)
        if state.is_closed_cleanly:
            tag = outcome.__struct_config__.tag
            raise refused("event", tag, "session_started, behind session_closed")
        batch = self._batch_first_sequence
        of_before = f"{batch}, as in the record before" if batch else f"one below {sequence}"
        allowed = f"{sequence}, its own sequence, or {of_before}"
        raise refused("batch_first_sequence", outcome.batch_first_sequence, allowed)

    def _check_time(self, outcome: Outcome) -> None:
        last_ns = self._state.last_received_at_ns
        if outcome.received_at_ns < last_ns:
            allowed = f"from {last_ns}, of the record before, to {TIME_NS_MAX}"
            raise refused("received_at_ns", outcome.received_at_ns, allowed)

    def _check_session(self, sequence: int, event: Any, previous_hash: str) -> None:
        """What a start recovered is what stands before it."""
        state = self._state
        self._check_time(event)
        for field, wanted in (
            ("batch_first_sequence", sequence),
            ("epoch", state.epoch + 1),
            ("recovered_sequence", sequence - 1),
            ("recovered_hash", previous_hash),
            ("after_clean_stop", state.is_closed_cleanly),
        ):
            check_is(field, getattr(event, field), wanted)
        checkpoint_sequence = event.checkpoint_sequence
        if checkpoint_sequence is not UNSET and checkpoint_sequence >= sequence:
            raise refused("checkpoint_sequence", checkpoint_sequence, f"below {sequence}")
        if event.key is not UNSET:
            check_is("key.previous_key_id", event.key.previous_key_id, state.key_id)
        for index, cut in enumerate(event.cuts):
            check_cut(f"cuts[{index}]", cut, sequence)

    def _check_clock(self, _sequence: int, event: ClockAccepted) -> None:
        """It says what the log's time was, and that it goes on from an earlier one."""
        last_ns = self._state.last_received_at_ns
        check_is("previous_ns", event.previous_ns, last_ns)
        if event.received_at_ns >= last_ns:
            raise refused("received_at_ns", event.received_at_ns, f"below {last_ns}, previous_ns")

    def _check_log_opened(self, _sequence: int, event: LogOpened) -> None:
        if self._key_id is not None:
            check_is("key_id", event.key_id, self._key_id)
        check_is("epoch", event.epoch, 1)

    def _check_key_changed(self, sequence: int, event: KeyChanged) -> None:
        """It begins a segment, and so a batch."""
        check_is("batch_first_sequence", event.batch_first_sequence, sequence)
        check_is("key.previous_key_id", event.key.previous_key_id, self._state.key_id)

    def _check_rules(self, sequence: int, event: RulesActivated) -> None:
        """A session whose software has newer rules says so first, in its first batch."""
        if self._session_from not in (_UNKNOWN, sequence - 1):
            raise refused("event", "rules_activated", "directly behind session_started alone")
        check_is("batch_first_sequence", event.batch_first_sequence, sequence - 1)
        previous = self._state.rules_version
        check_is("previous_rules_version", event.previous_rules_version, previous)
        if event.rules_version <= previous:
            raise refused("rules_version", event.rules_version, f"above {previous}")

    def _check_settings(self, _sequence: int, event: SettingsActivated) -> None:
        """No event changes the currency once there is one."""
        if self._state.currency:
            check_is("currency", event.currency, self._state.currency)

    def _check_resume(self, _sequence: int, event: EntriesResumed) -> None:
        if event.free_bytes > _FREE_BYTES_MAX:
            raise refused("free_bytes", event.free_bytes, f"an integer to {_FREE_BYTES_MAX}")

    def _check_checkpoint(self, sequence: int, event: CheckpointTaken) -> None:
        """Of a record of this session, behind what the last checkpoint said of itself."""
        said = event.checkpoint_sequence
        if not self._checkpoint_from <= said < sequence:
            allowed = f"from {self._checkpoint_from} to {sequence - 1}"
            raise refused("checkpoint_sequence", said, allowed)
        check_is("file_name", event.file_name, f"checkpoint-{said:020d}.ckpt")

    def _check_clock_ns(self, event: Any) -> None:
        """It is said where it is another time, and not else."""
        clock_ns, received_at_ns = event.clock_ns, event.received_at_ns
        if clock_ns is UNSET:
            return
        if clock_ns == 0 or abs(clock_ns - received_at_ns) <= CLOCK_TOLERANCE_NS:
            allowed = f"left out, or more than {CLOCK_TOLERANCE_NS} from received_at_ns"
            raise refused("clock_ns", clock_ns, allowed)

    def _check_said(self, event: OrderDecided | OrderRefused) -> None:
        """As `_may_say`, in words."""
        state = self._state
        if state.rules_version < _LIMITS_SINCE:
            for name in ("mark_price", "mark_age_ns"):
                check_is(name, getattr(event, name), UNSET)
        if (event.mark_price is UNSET) != (event.mark_age_ns is UNSET):
            raise refused("mark_age_ns", event.mark_age_ns, "said with mark_price, and only so")
        check_jump(state, event)
        self._check_elapsed(event, state.has_limits)
        check_due_price(self._state, event)

    def _check_elapsed(self, event: Any, is_said: bool) -> None:
        """The log's count of time is said where it counts, and not else."""
        elapsed_ns, last_ns = event.elapsed_ns, self._state.elapsed_ns
        if not is_said:
            check_is("elapsed_ns", elapsed_ns, UNSET)
        elif elapsed_ns is UNSET or elapsed_ns < last_ns:
            raise refused("elapsed_ns", elapsed_ns, f"from {last_ns} on")

    def _check_revalued(self, _sequence: int, event: Revalued) -> None:
        check_revalued(self._state, event)

    def _check_latch(self, _sequence: int, event: Any) -> None:
        check_latch(self._state, event)

    def _check_limits(self, _sequence: int, event: LimitsSet) -> None:
        """A tree as a guard normalizes it, under rules that have any."""
        if self._state.rules_version < _LIMITS_SINCE:
            raise refused("event", "limits_set", f"since version {_LIMITS_SINCE} of the rules")
        try:
            wanted = normalized(event.limits)
        except ValueError as error:
            raise RecordError(str(error)) from error
        if wanted != event.limits:
            raise RecordError("limits: not in the order in which a guard writes them")

    def _check_request(self, event: Any, request: Any) -> None:
        """It is one that a client can have sent, to a guard that serves."""
        state = self._state
        if not NAME_PATTERN.fullmatch(event.client):
            raise refused("client", event.client, "the name of a client")
        if state.policy is None or not state.currency:
            allowed = "what a start logs, before settings_activated and policy_activated"
            raise refused("event", request.__struct_config__.tag, allowed)
        if request.request_id is not UNSET:
            raise refused("request_id", request.request_id, "none: it belongs to a sending")
        is_unsaid = type(request) is Order and request.currency is None
        check_request(request, state.currency)
        if is_unsaid:
            request.currency = None  # as it is recorded; the check says what that means

    def _check_order(self, sequence: int, event: OrderDecided | OrderRefused) -> None:
        order, answer = event.order, event.answer
        self._check_clock_ns(event)
        self._check_said(event)
        self._check_request(event, order)
        if event.replaces is not UNSET and self._state.rules_version < _LIMITS_SINCE:
            raise refused("replaces", event.replaces, f"since version {_LIMITS_SINCE} of the rules")
        check_answer(answer, order, sequence)
        reason = answer.reason
        if not 0 < len(reason) <= _REASON_LENGTH_MAX or not is_identifier(reason):
            raise refused("answer.reason", reason, f"a word of 1 to {_REASON_LENGTH_MAX} letters")
        if isinstance(answer, Admit):
            check_range("answer.venue", answer.venue, 1, U32_MAX)
            low = 0 if answer.reducing is True else 1
            high = I64_MAX if low else 0
            check_range("answer.notional_microcents", answer.notional_microcents, low, high)
            if answer.reducing is True:
                check_is("answer.reservation_id", answer.reservation_id, 0)
            check_range("answer.fee_microcents", answer.fee_microcents, 0, U64_MAX)
            checking.check_noted(answer, order)
            return
        for name, value in answer.detail.items():
            if not 0 <= value <= U64_MAX:
                raise refused(f"answer.detail.{name}", value, f"an integer from 0 to {U64_MAX}")
        if answer.field is not UNSET and answer.field not in ORDER_FIELDS:
            raise refused("answer.field", answer.field, "the name of a field of an order")

    def _check_together(self, sequence: int, event: AllOrNoneRecorded) -> None:
        """Each order is held to what holds for one that comes alone."""
        if self._state.rules_version < _LIMITS_SINCE:
            raise refused("event", "all_or_none", f"since version {_LIMITS_SINCE} of the rules")
        for place, order in enumerate(group_rules.check(event)):
            with group_rules.at(place):
                self._check_order(sequence, order)

    def _check_fill(self, sequence: int, event: FillRecorded) -> None:
        self._check_fact(event, event.fill)
        fact_rules.check_fill(self._state, sequence, event)

    def _check_release(self, sequence: int, event: OrderReleased) -> None:
        self._check_fact(event, event.cancel)
        fact_rules.check_release(self._state, sequence, event)

    def _check_reduction(self, sequence: int, event: ReductionRecorded) -> None:
        if self._state.rules_version < _LIMITS_SINCE:
            raise refused("event", "reduce", f"since version {_LIMITS_SINCE} of the rules")
        self._check_fact(event, event.reduce)
        fact_rules.check_reduction(self._state, sequence, event)

    def _check_execution(self, sequence: int, event: ExecutionRecorded) -> None:
        if self._state.rules_version < _LIMITS_SINCE:
            raise refused("event", "execution", f"since version {_LIMITS_SINCE} of the rules")
        self._check_fact(event, event.execution)
        fact_rules.check_execution(self._state, sequence, event)

    def _check_canceled_all(self, sequence: int, event: CanceledAllRecorded) -> None:
        self._check_request(event, event.cancel_all.request())
        fact_rules.check_canceled_all(self._state, sequence, event)

    def _check_replaced(self, sequence: int, event: ReplaceDone | ReplaceFailed) -> None:
        request = event.replaced if isinstance(event, ReplaceDone) else event.replace_rejected
        tag = request.__struct_config__.tag
        if self._state.rules_version < _LIMITS_SINCE:
            raise refused("event", tag, f"since version {_LIMITS_SINCE} of the rules")
        self._check_fact(event, request)
        fact_rules.check_settled(self._state, sequence, request, event)

    def _check_fact(self, event: Any, request: Any) -> None:
        """The times that it says, and that a client can have sent it."""
        self._check_clock_ns(event)
        self._check_elapsed(event, self._state.limits.counts_facts)
        self._check_request(event, request)

    def _check_money(self, _sequence: int, event: Any) -> None:
        money_rules.check(self._state, event)


_RULES: Final[dict[type, Callable[[RecordRules, int, Any], None]]] = {
    OrderDecided: RecordRules._check_order,
    OrderRefused: RecordRules._check_order,
    AllOrNoneRecorded: RecordRules._check_together,
    FillRecorded: RecordRules._check_fill,
    OrderReleased: RecordRules._check_release,
    ReductionRecorded: RecordRules._check_reduction,
    ExecutionRecorded: RecordRules._check_execution,
    CanceledAllRecorded: RecordRules._check_canceled_all,
    ReplaceDone: RecordRules._check_replaced,
    ReplaceFailed: RecordRules._check_replaced,
    LogOpened: RecordRules._check_log_opened,
    ClockAccepted: RecordRules._check_clock,
    KeyChanged: RecordRules._check_key_changed,
    RulesActivated: RecordRules._check_rules,
    SettingsActivated: RecordRules._check_settings,
    LimitsSet: RecordRules._check_limits,
    LatchSet: RecordRules._check_latch,
    LatchLifted: RecordRules._check_latch,
    Revalued: RecordRules._check_revalued,
    DeskToppedUp: RecordRules._check_money,
    HoldFreed: RecordRules._check_money,
    FillAccepted: RecordRules._check_money,
    FillBusted: RecordRules._check_money,
    FillCorrected: RecordRules._check_money,
    EntriesResumed: RecordRules._check_resume,
    CheckpointTaken: RecordRules._check_checkpoint,
}
_OF_CLIENTS: Final = frozenset(CLIENT_EVENTS)  # all else the daemon records itself
# No checkpoint that is logged behind one of these is of a record before it.
_BEFORE_CHECKPOINTS: Final = frozenset((LogOpened, SessionStarted, CheckpointTaken))
