"""One order, explained: the request, each venue, the ledger at that instant, and what followed.

Owns the account of an order as plain values, made at the very record that answered it, from the
state as it stood then; it is an observer of `guard.replay`, so all of it was decided again and
found the same. Pure. An id may stand under several desks, and more than once under one: a repeat
with other content is refused under the same id, and an id that was forgotten may be used anew.

The ledger line before the order is worked out from the one behind it: an admitted order moved
exactly its notional from remaining to held, and a refused one moved nothing.
"""

from dataclasses import asdict
from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.audit.asked_checks import checks_of
from guard.audit.remedies import lead, remedies, remedies_for_requested
from guard.audit.sentences import override_sentence, sentence_of
from guard.engine.events import HoldFreed, KernelRows
from guard.engine.limit_checks import valued_at
from guard.engine.limit_lines import effective_limits, limit_lines
from guard.engine.order_group import OrderGroup
from guard.engine.remembered_rows import ended_by
from guard.engine.request_events import (
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
from guard.protocol.fields import ORDER_NAMES
from guard.protocol.limits import ScopeKey
from guard.protocol.messages import Admit, Order, Reject
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request
from guard.replay.place import Place
from guard.replay.redecide import Replayed
from kernel import (
    DECISION_ROW_BYTES,
    TRACE,
    Action,
    InvariantError,
    KernelInput,
    PolicySnapshot,
    Reason,
)
from kernel.layout import DECISION

# Enough for any honest id; what is beyond is counted.
EXPLANATIONS_MAX: Final = 200
FOLLOWING_MAX: Final = 1_000

_HOLD_FREED_FIELDS: Final = ("desk", "client_order_id", "by", "why")
_MONEY: Final = (Refusal.INSUFFICIENT.word, Refusal.EXPOSURE_LIMIT_EXCEEDED.word)


class OrderExplainer:
    """Collects every record of a client order id, of one desk or of all."""

    def __init__(self, client_order_id: str, desk: str | None = None) -> None:
        self.client_order_id = client_order_id
        self.desk = desk
        self.explanations: list[dict[str, Any]] = []
        self.left_out = 0
        self._latest: dict[str, dict[str, Any]] = {}

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Explains the record where it is about the order."""
        request = decided.request
        if request is None:
            self._observe_administrative(place, decided.outcome, state)
            return
        if not self._is_meant(request.client_order_id, request.desk):
            return
        outcome = decided.outcome
        if isinstance(outcome, OrderDecided | OrderRefused):
            self._add(place, decided, state)
        elif isinstance(outcome, FillRecorded):
            self._follow(place, "fill", outcome, outcome.fill, outcome.answer)
        elif isinstance(outcome, OrderReleased):
            self._follow(place, "release", outcome, outcome.cancel, outcome.answer)
        elif isinstance(outcome, ReductionRecorded):
            self._follow(place, "reduce", outcome, outcome.reduce, outcome.answer)
        elif isinstance(outcome, ExecutionRecorded):
            self._follow(place, "execution", outcome, outcome.execution, outcome.answer)
        elif isinstance(outcome, ReplaceDone):
            self._follow(place, "replaced", outcome, outcome.replaced, outcome.answer)
        elif isinstance(outcome, ReplaceFailed):
            told = outcome.replace_rejected
            self._follow(place, "replace_rejected", outcome, told, outcome.answer)

    def _observe_administrative(self, place: Place, outcome: Any, state: GuardState) -> None:
        """A hold that a person freed, or a record that ended many, is a part of its account."""
        if isinstance(outcome, CanceledAllRecorded):
            for desk, client_order_id, released in ended_by(state.orders, place.sequence):
                if self._is_meant(client_order_id, desk):
                    name = {"desk": desk, "client_order_id": client_order_id}
                    request = {**name, **msgspec.to_builtins(outcome.cancel_all)}
                    answer = {"released_microcents": released}
                    self._follow(place, "cancel_all", outcome, request, answer)
            return
        if not isinstance(outcome, HoldFreed):
            return
        if self._is_meant(outcome.client_order_id, outcome.desk):
            request = {name: getattr(outcome, name) for name in _HOLD_FREED_FIELDS}
            answer = {"released_microcents": outcome.released_microcents}
            self._follow(place, "hold_freed", outcome, request, answer)

    def desks(self) -> dict[str, int | None]:
        """The desks that used the id, each with the sequence of its first record of it."""
        first: dict[str, int | None] = {}
        for explanation in self.explanations:
            first.setdefault(explanation["desk"], explanation["sequence"])
        return first

    def _is_meant(self, client_order_id: str, desk: str) -> bool:
        return client_order_id == self.client_order_id and self.desk in (None, desk)

    def _add(self, place: Place, decided: Replayed, state: GuardState) -> None:
        event: OrderDecided | OrderRefused = decided.outcome
        is_of_known = event.answer.reason == "client_order_id_reused"
        if len(self.explanations) >= EXPLANATIONS_MAX:
            self.left_out += 1
            if not is_of_known:
                # What follows is of this order, and left out with it.
                self._latest.pop(event.order.desk, None)
            return
        together = decided.group, decided.place
        explanation = explain_order(place, event, decided.kernel, state, *together)
        if isinstance(event.answer, Reject) and decided.request is not None:
            explanation["checks"] = checks_of(state, decided.request, event.answer.reason)
        self.explanations.append(explanation)
        if not is_of_known:  # what follows is of the order that has the id
            self._latest[event.order.desk] = explanation

    def _follow(
        self,
        place: Place,
        name: str,
        event: FillRecorded
        | OrderReleased
        | ReductionRecorded
        | ExecutionRecorded
        | CanceledAllRecorded
        | ReplaceDone
        | ReplaceFailed
        | HoldFreed,
        reported: Any,
        answer: Any,
    ) -> None:
        request = msgspec.to_builtins(reported)
        desk = request["desk"]
        explanation = self._latest.get(desk)
        if explanation is None:
            # Of an order that the log never saw: an account of its own. Or of one left out.
            if len(self.explanations) >= EXPLANATIONS_MAX:
                self.left_out += 1  # the desks that a client may name have no bound
                return
            explanation = _stranger(request)
            self._latest[desk] = explanation
            self.explanations.append(explanation)
        if len(explanation["following"]) >= FOLLOWING_MAX:
            explanation["following_left_out"] += 1
            return
        explanation["following"].append(
            {
                "sequence": place.sequence,
                "entry_hash": place.entry_hash,
                "event": name,
                "received_at_ns": event.received_at_ns,
                "request": request,
                "answer": msgspec.to_builtins(answer),
            }
        )


def _stranger(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "client_order_id": request["client_order_id"],
        "desk": request["desk"],
        "sequence": None,
        "summary": "the log holds no such order, only what was reported of it",
        "sentence": "The log holds no such order, only what was reported of it.",
        "following": [],
        "following_left_out": 0,
    }


def _names_of(state: GuardState, order: Order) -> list[ScopeKey]:
    """The scopes of whom it names, and of its account's customer."""
    return state.accounts.scopes_of({kind: getattr(order, kind) or "" for kind in ORDER_NAMES})


def _reference(event: OrderDecided | OrderRefused) -> dict[str, int] | None:
    """The mark that its record says, how old it was, and what it had jumped to, if that waited."""
    if event.mark_price is UNSET or event.mark_age_ns is UNSET:
        return None
    known = {"price": event.mark_price, "age_ns": event.mark_age_ns}
    return known if event.mark_jump is UNSET else {**known, "jump": event.mark_jump}


def explain_order(
    place: Place,
    event: OrderDecided | OrderRefused,
    rows: KernelRows | None,
    state: GuardState,
    group: OrderGroup | None = None,
    at: int = 0,
) -> dict[str, Any]:
    """The whole account of one order's record; `state` is the one just behind it.

    `group`: the orders that stand or fall together, of which it is the one at that place.
    """
    order, answer = event.order, event.answer
    instrument = state.instruments.get(order.symbol)
    policy = state.policy
    explanation: dict[str, Any] = {
        "client_order_id": order.client_order_id,
        "desk": order.desk,
        "sequence": place.sequence,
        "entry_hash": place.entry_hash,
        "segment": place.segment,
        "offset": place.offset,
        "received_at_ns": event.received_at_ns,
        "client": event.client,
        "batch_first_sequence": event.batch_first_sequence,
        "summary": _summary(order, answer),
        "request": msgspec.to_builtins(order),
        "answer": msgspec.to_builtins(answer),
        "instrument": None
        if instrument is None
        else {
            "symbol": instrument.symbol,
            "tick_size": instrument.tick_size,
            "lot_size": instrument.lot_size,
            "multiplier": instrument.multiplier,
        },
        "notional_microcents": None
        if instrument is None
        else instrument.notional_microcents(order.quantity, _priced_at(event, state)),
        "reference": _reference(event),
        "checks": None,
        "limits": limit_lines(state, order.desk, order.symbol, _names_of(state, order)),
        "halts": _halts_fields(order, state),
        "policy": None if policy is None else _policy_fields(policy, state.policy_digest_hex),
        "kernel": None,
        "lead": None,
        "remedies": [],
        "ledger": _ledger_fields(order, answer, state, group, at),
        "following": [],
        "following_left_out": 0,
    }
    if rows is not None:
        if policy is None:
            raise InvariantError(f"record {place.sequence} was decided without a policy")
        explanation["kernel"] = _kernel_fields(policy, rows)
        explanation |= _by_how_much(policy, rows, answer)
    price = _priced_at(event, state)
    explanation["quantity_that_fits"] = _quantity_that_fits(order, price, answer, state)
    if event.replaces is not UNSET:  # what is said of money is of what is more
        explanation |= {"replaces": event.replaces, "quantity_that_fits": None}
    explanation |= _customer_fields(order, state)
    if group is not None:
        explanation["together"] = _together_fields(group, at)
    explanation["sentence"] = sentence_of(explanation, state.currency)
    used = state.people.used
    if used is not None and used[0] == place.sequence:
        explanation["override"] = msgspec.to_builtins(used[1])
        explanation["sentence"] += f" {override_sentence(used[1])}"
    return explanation


def _customer_fields(order: Order, state: GuardState) -> dict[str, Any]:
    """Whose the order's account was, if it was a customer's."""
    customer = state.accounts.customer_of(order.account or "")
    return {"customer": customer} if customer else {}


def _halts_fields(order: Order, state: GuardState) -> dict[str, Any]:
    """What stopped entries, and what the desk owed."""
    desk, halt = state.desks.get(order.desk), state.entries_halt
    return {
        "entries": None if halt is None else halt._asdict(),
        "desk": None if desk is None else desk.is_halted,
        "desk_stopped": None if desk is None else desk.is_stopped,
        "firm_stopped": state.is_firm_stopped,
        "symbol_stopped": order.symbol in state.stopped_symbols,
        "desk_unpaid_fees_microcents": 0 if desk is None else desk.unpaid_fees_microcents,
    }


def _priced_at(event: OrderDecided | OrderRefused, state: GuardState) -> int:
    """The price at which the order was valued."""
    order = event.order
    if not state.has_limits or event.mark_price is UNSET:
        return order.price
    request = Request()
    request.price, request.mark_price = order.price, event.mark_price
    request.side = int(order.side == "sell")
    request.order_type = int(order.order_type == "market")
    names = _names_of(state, order)
    return valued_at(effective_limits(state, order.desk, order.symbol, names), request)


def _by_how_much(
    policy: PolicySnapshot, rows: KernelRows, answer: Admit | Reject
) -> dict[str, Any]:
    """By how much the chosen venue won; where none did, what would have let one."""
    request = KernelInput.from_row(rows.input_row)
    if isinstance(answer, Admit):
        return {"lead": lead(policy.explain(request), answer.venue), "remedies": []}
    if answer.stage != "kernel":
        return {}
    if answer.reason == Refusal.SUBSTITUTION_NOT_ALLOWED.word:
        return {"remedies": remedies_for_requested(policy, request)}
    return {"remedies": remedies(policy, request)}


def _quantity_that_fits(
    order: Order, price: int, answer: Admit | Reject, state: GuardState
) -> int | None:
    """The most lots that money would have allowed; None where it was no question of money."""
    if not isinstance(answer, Reject) or answer.reason not in _MONEY:
        return None
    detail, worth = answer.detail, state.instruments[order.symbol]
    left = max(detail["limit"] - detail["used"], 0)
    # The notional is rounded up, so that the quotient rounded down is the most.
    return left * worth.denominator // (price * worth.numerator)


def _summary(order: Order, answer: Admit | Reject) -> str:
    if isinstance(answer, Reject):
        return f"rejected at the {answer.stage}: {answer.reason}"
    instead = f" instead of {order.venue}" if answer.substituted else ""
    return f"admitted to venue {answer.venue}{instead}: {answer.reason}"


def _policy_fields(policy: PolicySnapshot, digest_hex: str) -> dict[str, Any]:
    fields = policy.as_dict()
    fields["model_count"] = len(fields.pop("models"))
    return {"digest_hex": digest_hex, **fields}


def _kernel_fields(policy: PolicySnapshot, rows: KernelRows) -> dict[str, Any]:
    request = KernelInput.from_row(rows.input_row)
    decision_row = rows.output_row[:DECISION_ROW_BYTES]
    decision: dict[str, Any] = dict(
        zip(DECISION.field_names, DECISION.unpack(decision_row), strict=True)
    )
    decision["action"] = Action(decision["action"]).snake
    decision["reason"] = Reason(decision["reason"]).snake
    counts = TRACE.unpack(rows.output_row[DECISION_ROW_BYTES:])
    venues = []
    for explained in policy.explain(request):
        fields = asdict(explained)
        fields["venue"] = fields.pop("model_id")
        fields["is_requested"] = explained.model_id == request.requested_model_id
        fields["is_chosen"] = explained.model_id == decision["selected_model_id"]
        fields["is_counterfactual"] = explained.model_id == decision["counterfactual_model_id"]
        venues.append(fields)
    return {
        "input": request.as_dict(),
        "decision": decision,
        "hard_limits": [
            {
                "limit": "hard_risk_limit_bps",
                "measured": request.risk_bps,
                "limit_bps": policy.hard_risk_limit_bps,
                "allowed": f"below {policy.hard_risk_limit_bps}",
                "passed": request.risk_bps < policy.hard_risk_limit_bps,
            },
            {
                "limit": "minimum_confidence_bps",
                "measured": request.confidence_bps,
                "limit_bps": policy.minimum_confidence_bps,
                "allowed": f"at least {policy.minimum_confidence_bps}",
                "passed": request.confidence_bps >= policy.minimum_confidence_bps,
            },
        ],
        "gates": dict(zip(TRACE.field_names, counts, strict=True)),
        "venues": venues,
    }


def _together_fields(group: OrderGroup, place: int) -> dict[str, Any]:
    """Of an order that stands or falls with others: how many, which it is, which was refused."""
    index = None if group.is_admitted else group.refused_index
    return {
        "orders": len(group.requests),
        "place": place,
        "refused_index": index,
        "refused_client_order_id": None if index is None else group.requests[index].client_order_id,
    }


def _ledger_fields(
    order: Order, answer: Admit | Reject, state: GuardState, group: OrderGroup | None, at: int
) -> dict[str, Any] | None:
    """The desk's line before and after; None for a desk that was never opened."""
    ledger = state.ledger
    granted = ledger.initial_microcents(order.desk)
    if granted is None:
        return None
    behind = 0 if group is None else group.held_behind(at)
    remaining = (ledger.remaining_microcents(order.desk) or 0) + behind
    held = (ledger.reserved_microcents(order.desk) or 0) - behind
    spent = ledger.committed_microcents(order.desk) or 0
    moved = answer.notional_microcents if isinstance(answer, Admit) else 0

    def line(remaining_microcents: int, held_microcents: int) -> dict[str, int]:
        return {
            "granted_microcents": granted,
            "remaining_microcents": remaining_microcents,
            "held_microcents": held_microcents,
            "spent_microcents": spent,
        }

    return {
        "cap_microcents": ledger.max_reserved_microcents(order.desk),
        "before": line(remaining + moved, held - moved),
        "after": line(remaining, held),
    }
