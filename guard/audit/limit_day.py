"""Each limit's use through a day: the most that was used, of which bound, and refusals. Pure.

Owns which limits a record may have brought someone nearer to. What stands used
(`guard.engine.limit_use`), and a desk's budget and cap, is measured behind each record that can
have moved it, in the places that it is of. A rate is measured as it counts behind each admission.
Of a limit on single orders the admitted ones are measured, and the nearest counts; one that the
limit was not asked about (an exit, an order with an override) does not come near it. What was
refused the reject itself says: its check, and whose limit it was.

Work is bounded by what a record can have moved: a price that of the desks that have any of the
symbol, a new tree of limits and a day's turn all there is. Memory: `guard.audit.use_lines`, and
`REFUSED_MAX` places with what they were refused.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from guard.audit.limit_statements import (
    BUDGET,
    CAP,
    FLOORS,
    MEASURED,
    changes,
    kind_of,
    refusing,
    said_values,
    single_limits,
)
from guard.audit.use_lines import COLUMNS, UseLine, UseLines
from guard.engine import limit_use
from guard.engine.events import DayClosed, InstrumentDefined, Outcome, Revalued, RulesActivated
from guard.engine.limit_use import Place, Said, SaidByName, Use
from guard.engine.measures import NO_ROW as NO_EXPOSURE_ROW
from guard.engine.positions import NO_POSITION
from guard.engine.remembered_rows import ended_by
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.limits import LimitScope, ScopeKey
from guard.protocol.outcome import Outcome as Answer
from guard.protocol.outcome import OutcomeKind
from guard.protocol.request import Request

LISTED_MAX: Final = 1_000
# Each may have some 1,440 rows.
COURSES_MAX: Final = 60
REFUSED_MAX: Final = 20_000
CHANGES_MAX: Final = 1_000
_COVERING_MAX: Final = 50_000  # pairs of desk and symbol of which the scopes are kept

_ADMITTED, _REJECTED, _REFUSED = map(int, list(OutcomeKind)[:3])
_EXECUTED: Final = int(OutcomeKind.EXECUTED)
_MOVES_ALL: Final = (DayClosed, InstrumentDefined, RulesActivated)


class LimitDay:
    """Told of each record; `fields` once, behind the last."""

    def __init__(self) -> None:
        self.lines = UseLines()
        self._said = SaidByName(())
        self._single: dict[tuple[str, str], list[tuple[Place, str, int]]] = {}
        self._tree: list[LimitScope] | None = None
        self._covering: dict[tuple[Any, ...], list[Said]] = {}
        self._refused: Counter[Place] = Counter()
        self._changes: list[dict[str, Any]] = []
        self._changes_left_out = self._refused_left_out = 0
        self._names_of_share: dict[int, str] = {}
        self._known = (Request(), Answer())

    # -- records ---------------------------------------------------------------------------------

    def begin(self, at_ns: int, state: GuardState) -> None:
        """Where a part of a log begins: what stands used then has no record here."""
        self._take_tree(state, None, at_ns)
        self._note_all(state, None, at_ns)

    def observe(
        self, sequence: int, at_ns: int, request: Request, answer: Answer, state: GuardState
    ) -> None:
        """A record that answers a request was applied."""
        if answer.kind in (_REJECTED, _REFUSED):
            self._note_refusal(request, answer, state)
            return
        desk = request.desk
        if desk not in state.desks:
            return  # a fact of a stranger: nothing has moved
        is_order = answer.kind == _ADMITTED
        # (Of a request that has no symbol of its own its place holds another one's.)
        names_symbol = is_order or answer.kind == _EXECUTED
        symbol = request.symbol if names_symbol else self._symbol_of(request, state)
        self._note_at(desk, symbol, sequence, at_ns, state)
        named: Sequence[ScopeKey] = ()
        if is_order and state.limits.has_named:
            named = state.accounts.scopes_of_request(request)
        covering = self._scopes_of(desk, symbol, named)
        if is_order:
            self._note_single(covering, request, answer, sequence, at_ns)
        for said in covering:
            if said.rates:
                self._take(limit_use.of_rates(state, said, desk, symbol), sequence, at_ns, False)

    def observe_event(self, sequence: int, at_ns: int, event: Outcome, state: GuardState) -> None:
        """A record that answers none was applied."""
        if state.limits.tree is not self._tree:
            self._take_tree(state, sequence, at_ns)
            self._note_all(state, sequence, at_ns)
        elif isinstance(event, _MOVES_ALL):
            self._note_all(state, sequence, at_ns)
        elif isinstance(event, Revalued):
            self._note_price(event.symbol, sequence, at_ns, state)
        elif isinstance(event, CanceledAllRecorded):
            ended = {(desk, self._named(desk, name, state)) for desk, name, _ in
                     ended_by(state.orders, sequence)}  # fmt: skip
            for desk, symbol in sorted(ended):
                self._note_at(desk, symbol, sequence, at_ns, state)
        else:
            desk, symbol = getattr(event, "desk", ""), getattr(event, "symbol", "")
            name = getattr(event, "client_order_id", "")
            if desk in state.desks:
                symbol = symbol or (self._named(desk, name, state) if name else "")
                self._note_at(desk, symbol, sequence, at_ns, state)

    def _symbol_of(self, request: Request, state: GuardState) -> str:
        """Of the order that a fact is of; empty where it is unknown."""
        row = state.orders.find(request, request.received_at_ns)
        if row == NO_ROW:
            return ""
        state.orders.read_into(row, *self._known)
        return self._known[0].symbol

    def _named(self, desk: str, client_order_id: str, state: GuardState) -> str:
        request = Request()
        request.set_text("desk", desk.encode())
        request.set_text("client_order_id", client_order_id.encode())
        request.received_at_ns = state.last_received_at_ns
        return self._symbol_of(request, state)

    # -- what is used ----------------------------------------------------------------------------

    def _scopes_of(self, desk: str, symbol: str, named: Sequence[ScopeKey] = ()) -> list[Said]:
        key = (desk, symbol, *named)
        found = self._covering.get(key)
        if found is None:
            if len(self._covering) >= _COVERING_MAX:
                self._covering.clear()
            found = self._covering[key] = self._said.covering(desk, symbol, named)
        return found

    def _note_at(
        self, desk: str, symbol: str, sequence: int | None, at_ns: int, state: GuardState
    ) -> None:
        """What a desk in a symbol, and the scopes that cover it, use."""
        self._note_ledger(desk, sequence, at_ns, state)
        number, row = state.positions.symbols.get(symbol), NO_POSITION
        if number is not None:
            row = state.positions.find(state.desks[desk].share, number)
        for said in self._scopes_of(desk, symbol):
            if said.own:
                self._take(limit_use.of_scope(state, said), sequence, at_ns)
            if said.open_orders is not None:
                self._take(limit_use.of_desk(state, said, desk), sequence, at_ns)
            if said.positions and row != NO_POSITION:
                uses = limit_use.of_row(state, said, row, desk, symbol)
                self._take(uses, sequence, at_ns)
            if said.concentration is not None:
                uses = limit_use.of_concentration(state, said, desk, symbol)
                self._take(uses, sequence, at_ns)

    def _take(
        self, uses: Iterable[Use], sequence: int | None, at_ns: int, is_standing: bool = True
    ) -> None:
        for place, used, most in uses:
            self.lines.note(place, used, most, sequence, at_ns, is_standing)

    def _note_ledger(self, desk: str, sequence: int | None, at_ns: int, state: GuardState) -> None:
        """What a desk uses of its budget and its cap."""
        ledger, said = state.ledger, f"desks.{desk}"
        held = ledger.reserved_microcents(desk) or 0
        used = held + (ledger.committed_microcents(desk) or 0)
        granted = ledger.initial_microcents(desk) or 0
        self.lines.note((said, BUDGET, desk, ""), used, granted, sequence, at_ns)
        cap, place = ledger.max_reserved_microcents(desk), (said, CAP, desk, "")
        if cap:
            self.lines.note(place, held, cap, sequence, at_ns)
        else:
            self.lines.end([place], at_ns)

    def _note_price(self, symbol: str, sequence: int, at_ns: int, state: GuardState) -> None:
        """What a price of positions moves: the symbol, the firm, and who has any of it."""
        exposure, number = state.positions.exposure, state.positions.symbols.get(symbol)
        if number is None or not exposure.is_on:
            return
        if len(self._names_of_share) != len(state.desks):
            self._names_of_share = {desk.share: desk.name for desk in state.desks.values()}
        desks, row = [""], exposure.book(number).first
        while row != NO_EXPOSURE_ROW:
            desks.append(self._names_of_share[state.positions.key_of(row)[0]])
            row = exposure.next_row(row)
        if len(desks) == 1:
            return
        for desk in desks:
            for said in self._scopes_of(desk, symbol):
                if not desk or said.scope.desk:  # of all desks together once
                    self._take(limit_use.of_scope(state, said), sequence, at_ns)
                    uses = limit_use.of_concentration(state, said, desk, symbol)
                    self._take(uses, sequence, at_ns)

    def _note_all(self, state: GuardState, sequence: int | None, at_ns: int) -> None:
        for desk in state.desks:
            self._note_ledger(desk, sequence, at_ns, state)
        for uses in limit_use.of_all(state, self._said):
            self._take(uses, sequence, at_ns)
        for said in self._said.all.values():
            self._take(limit_use.of_rates(state, said, "", ""), sequence, at_ns, False)

    def _note_single(
        self,
        covering: list[Said],
        request: Request,
        answer: Answer,
        sequence: int,
        at_ns: int,
    ) -> None:
        """How near an admitted order came to limits on single orders."""
        for said in covering:
            for place, name, most in self._single.get(said.scope.key, ()):
                measure, is_floor = MEASURED[name]
                measured = measure(request, answer)
                if measured < 0 or (measured < most if is_floor else measured > most):
                    continue  # it was not asked about
                used, of = (most, measured) if is_floor else (measured, most)
                self.lines.note(place, used, of, sequence, at_ns, False)

    # -- what is refused, and what changed ---------------------------------------------------------

    def _note_refusal(self, request: Request, answer: Answer, state: GuardState) -> None:
        place = refusing(request, answer, state)
        if place is None:
            return
        if place not in self._refused and len(self._refused) >= REFUSED_MAX:
            self._refused_left_out += 1
        else:
            self._refused[place] += 1

    def _take_tree(self, state: GuardState, sequence: int | None, at_ns: int) -> None:
        """Other limits."""
        before, self._tree = self._tree, state.limits.tree
        self._said, self._covering = SaidByName(self._tree), {}
        self._single = {scope.key: single_limits(scope) for scope in self._tree}
        said = {(scope.place, name) for scope in self._tree for name, _ in said_values(scope)}
        self.lines.end(
            [p for p in self.lines.places if p[1] not in (BUDGET, CAP) and p[:2] not in said], at_ns
        )
        # The first limits there are change none.
        for change in changes(before, self._tree) if before and sequence is not None else ():
            if len(self._changes) < CHANGES_MAX:
                self._changes.append({"sequence": sequence, "at_ns": at_ns, **change})
            else:
                self._changes_left_out += 1

    # -- the report ------------------------------------------------------------------------------

    def fields(self, state: GuardState) -> dict[str, Any]:
        """All of it (`guard/audit/REPORT.md`)."""
        bounds = {
            (scope.place, name): value
            for scope in state.limits.tree
            for name, value in said_values(scope)
        }
        for desk in state.desks:
            bounds[f"desks.{desk}", BUDGET] = state.ledger.initial_microcents(desk)
            if cap := state.ledger.max_reserved_microcents(desk):
                bounds[f"desks.{desk}", CAP] = cap
        listed = [self._listed(line, bounds) for line in self.lines.listed()]
        shown = {(line["said"], line["limit"]) for line in listed}
        listed += [
            self._line((*said, "", ""), None, bounds) for said in bounds if said not in shown
        ]
        listed.sort(key=_rank)
        for line in listed[:COURSES_MAX]:
            line["rows"] = self.lines.rows_of(_place_of(line))
        users = sum(map(len, limit_use.of_all(state, self._said))) if self.lines.is_full else 0
        return {
            "bucket_width_ns": self.lines.bucket_width_ns,
            "columns": ["start_ns", *COLUMNS],
            "listed": listed[:LISTED_MAX],
            "left_out": max(len(listed), users) - len(listed[:LISTED_MAX]),
            "refused_left_out": self._refused_left_out,
            "changes": self._changes,
            "changes_left_out": self._changes_left_out,
        }

    def _listed(self, line: UseLine, bounds: dict[tuple[str, str], Any]) -> dict[str, Any]:
        used, bound = line.peak_used, line.peak_most
        if line.place[1] in FLOORS:
            used, bound = bound, used
        highest = {
            "used": used,
            "bound": bound,
            "millionths": None if bound <= 0 else line.peak_share,
            "sequence": line.peak_sequence,
            "at_ns": line.peak_at_ns,
        }
        return self._line(line.place, highest, bounds)

    def _line(
        self, place: Place, highest: dict[str, Any] | None, bounds: dict[tuple[str, str], Any]
    ) -> dict[str, Any]:
        said, name, desk, symbol = place
        return {
            "said": said,
            "limit": name,
            "kind": kind_of(name),
            "desk": desk,
            "symbol": symbol,
            "bound": bounds.get((said, name)),
            "in_force": (said, name) in bounds,
            "highest": highest,
            "refused": self._refused[place],
            "rows": [],
        }


def _place_of(line: dict[str, Any]) -> Place:
    return line["said"], line["limit"], line["desk"], line["symbol"]


def _rank(line: dict[str, Any]) -> tuple[Any, ...]:
    """Who came nearest to theirs first, then what refused most."""
    highest = line["highest"]
    if highest is None:
        share = -1
    elif highest["millionths"] is None:
        share = 2**62 if highest["used"] else 0
    else:
        share = highest["millionths"]
    return -share, -line["refused"], _place_of(line)
