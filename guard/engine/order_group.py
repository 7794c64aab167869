"""Orders that stand or fall together: decided one upon the other, applied by one record. Pure.

Owns the rule (`guard/PROTOCOL.md`, 3.6). Each order is decided as if those before it were admitted
(`guard.engine.order_trial`), by the same checks as one that comes alone, but for overrides, which
are for one order. The first that is refused is refused for itself, and every other because of it;
where none is, all are admitted. Deciding changes nothing: what was tried is undone, and applying
follows the record. Orders under ids that are known already are a repeat where one record answered
all of them, as they are sent now; else the first one of these is refused.

It counts since rules version 3.

How it fails: `InvariantError` as `guard.engine.decide` and `guard.engine.apply`.
"""

from collections.abc import Sequence
from typing import Final

from guard.engine import apply as applying
from guard.engine import decide as deciding
from guard.engine import forgetting
from guard.engine.order_trial import OrderTrial
from guard.engine.state import GuardState
from guard.protocol.fields import (
    CODE_OF_REASON,
    ORDER_FIELDS,
    ORIGINAL_DETAIL,
    TOGETHER_DETAIL,
    stage_of_reason,
)
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import NOT_REMEMBERED, Refusal
from guard.protocol.request import Request
from kernel import InvariantError

SINCE_RULES: Final = 3
NONE_REFUSED: Final = -1
_ADMITTED, _REFUSED = int(OutcomeKind.ADMITTED), int(OutcomeKind.REFUSED)
_REUSED, _TOGETHER = int(Refusal.CLIENT_ORDER_ID_REUSED), int(Refusal.ALL_OR_NONE_REFUSED)
_UNREMEMBERED: Final = frozenset(CODE_OF_REASON[word] for word in NOT_REMEMBERED)
_SAME_CONTENT: Final = ORDER_FIELDS.index("client_order_id")


class OrderGroup:
    """The orders, and what was decided of each, in their order: places that are filled again.

    `refused_index`: the place of the one that was refused for itself, or NONE_REFUSED;
    `is_repeat`: these are the first answers again.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.outcomes: list[Outcome] = []
        self.refused_index = NONE_REFUSED
        self.is_repeat = False

    def begin(self, requests: Sequence[Request]) -> None:
        """It is these orders, undecided."""
        self.requests = list(requests)
        while len(self.outcomes) < len(self.requests):
            self.outcomes.append(Outcome())
        self.refused_index, self.is_repeat = NONE_REFUSED, False

    @property
    def pairs(self) -> list[tuple[Request, Outcome]]:
        """Each order with what was decided of it."""
        return list(zip(self.requests, self.outcomes, strict=False))

    @property
    def is_admitted(self) -> bool:
        """Are all of them admitted?"""
        return self.refused_index == NONE_REFUSED

    @property
    def sequence(self) -> int:
        """Of the record that has them."""
        return self.outcomes[0].sequence

    @property
    def is_remembered(self) -> bool:
        """Are the ids of these orders remembered? All of them, or none."""
        if self.is_admitted:
            return True
        return self.outcomes[self.refused_index].reason not in _UNREMEMBERED

    def held_behind(self, place: int) -> int:
        """What is held for the orders behind that place, in microcents."""
        return sum(
            outcome.notional_microcents
            for _, outcome in self.pairs[place + 1 :]
            if outcome.kind == _ADMITTED
        )


def decide_group(state: GuardState, group: OrderGroup) -> bool:
    """What the rules give for all of them; whether it is to be recorded."""
    if state.has_facts and state.facts.due:
        raise InvariantError(f"the early fill {state.facts.due[0]!r} is due, and no orders")
    if state.losses_due:
        raise InvariantError("a loss beyond its limit is to be recorded before anything is decided")
    known = [_begin(state, request, outcome) for request, outcome in group.pairs]
    if any(known):
        return _decide_known(state, group, known)
    trial = None
    for place, (request, outcome) in enumerate(group.pairs):
        deciding.decide_unknown(state, request, outcome, None)
        if outcome.kind != _ADMITTED:
            group.refused_index = place
            break
        trial = trial or OrderTrial(state, request)
        trial.take(request, outcome)
    if trial is not None:
        trial.undo()
    if not group.is_admitted:
        _refuse_others(group)
    return True


def _begin(state: GuardState, request: Request, outcome: Outcome) -> bool:
    """Is an order of that id known? Its answer is put then."""
    outcome.sequence = state.next_sequence
    outcome.repeat = 0
    outcome.received_at_ns = request.received_at_ns
    return deciding.answer_known(state, request, outcome)


def _decide_known(state: GuardState, group: OrderGroup, known: list[bool]) -> bool:
    """Some ids are known: a repeat of one record, or the first of these is refused."""
    answers = [outcome for _, outcome in group.pairs]
    is_repeat = all(known) and all(answer.repeat for answer in answers)
    if is_repeat and len({answer.sequence for answer in answers}) == 1:
        group.is_repeat = True
        group.refused_index = _refused_before(answers)
        return False
    place = known.index(True)
    refused = answers[place]
    if refused.repeat:
        refused.original_wal_sequence, refused.field = refused.sequence, _SAME_CONTENT
        refused.stage, refused.detail = stage_of_reason(_REUSED), ORIGINAL_DETAIL
        refused.kind, refused.reason, refused.repeat = _REFUSED, _REUSED, 0
        refused.received_at_ns = group.requests[place].received_at_ns
    group.refused_index = place
    for answer in answers:
        answer.sequence = state.next_sequence
    _refuse_others(group)
    return True


def _refused_before(answers: list[Outcome]) -> int:
    """Which of them was refused for itself then, as they are asked for now."""
    places = [
        place
        for place, answer in enumerate(answers)
        if answer.kind != _ADMITTED and answer.reason != _TOGETHER
    ]
    if places or answers[0].kind == _ADMITTED:
        return places[0] if places else NONE_REFUSED
    return int(answers[0].refused_index)


def _refuse_others(group: OrderGroup) -> None:
    """All but the one that was refused for itself are refused because of it."""
    for place, (request, outcome) in enumerate(group.pairs):
        if place != group.refused_index:
            outcome.kind, outcome.reason, outcome.repeat = _REFUSED, _TOGETHER, 0
            outcome.stage, outcome.detail = stage_of_reason(_TOGETHER), TOGETHER_DETAIL
            outcome.refused_index = group.refused_index
            outcome.received_at_ns = request.received_at_ns


def apply_group(state: GuardState, group: OrderGroup) -> None:
    """Folds one record of such orders into the state."""
    first, sequence = group.requests[0], group.sequence
    if sequence != state.next_sequence:
        raise InvariantError(f"event {sequence} is applied where {state.next_sequence} is due")
    at_ns = first.received_at_ns
    if state.has_facts:
        state.forget_facts(at_ns)
        if state.facts.due:
            due = state.facts.due[0]
            raise InvariantError(f"record {sequence} stands where the early fill {due!r} is due")
    state.elapsed_ns = max(state.elapsed_ns, first.elapsed_ns)
    for request, outcome in group.pairs:
        if group.is_admitted:
            applying.apply_admitted(state, request, outcome)
        elif group.is_remembered:
            applying.apply_rejected(state, request, outcome)
    share = state.share_of(first)
    for _ in group.requests:  # as much as behind as many records
        forgetting.forget_some(state.orders, share, sequence, at_ns)
    state.advance(sequence, at_ns)
