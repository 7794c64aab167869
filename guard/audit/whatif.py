"""What if: the same day under other rules, beside the day as it was. Pure.

Owns the two readings of the log that it takes, both observers of replay. The first takes down what
became of the day's orders (`guard.audit.lives`). In the second every record is lived again, by
engines of their own (`guard.audit.course`): each is asked the recorded request at the recorded
time, under the rules of `Overrides`; what it answers is compared with what was answered. The log is
only read, and the engine of the replay is not touched.

What is taken how:

- An order is decided anew, on the state that the other rules led to. Where the log begins behind a
  checkpoint, all up to there happened as recorded, and the other policy is in force from there on.
- Other policy: it takes the place of every policy that the day activated. Other terms of a desk:
  they hold from the first record on, in place of its opening, top-ups and caps; a desk that the
  log never opened is opened too. Everything else people and start-ups did happens as recorded.
- A fill or a cancel of an order that now is refused did not happen: it is left out and counted;
  but a fill stands where its desk reports those of refused orders, too.
  All others happen as recorded, at the recorded price and fee, also where the order now goes to
  another venue. A fill of an order that the day itself did not admit is a report that came from
  outside: it stands, and where the order is admitted now, it fills it.
- A latch that the day's people lifted is lifted where it is set here, too, and over. A surplus that
  is over is lifted, unless it is over on the day as well, and its people have left it.
- Of an order that only now is admitted the log knows no end. The estimate gives it one, as
  `guard.audit.lives` says.
- Two extremes bound the estimate. In the one such an order holds its exposure to the end. In the
  other it holds nothing: it is released at once, and so is a recorded one that the first extreme
  refuses, as nobody knows whether it would have been in the way of others. What an order adds to a
  figure is between the least and the greatest that it adds in estimate and extremes, and so are
  their sums: an order that is admitted in one of them alone may or may not be.

Memory: three more states as large as the replay's own, and bounded counts.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from guard.audit.assumptions import assumption_fields
from guard.audit.changes import (
    CHANGES,
    Change,
    Counts,
    Totals,
    change_fields,
    change_of,
    counts_of,
)
from guard.audit.course import TERMS_EVENTS, Course, is_admitted
from guard.audit.exposure import ExposureBook
from guard.audit.lives import AssumedLife, LifeBook, Market
from guard.audit.overrides import Overrides
from guard.engine.engine import Engine
from guard.engine.events import HoldFreed
from guard.engine.remembered_rows import ended_by
from guard.engine.replacing import complete
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.state import GuardState
from guard.protocol.fields import REPLACE
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request
from guard.protocol.views import reply_of
from guard.replay.place import Place
from guard.replay.redecide import Replayed

_ADMITTED, _REFUSED, _FILLED = (
    int(OutcomeKind.ADMITTED), int(OutcomeKind.REFUSED), int(OutcomeKind.FILLED)
)  # fmt: skip
RELEASED_AT_ONCE: Final = AssumedLife(0, [], "")


class WhatIf:
    """Give `first` to a replay of the log, then `observe` to another; then ask for `fields`."""

    def __init__(self, overrides: Overrides, begin: Callable[[], Engine] | None = None) -> None:
        """`begin` gives a new engine that is where the log begins, if not at its first record.

        The overrides' policy is in force in it then; other terms of desks need the first record.
        """
        self.lives = LifeBook()
        self._is_seeded = begin is None
        self._estimate = Course(overrides, begin and begin())
        self._holding = Course(overrides, begin and begin(), rows_max=1)
        self._releasing = Course(overrides, begin and begin(), rows_max=1)
        self._courses = (self._estimate, self._holding, self._releasing)
        self.changes = {name: Change() for name in CHANGES}
        self.before, self._low, self._high = Totals(), Totals(), Totals()
        self._low_by_desk: Counter[str] = Counter()
        self._high_by_desk: Counter[str] = Counter()
        self.same_count = self.repeat_count = 0
        self.fills_left_out = self.cancels_left_out = 0
        self.sources = dict.fromkeys(("replaced", "like", "none"), 0)
        self.exposure_before = ExposureBook()
        self._admitted_before: dict[str, int] = {}
        self._market = Market()
        self._overrides = overrides
        self._at_ns = self._last_sequence = 0

    @property
    def first(self) -> Callable[[Place, Replayed, GuardState], None]:
        """The observer of the first reading."""
        return self.lives.observe

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Lives one record again; `state` is the replay's, which has just taken it in.

        Raises ConfigError where the overrides cannot be of this log.
        """
        sequence = self._last_sequence = place.sequence
        self._at_ns = max(self._at_ns, decided.received_at_ns)
        if not self._is_seeded:
            self._is_seeded = True
            self.exposure_before.seed(state, sequence, self._at_ns)
            for course in self._courses:
                course.exposure.seed(course.engine.state, sequence, self._at_ns)
        for course in self._courses:
            course.run_until(sequence, decided.received_at_ns)
        request, answer = decided.request, decided.answer
        if request is None or answer is None:
            event = decided.outcome
            if isinstance(event, (*TERMS_EVENTS, HoldFreed)):
                self._note_before(event.desk, state, sequence)
            elif isinstance(event, CanceledAllRecorded):
                for desk in sorted({desk for desk, *_ in ended_by(state.orders, sequence)}):
                    self._note_before(desk, state, sequence)
            for course in self._courses:
                course.administer(sequence, event, self._at_ns)
        # Asked of other engines, which put their answers elsewhere: the request stays as it is.
        elif decided.group is not None:
            if decided.place:
                return  # with the first one all were asked for
            requests = decided.group.requests
            pairs = decided.group.pairs
            self._orders(
                sequence, pairs, lambda c: c.orders(sequence, requests, self._at_ns), state
            )
        elif answer.kind <= _REFUSED:
            pairs = [(request, answer)]
            self._orders(sequence, pairs, lambda c: c.order(sequence, request, self._at_ns), state)
        else:
            self._note_before(request.desk, state, sequence)
            self._follow(sequence, request, answer, state)
        for course in self._courses:
            course.lift_own(state, self._at_ns)

    def _orders(
        self,
        sequence: int,
        asked: list[tuple[Request, Outcome]],
        ask: Callable[[Course], bool],
        state: GuardState,
    ) -> None:
        """An order, or orders that stand or fall together; `ask`: asks a course for them."""
        away = [self._market.away_millionths(request) for request, _ in asked]
        for request, before in asked:
            self._note_day(sequence, request, before, state)
        was_admitted = asked[0][1].kind == _ADMITTED
        if ask(self._estimate) and not was_admitted:
            for place, (request, _) in enumerate(asked):
                life = self.lives.life_of(sequence, request, away[place], place)
                self.sources[life.source] += 1
                self._estimate.assume(request, life)
        for (request, before), after in zip(asked, self._estimate.answers, strict=True):
            self._compare(sequence, request, before, after)
        is_held = ask(self._holding)
        is_certain = was_admitted and is_held
        if ask(self._releasing) and not is_certain:
            for request, _ in asked:
                self._releasing.assume(request, RELEASED_AT_ONCE)
            self._releasing.run_until(sequence, asked[0][0].received_at_ns)
        for place, (request, _) in enumerate(asked):
            self._bound(request.desk, place)
            if request.kind == REPLACE:  # each course has put what its own order says
                complete(state, request)

    def _note_day(
        self, sequence: int, request: Request, before: Outcome, state: GuardState
    ) -> None:
        """What became of an order on the day itself."""
        self.before.add(counts_of(before))
        if before.kind == _ADMITTED:
            desk = request.desk
            self._admitted_before[desk] = self._admitted_before.get(desk, 0) + 1
            self._note_before(desk, state, sequence)

    def _compare(self, sequence: int, request: Request, before: Outcome, after: Outcome) -> None:
        """Is it answered otherwise here?"""
        if after.repeat:
            # The day had refused and forgotten it, and it was sent again; now it is known.
            self.repeat_count += 1
            return
        name = change_of(before, after)
        if name is None:
            self.same_count += 1
            return
        was: Any = reply_of(request, before)
        answered: Any = reply_of(request, after)
        self.changes[name].add(sequence, request, was, answered)

    def _bound(self, desk: str, place: int) -> None:
        """What the order at that place adds at least and at most."""
        figures = [*zip(*(course.counted[place] for course in self._courses), strict=True)]
        low, high = Counts(*map(min, figures)), Counts(*map(max, figures))
        self._low.add(low)
        self._high.add(high)
        self._low_by_desk[desk] += low.admitted
        self._high_by_desk[desk] += high.admitted

    def _follow(self, sequence: int, request: Request, answer: Outcome, state: GuardState) -> None:
        is_fill = answer.kind == _FILLED
        if is_fill:
            self._market.note_fill(request, state)
        is_told_anyway = request.desk in self.lives.reporting_desks
        may_be_left_out = is_fill and not is_told_anyway and is_admitted(state, request)
        for course in self._courses:
            is_left_out = may_be_left_out and not is_admitted(course.engine.state, request)
            is_left_out = is_left_out or not course.follow(sequence, request, self._at_ns)
            if is_left_out and course is self._estimate:
                self.fills_left_out += is_fill
                self.cancels_left_out += not is_fill

    def _note_before(self, desk: str, state: GuardState, sequence: int) -> None:
        self.exposure_before.note(desk, state.ledger, sequence, self._at_ns)

    def finish(self) -> None:
        """The second reading is at its end."""
        for course in self._courses:
            course.run_until(self._last_sequence, course.engine.state.last_received_at_ns)

    def fields(self) -> dict[str, Any]:
        """The report's `what_if`; described in `guard/audit/REPORT.md`."""
        overrides = self._overrides
        state, exposure = self._estimate.engine.state, self._estimate.exposure
        return {
            "policy_digest_hex": overrides.policy_digest_hex or None,
            "desks_with_other_terms": sorted(overrides.desks),
            "remembered_orders_max": overrides.remembered_orders_max,
            "remembered_order_window_ns": overrides.remembered_order_window_ns,
            "before": self.before.fields(),
            "after": self._estimate.totals.fields(),
            "low": self._low.fields(),
            "high": self._high.fields(),
            **assumption_fields(self.sources, self.lives.guess),
            "same": self.same_count,
            "repeats": self.repeat_count,
            **{name: change_fields(change) for name, change in self.changes.items()},
            "fills_left_out": self.fills_left_out,
            "cancels_left_out": self.cancels_left_out,
            "desks": self._desk_fields(),
            "exposure_after": {
                "bucket_width_ns": exposure.bucket_width_ns,
                "desks": {desk: {"rows": exposure.series(desk)} for desk in sorted(exposure.desks)},
            },
            "ledger_digest_hex": state.ledger.prove_conservation().ledger_digest_hex,
        }

    def _desk_fields(self) -> dict[str, dict[str, int]]:
        fields: dict[str, dict[str, int]] = {}
        for desk in sorted(
            self.exposure_before.desks.keys() | self._estimate.exposure.desks.keys()
        ):
            line = fields[desk] = {
                "admitted_before": self._admitted_before.get(desk, 0),
                "admitted_after": self._estimate.admitted_by_desk[desk],
                "admitted_low": self._low_by_desk[desk],
                "admitted_high": self._high_by_desk[desk],
            }
            for name in ("held_peak_microcents", "used_peak_microcents"):
                line[f"{name}_before"] = _peak(self.exposure_before, desk, name)
                line |= _bounded(name, [_peak(c.exposure, desk, name) for c in self._courses])
            line |= {name: change.desks[desk] for name, change in self.changes.items()}
        return fields


def _bounded(name: str, figures: list[int]) -> dict[str, int]:
    """A figure of the estimate, which comes first, and the least and the greatest of all."""
    return {
        f"{name}_after": figures[0],
        f"{name}_low": min(figures),
        f"{name}_high": max(figures),
    }


def _peak(book: ExposureBook, desk: str, name: str) -> int:
    line = book.desks.get(desk)
    return 0 if line is None else getattr(line, name)
