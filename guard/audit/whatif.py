"""What if: the same day under other rules, beside the day as it was. Pure.

Owns a second engine. For every record that `guard.replay` has proved it is asked the recorded
request at the recorded time, under the rules of `Overrides`; what it answers is compared with what
was answered. The log is only read, and the engine of the replay is not touched.

What is taken how:

- An order is decided anew, on the state that the other rules led to. Where the log begins behind a
  checkpoint, all up to there happened as recorded, and the other policy is in force from there on.
- Other policy: it takes the place of every policy that the day activated. Other terms of a desk:
  they hold from the first record on, in place of its opening, top-ups and caps; a desk that the
  log never opened is opened too. Everything else people and start-ups did happens as recorded.
- A fill or a cancel of an order that now is refused did not happen: it is left out and counted.
  All others happen as recorded, at the recorded price and fee, also where the order now goes to
  another venue. A fill of an order that the day itself did not admit is a report that came from
  outside: it stands.
- Of an order that only now is admitted nothing is known but that it was: nothing fills or cancels
  it, and it holds its exposure to the end. Exposures after are therefore upper bounds.

Memory: another state as large as the replay's own, and bounded counts.
"""

from dataclasses import asdict
from typing import Any

from msgspec import UNSET, structs

from guard.audit.changes import CHANGES, Change, Totals, change_fields, change_of
from guard.audit.exposure import ExposureBook
from guard.audit.overrides import Overrides
from guard.config.file import ConfigError, DeskTerms
from guard.engine.actor import Actor
from guard.engine.apply_event import build_policy
from guard.engine.engine import Engine
from guard.engine.events import (
    CheckpointTaken,
    DeskCapped,
    DeskOpened,
    DeskOrderAgeLimited,
    DeskToppedUp,
    FillRecorded,
    OrderDecided,
    OrderRefused,
    Outcome,
    PolicyActivated,
    SettingsActivated,
)
from guard.engine.remembered_form import OrderPhase
from guard.engine.state import GuardState
from guard.protocol.messages import Admit, ErrorReply, Reject, Reply
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.request import Request
from guard.protocol.views import reply_of
from guard.replay.place import Place
from guard.replay.redecide import Replayed


class WhatIf:
    """An observer of replay that lives the day again under other rules; see the module."""

    def __init__(self, overrides: Overrides, begun: Engine | None = None) -> None:
        """`begun`: an engine of its own that is where the log begins, if not at its first record.

        The overrides' policy is in force in it then; other terms of desks need the first record.
        """
        self.engine = Engine() if begun is None else begun
        self._is_seeded = begun is None
        if begun is not None and overrides.policy is not None:
            begun.state.policy = build_policy(overrides.policy)
            begun.state.policy_digest_hex = overrides.policy_digest_hex
        self.changes = {name: Change() for name in CHANGES}
        self.before = Totals()
        self.after = Totals()
        self.same_count = 0
        self.repeat_count = 0
        self.fills_left_out = 0
        self.cancels_left_out = 0
        self.exposure_before = ExposureBook()
        self.exposure_after = ExposureBook()
        self._overrides = overrides
        self._has_opened_desks = False
        self._after = RequestOutcome()
        self._at_ns = 0

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Lives one record again; `state` is the replay's, which has just taken it in.

        Raises ConfigError where the overrides cannot be of this log.
        """
        outcome = decided.outcome
        self._at_ns = max(self._at_ns, outcome.received_at_ns)
        if not self._is_seeded:
            self._is_seeded = True
            self.exposure_before.seed(state, place.sequence, self._at_ns)
            self.exposure_after.seed(self.engine.state, place.sequence, self._at_ns)
        request = decided.request
        if request is not None:
            # Asked of another engine, which puts its answer elsewhere: the request stays as it is.
            if isinstance(outcome, OrderDecided | OrderRefused):
                self._order(place.sequence, outcome, request, state)
            else:
                self._note(self.exposure_before, request.desk, state, place.sequence)
                if isinstance(outcome, FillRecorded):
                    self._fill(place.sequence, request, state)
                else:
                    self._cancel(place.sequence, request)
        else:
            if isinstance(outcome, DeskOpened | DeskToppedUp | DeskCapped):
                self._note(self.exposure_before, outcome.desk, state, place.sequence)
            self._administer(place.sequence, outcome)

    def fields(self) -> dict[str, Any]:
        """The report's `what_if`; described in `guard/audit/REPORT.md`."""
        overrides = self._overrides
        state = self.engine.state
        return {
            "policy_digest_hex": overrides.policy_digest_hex or None,
            "desks_with_other_terms": sorted(overrides.desks),
            "remembered_orders_max": overrides.remembered_orders_max,
            "remembered_order_window_ns": overrides.remembered_order_window_ns,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "same": self.same_count,
            "repeats": self.repeat_count,
            **{name: change_fields(change) for name, change in self.changes.items()},
            "fills_left_out": self.fills_left_out,
            "cancels_left_out": self.cancels_left_out,
            "desks": self._desk_fields(),
            "exposure_after": {
                "bucket_width_ns": self.exposure_after.bucket_width_ns,
                "desks": {
                    desk: {"rows": self.exposure_after.series(desk)}
                    for desk in sorted(self.exposure_after.desks)
                },
            },
            "ledger_digest_hex": state.ledger.prove_conservation().ledger_digest_hex,
        }

    def _desk_fields(self) -> dict[str, dict[str, int]]:
        fields: dict[str, dict[str, int]] = {}
        for desk in sorted(self.exposure_before.desks.keys() | self.exposure_after.desks.keys()):
            before = self.exposure_before.desks.get(desk)
            after = self.exposure_after.desks.get(desk)
            fields[desk] = {
                "held_peak_microcents_before": before.held_peak_microcents if before else 0,
                "held_peak_microcents_after": after.held_peak_microcents if after else 0,
                "used_peak_microcents_before": before.used_peak_microcents if before else 0,
                "used_peak_microcents_after": after.used_peak_microcents if after else 0,
                **{name: change.desks[desk] for name, change in self.changes.items()},
            }
        return fields

    def _order(
        self,
        sequence: int,
        event: OrderDecided | OrderRefused,
        request: Request,
        state: GuardState,
    ) -> None:
        order, before = event.order, event.answer
        after = self._ask(request)
        self.before.add(before)
        if isinstance(before, Admit):
            self._note(self.exposure_before, order.desk, state, sequence)
        assert isinstance(after, Admit | Reject), after
        if after.repeat:
            # The day had refused and forgotten it, and it was sent again; now it is known.
            self.repeat_count += 1
            return
        self.after.add(after)
        if isinstance(after, Admit):
            self._note(self.exposure_after, order.desk, self.engine.state, sequence)
        name = change_of(before, after)
        if name is None:
            self.same_count += 1
        else:
            self.changes[name].add(sequence, order, before, after)

    def _fill(self, sequence: int, request: Request, state: GuardState) -> None:
        if _is_admitted(state, request) and not _is_admitted(self.engine.state, request):
            self.fills_left_out += 1
            return
        if isinstance(self._ask(request), ErrorReply):
            self.fills_left_out += 1
            return
        self._note(self.exposure_after, request.desk, self.engine.state, sequence)

    def _cancel(self, sequence: int, request: Request) -> None:
        if isinstance(self._ask(request), ErrorReply):
            self.cancels_left_out += 1
            return
        self._note(self.exposure_after, request.desk, self.engine.state, sequence)

    def _ask(self, request: Request) -> Reply:
        """What the other rules answer to a recorded request; applied where they record it."""
        is_recorded = self.engine.decide(request, self._after)
        reply = reply_of(request, self._after)
        if is_recorded:
            self.engine.apply(request, self._after)
        return reply

    def _administer(self, sequence: int, event: Outcome) -> None:
        overrides = self._overrides
        if isinstance(event, PolicyActivated) and overrides.policy is not None:
            event = structs.replace(
                event, policy=overrides.policy, policy_digest_hex=overrides.policy_digest_hex
            )
        elif isinstance(event, SettingsActivated):
            event = self._settings(event)
        elif isinstance(event, DeskOpened | DeskToppedUp | DeskCapped | DeskOrderAgeLimited):
            if event.desk in overrides.desks:
                return
        elif isinstance(event, CheckpointTaken):
            return  # of the state that the day came to, which this one is not
        self._apply(event)
        if isinstance(event, DeskOpened | DeskToppedUp | DeskCapped):
            self._note(self.exposure_after, event.desk, self.engine.state, sequence)
        if isinstance(event, SettingsActivated) and not self._has_opened_desks:
            self._has_opened_desks = True
            for terms in overrides.desks.values():
                self._open(terms, event, sequence)

    def _settings(self, event: SettingsActivated) -> SettingsActivated:
        overrides = self._overrides
        if overrides.currency not in (None, event.currency):
            raise ConfigError(
                f"settings.currency: {overrides.currency!r} is not allowed; "
                f"allowed: the log's, {event.currency!r}"
            )
        orders_max = overrides.remembered_orders_max
        window_ns = overrides.remembered_order_window_ns
        return structs.replace(
            event,
            remembered_orders_max=event.remembered_orders_max if orders_max is None else orders_max,
            remembered_order_window_ns=event.remembered_order_window_ns
            if window_ns is None
            else window_ns,
            refuses_unknown_venues=event.refuses_unknown_venues
            if overrides.refuse_unknown_venues is None
            else overrides.refuse_unknown_venues or UNSET,
        )

    def _open(self, terms: DeskTerms, event: SettingsActivated, sequence: int) -> None:
        actor = Actor(event.received_at_ns, event.batch_first_sequence, "replay", "--limits")
        opened = actor.event(
            DeskOpened,
            desk=terms.desk,
            budget_microcents=terms.budget_microcents,
            max_reserved_microcents=terms.max_reserved_microcents,
            max_order_age_ms=UNSET if terms.max_order_age_ms is None else terms.max_order_age_ms,
        )
        self._apply(opened)
        self._note(self.exposure_after, terms.desk, self.engine.state, sequence)

    def _apply(self, event: Outcome) -> None:
        self.engine.apply_event(self.engine.next_sequence, event)

    def _note(self, book: ExposureBook, desk: str, state: GuardState, sequence: int) -> None:
        book.note(desk, state.ledger, sequence, self._at_ns)


def _is_admitted(state: GuardState, request: Request) -> bool:
    """Is the request's order one that was admitted, and not forgotten?"""
    row = state.orders.find(request, request.received_at_ns)
    return row >= 0 and state.orders.phase(row) != OrderPhase.REFUSED
