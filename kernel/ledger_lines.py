# cython: annotation_typing=False, nonecheck=True
"""The lines of the ledger: a tenant and its balances.

Owns: the comparisons that an operation's refusals come from, and the check that a tenant's balances
add up.

Must not: know which holds there are, or move anything: `kernel.ledger` does.

Fails: `InvariantError` for balances that stopped adding up. Amounts are i64, checked by the caller;
sums that might not fit one are compared as differences.
"""

from kernel.errors import InvariantError
from kernel.layout import I64

I64_MAX = I64.maximum


class Tenant:
    """One tenant and its balances. `cap` 0 is no cap; `place`: its own in `kernel.holds`."""

    __slots__ = ("cap", "committed", "initial", "place", "remaining", "reserved", "tenant_id")

    def __init__(self, tenant_id: str, initial: int, cap: int) -> None:
        self.tenant_id = tenant_id
        self.initial = initial
        self.remaining = initial
        self.reserved = 0
        self.committed = 0
        self.cap = cap
        self.place = 0

    def overflows_holds(self, amount_microcents: int) -> bool:
        """Would all holds together exceed an i64 with that one, which is above zero?"""
        return amount_microcents > I64_MAX - self.reserved

    def exceeds_cap(self, amount_microcents: int) -> bool:
        """Would they exceed the cap?"""
        return 0 < self.cap < self.reserved + amount_microcents

    def can_hold(self, amount_microcents: int) -> bool:
        """Would an amount be held?"""
        return (
            0 < amount_microcents <= self.remaining
            and not self.overflows_holds(amount_microcents)
            and not self.exceeds_cap(amount_microcents)
        )

    def overflows_spend(self, amount_microcents: int) -> bool:
        """Would all ever spent exceed an i64 with that amount, which is not below zero?"""
        return amount_microcents > I64_MAX - self.committed

    def can_settle(
        self, held_microcents: int, released_microcents: int, committed_microcents: int
    ) -> bool:
        """Could that part of a hold end, and that spend be paid?"""
        return (
            0 <= released_microcents <= held_microcents
            and committed_microcents >= 0
            and not self.overflows_spend(committed_microcents)
            and self.remaining + released_microcents >= committed_microcents
        )

    def check(self) -> None:
        """The balances must add up."""
        wide_sum = self.remaining
        wide_sum += self.reserved
        wide_sum += self.committed
        if wide_sum != self.initial or self.remaining < 0 or self.reserved < 0:
            raise InvariantError(
                f"balances do not add up: initial {self.initial}, remaining {self.remaining},"
                f" reserved {self.reserved}, committed {self.committed}"
            )
