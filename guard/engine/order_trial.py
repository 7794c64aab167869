"""Orders tried one upon the other: what each would leave for the next, and then none was. Pure but
for the state, meanwhile.

Owns what an admitted order changes that another order's checks look at: its desk's money, numbers
of reservations, rates and what comes twice, remembered ids and open orders, what works in its
position, at its price and out of its locate. `take` counts an order that was just decided so, in
the very functions by which `guard.engine.apply` does, or where those could not be undone exactly in
ones that know how; `undo` leaves the state as it was, to the last bit of its digest.

All of them are of one desk. Between the first `take` and `undo` nothing is applied.

How it fails: `InvariantError` where an order that was admitted cannot be counted.
"""

from guard.engine import apply as applying
from guard.engine import limit_checks
from guard.engine.rates import Bucket
from guard.engine.remembered_rows import expires_at_ns, next_closed
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel import InvariantError
from kernel.ledger_trial import LedgerTrial

_NO_AMOUNTS = [0] * 18  # what `Bucket.dump` leaves out


class OrderTrial:
    """What is tried; begun when the first order has been decided."""

    def __init__(self, state: GuardState, request: Request) -> None:
        line = state.found.line
        assert line is not None  # the first order's desk has one
        self._state = state
        self._ledger = LedgerTrial(state.ledger, line)
        self._share = share = state.share_of(request)
        self._ids = (share.ids, share.closed_first, share.open_count)
        self._position_count = state.positions.count
        self._buckets: list[tuple[Bucket, list[int]]] = []
        self._taken: list[tuple[Request, Outcome, bool]] = []
        state.limits.recent.begin_trial()

    def take(self, request: Request, outcome: Outcome) -> None:
        """Counts the order that was decided last, and admitted."""
        state, is_exit = self._state, outcome.reservation_id == 0
        if state.limits.counts_orders and not is_exit:
            self._take_rates(request, outcome)
        if not is_exit:
            reservation_id = self._ledger.hold(outcome.notional_microcents)
            if reservation_id != outcome.reservation_id:
                raise InvariantError(
                    f"an order is admitted on reservation {outcome.reservation_id}, the ledger's "
                    f"next one is {reservation_id}"
                )
        self._take_id(request.received_at_ns)
        applying.count_working(state, request, outcome, is_exit)
        self._taken.append((request, outcome, is_exit))

    def _take_rates(self, request: Request, outcome: Outcome) -> None:
        limits = self._state.found.limits
        assert limits is not None
        for bucket in limits.buckets:
            if not any(known is bucket for known, _ in self._buckets):
                self._buckets.append((bucket, bucket.dump() or _NO_AMOUNTS))
        limit_checks.note_admitted(self._state, request, outcome, limits)

    def _take_id(self, now_ns: int) -> None:
        """One more id and one more open order; of what has expired one goes, as behind a record."""
        orders, share = self._state.orders, self._share
        first = share.closed_first
        if first != NO_ROW and expires_at_ns(orders, first) <= now_ns:
            orders.shares.drop_id(share)
            share.closed_first = next_closed(orders, first)
        orders.shares.add_id(share)
        share.open_count += 1

    def undo(self) -> None:
        """All is as it was."""
        state, shares, share = self._state, self._state.orders.shares, self._share
        for request, outcome, is_exit in reversed(self._taken):
            applying.uncount_working(state, request, outcome, is_exit)
        state.positions.drop_rows(self._position_count)
        ids, share.closed_first, share.open_count = self._ids
        while share.ids > ids:
            shares.drop_id(share)
        while share.ids < ids:
            shares.add_id(share)
        for bucket, amounts in self._buckets:
            bucket.load(amounts)
        state.limits.recent.end_trial()
        self._ledger.undo()
