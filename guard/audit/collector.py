"""What a day was like: collected from its records, one at a time, in bounded memory. Pure.

Owns what the report of `replay` shows: the counts of every order and fill (`day_counts`,
`answers`), which `day_requests` brings; the policies in force; and what people and start-ups did.
It is an observer of `guard.replay`: it sees only records that were decided again and found the
same.

What may be many is bounded: the first `ADMINISTRATIVE_FIRST_MAX` administrative events are kept and
the last `ADMINISTRATIVE_LAST_MAX` (those between are counted), and the last `POLICIES_MAX`
policies. A time is never before the last one: where the clock was set back, records count at the
latest time seen.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from guard.audit.breaches import DayBreaches
from guard.audit.day_counts import DayCounts
from guard.audit.day_requests import DayRequests
from guard.audit.limit_day import LimitDay
from guard.audit.position_course import PositionCourse
from guard.engine.administrative import Administrative
from guard.engine.events import (
    BudgetLowered,
    DeskCapped,
    DeskOpened,
    DeskToppedUp,
    FillAccepted,
    FillBusted,
    FillCorrected,
    HoldFreed,
    Outcome,
    PolicyActivated,
)
from guard.engine.remembered_rows import ended_by
from guard.engine.request_events import (
    CanceledAllRecorded,
    ExecutionRecorded,
    FillRecorded,
    OrderReleased,
    ReductionRecorded,
    ReplaceDone,
    ReplaceFailed,
)
from guard.engine.state import GuardState
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.request import Request
from guard.replay.place import Place
from guard.replay.redecide import Replayed

ADMINISTRATIVE_FIRST_MAX: Final = 1_000
ADMINISTRATIVE_LAST_MAX: Final = 1_000
POLICIES_MAX: Final = 1_000
# What one policy of so many venues lists of each; beyond, the log itself is the place to look.
POLICY_VENUES_MAX: Final = 256


_MOVES_A_LINE = (
    DeskOpened
    | DeskToppedUp
    | DeskCapped
    | BudgetLowered
    | HoldFreed
    | FillAccepted
    | FillBusted
    | FillCorrected
)


@dataclass(slots=True)
class PolicyPeriod:
    """A policy in force from a record on, and how many decisions were made under it.

    `from_sequence` is None where the collector began later than the policy.
    """

    from_sequence: int | None
    from_ns: int | None
    digest_hex: str
    content: dict[str, Any]
    decisions: int = 0


class DayCollector:
    """An observer of replay; see the module. Its attributes are what `guard.audit.report` reads.

    `counts` and `counts.answers` hold all that is counted of every order and fill.
    """

    def __init__(self) -> None:
        self.counts = DayCounts()
        self._requests = DayRequests(self.counts)
        self.positions = PositionCourse()
        self.limits = LimitDay()
        self.breaches = DayBreaches()
        self.fill_flags: Counter[str] = Counter()
        self.execution_flags: Counter[str] = Counter()
        self.unpaid_fees_microcents = 0
        # Of fees: not charged when they came, charged later on, and given back; of debts: paid.
        self.uncharged_fees_microcents = self.charged_later_microcents = 0
        self.returned_microcents = self.collected_microcents = 0
        self.busted_fills = self.corrected_fills = 0
        self.policies: list[PolicyPeriod] = []
        self.policies_left_out = 0
        self._first_administrative: list[dict[str, Any]] = []
        self._last_administrative: deque[dict[str, Any]] = deque()
        self.administrative_left_out = 0
        self._counted_decisions = 0

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Counts one record, which the state has just taken in."""
        counts, sequence = self.counts, place.sequence
        request, answer = decided.request, decided.answer
        if request is not None and answer is not None:
            is_unusual = self._count(sequence, request, answer, decided, state)
            at_ns = counts.last_ns
            self.positions.observe(at_ns, state)
            self._begin(sequence, at_ns, state)
            self.limits.observe(sequence, at_ns, request, answer, state)
            self.breaches.observe_request(sequence, at_ns, decided, state, is_unusual)
            return
        outcome = decided.outcome
        at_ns = counts.begin_record(
            sequence, outcome.received_at_ns, outcome.batch_first_sequence, state
        )
        self._note_administrative(outcome, sequence, at_ns, state)
        self.positions.observe(at_ns, state)
        self._begin(sequence, at_ns, state)
        self.limits.observe_event(sequence, at_ns, outcome, state)
        self.breaches.observe(sequence, at_ns, decided, state)

    def _count(
        self,
        sequence: int,
        request: Request,
        answer: RequestOutcome,
        decided: Replayed,
        state: GuardState,
    ) -> bool:
        """Counts a request's record; whether it is a fact of which there is more to be said."""
        is_unusual = self._requests.observe(sequence, request, answer, state)
        if is_unusual:
            self._note_unusual(decided.outcome, sequence, state)
        return is_unusual

    def _begin(self, sequence: int, at_ns: int, state: GuardState) -> None:
        """Of a part of a log the first record: what stands already."""
        if self.counts.record_count == 1 and sequence > 1:
            self.limits.begin(at_ns, state)
            self.breaches.begin(state)

    @property
    def administrative(self) -> list[dict[str, Any]]:
        """What people and start-ups did, and halted desks, in the order of their records."""
        return [*self._first_administrative, *self._last_administrative]

    @property
    def cancel_count(self) -> int:
        """How many orders were canceled."""
        return self.counts.cancel_count

    def finish(self, state: GuardState) -> None:
        """Counts what was put off. Once, behind the last record, before anything is read."""
        self.counts.finish(state)
        self._close_policy()

    def _note_unusual(
        self,
        event: FillRecorded
        | OrderReleased
        | ReductionRecorded
        | ExecutionRecorded
        | ReplaceDone
        | ReplaceFailed,
        sequence: int,
        state: GuardState,
    ) -> None:
        """What few fills have: flags, a fee that could not be paid, a halt, or its end.

        A desk that does not exist cannot halt, and one that owes already is halted.
        """
        name, collected = event.answer.desk, event.answer.collected_microcents
        desk = state.desks.get(name)
        if collected:
            self._note_collected(event, name, collected, sequence, state)
        if isinstance(event, ExecutionRecorded):
            self.execution_flags.update(event.answer.flags)
        if not isinstance(event, FillRecorded):
            return
        answer = event.answer
        self.fill_flags.update(answer.flags)
        self.unpaid_fees_microcents += answer.unpaid_fee_microcents
        fee = max(answer.fee_microcents, 0)
        if "early" not in answer.flags:
            self.uncharged_fees_microcents += fee if "uncharged" in answer.flags else 0
        elif "uncharged" not in answer.flags:
            self.charged_later_microcents += fee
        if desk is None or not event.halts_desk:
            return
        if desk.unpaid_fees_microcents == answer.unpaid_fee_microcents:
            text = {
                "desk": answer.desk,
                "unpaid_fee_microcents": answer.unpaid_fee_microcents,
            }
            self._keep(sequence, event, "desk_halted", text)

    def _note_administrative(
        self, event: Outcome, sequence: int, at_ns: int, state: GuardState
    ) -> None:
        fields: dict[str, Any] = msgspec.to_builtins(event)
        if isinstance(event, _MOVES_A_LINE):
            self.counts.exposure.note(event.desk, state.ledger, sequence, at_ns)
            self._note_money(event, sequence, state)
        if isinstance(event, CanceledAllRecorded):
            self._note_canceled(event, sequence, at_ns, state)
        if isinstance(event, PolicyActivated):
            if self.counts.record_count == 1:
                self.counts.first_policy = None  # it is this very one
            self._close_policy()
            content = msgspec.to_builtins(event.policy)
            digest_hex = event.policy_digest_hex
            self._add_policy(PolicyPeriod(sequence, event.received_at_ns, digest_hex, content))
            fields["policy"] = {"policy_epoch": content["policy_epoch"]}
        for name in ("event", "received_at_ns", "client", "batch_first_sequence", "by", "why"):
            fields.pop(name, None)
        self._keep(sequence, event, event.__struct_config__.tag, fields)  # type: ignore[arg-type]

    def _note_canceled(
        self, event: CanceledAllRecorded, sequence: int, at_ns: int, state: GuardState
    ) -> None:
        """One record that ended many orders; which desks' they were, the state says."""
        for desk in sorted({desk for desk, *_ in ended_by(state.orders, sequence)}):
            self.counts.exposure.note(desk, state.ledger, sequence, at_ns)
        self.collected_microcents += event.answer.collected_microcents or 0

    def _note_money(self, event: Any, sequence: int, state: GuardState) -> None:
        """What was charged, given back or paid of a debt by what a person said."""
        if isinstance(event, FillAccepted):
            self.charged_later_microcents += event.fee_microcents
            self.unpaid_fees_microcents += event.unpaid_fee_microcents
        elif isinstance(event, FillCorrected):
            self.corrected_fills += 1
            self.charged_later_microcents += event.charged_microcents
            self.unpaid_fees_microcents += event.unpaid_fee_microcents
        elif isinstance(event, FillBusted):
            self.busted_fills += 1
        if isinstance(event, FillBusted | FillCorrected):
            self.returned_microcents += event.returned_microcents
        if isinstance(event, DeskToppedUp | FillBusted | FillCorrected) and (
            event.collected_microcents
        ):
            collected = event.collected_microcents
            self._note_collected(event, event.desk, collected, sequence, state)

    def _note_collected(
        self, event: Outcome, desk: str, microcents: int, sequence: int, state: GuardState
    ) -> None:
        """A debt was paid; all of it where the desk may enter orders again."""
        self.collected_microcents += microcents
        if desk in state.desks and not state.desks[desk].is_halted:
            fields = {"desk": desk, "collected_microcents": microcents}
            self._keep(sequence, event, "desk_halt_ended", fields)

    def _keep(self, sequence: int, event: Outcome, name: str, fields: dict[str, Any]) -> None:
        who = (event.by, event.why) if isinstance(event, Administrative) else (event.client, "")
        kept = {
            "sequence": sequence,
            "received_at_ns": event.received_at_ns,
            "event": name,
            "by": who[0],
            "why": who[1],
            "fields": fields,
        }
        if len(self._first_administrative) < ADMINISTRATIVE_FIRST_MAX:
            self._first_administrative.append(kept)
            return
        if len(self._last_administrative) >= ADMINISTRATIVE_LAST_MAX:
            self._last_administrative.popleft()
            self.administrative_left_out += 1
        self._last_administrative.append(kept)

    def _close_policy(self) -> None:
        """Gives the policy in force so far the decisions that were made under it."""
        counts = self.counts
        if not self.policies and counts.first_policy is not None:
            content, digest_hex = counts.first_policy.as_dict(), counts.first_policy_digest_hex
            self._add_policy(PolicyPeriod(None, None, digest_hex, content))
        if self.policies:
            self.policies[-1].decisions += counts.decision_count - self._counted_decisions
            self._counted_decisions = counts.decision_count

    def _add_policy(self, period: PolicyPeriod) -> None:
        models = period.content["models"]
        period.content["model_count"] = len(models)
        if len(models) > POLICY_VENUES_MAX:
            period.content["models"] = []
        if len(self.policies) >= POLICIES_MAX:
            self.policies_left_out += 1
            self.policies.pop(0)  # the ones in force last are the ones that are asked for
        self.policies.append(period)
