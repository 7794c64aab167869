"""Holds that are tried on one line of a ledger, and undone. Pure but for that line, meanwhile.

Owns the way to ask what several holds, one upon the other, would leave: each is opened as far as
balances and numbers go, so that the next one is asked of what is left, and then all of it is as it
was. No hold is listed: none of them can be settled or released.

Fails: it does not; 0 says that an amount cannot be held, and nothing has moved.
"""

from kernel.ledger import BudgetEngine
from kernel.ledger_lines import Tenant


class LedgerTrial:
    """What is tried on that line, until `undo`. Nothing else may use the ledger meanwhile."""

    def __init__(self, ledger: BudgetEngine, line: Tenant) -> None:
        self._ledger, self._line = ledger, line
        self._before = (line.remaining, line.reserved, ledger._next_id)

    def hold(self, amount_microcents: int) -> int:
        """The number that a hold of that would get; 0 where it cannot be held."""
        line, ledger = self._line, self._ledger
        if not line.can_hold(amount_microcents):
            return 0
        line.remaining -= amount_microcents
        line.reserved += amount_microcents
        line.check()
        ledger._next_id += 1
        return ledger._next_id - 1

    def undo(self) -> None:
        """The line and the ledger's numbers are as they were."""
        self._line.remaining, self._line.reserved, self._ledger._next_id = self._before
