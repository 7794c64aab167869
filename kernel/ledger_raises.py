# cython: annotation_typing=False, nonecheck=True
"""More held under a hold that is open: what a replaced order needs beyond what stands.

Owns that one operation, which the ledger of the published format does not have: a hold grows by an
amount for which a hold of its own would be opened, so that grant, cap and the sum of all holds
bound it as they bound that one. Its number stays, and none is used up.

Must not: change anything where the amount cannot be held.

Fails: it does not; False says that nothing has moved.
"""

from kernel.ledger import BudgetEngine


def raise_hold(ledger: BudgetEngine, reservation_id: int, by_microcents: int) -> bool:
    """Holds so much more, an i64 above zero, under an open hold; whether that is done."""
    holds = ledger._holds
    hold = holds.get(reservation_id)
    if hold is None:
        return False
    tenant = hold.tenant
    if not tenant.can_hold(by_microcents):
        return False
    tenant.remaining -= by_microcents
    tenant.reserved += by_microcents
    holds.lower(hold, -by_microcents)
    tenant.check()
    return True
