"""The reply to `reconcile`: fills that no execution confirmed, and executions without a fill. Pure.

How it fails: `AdminError` for a desk that is not there.
"""

from itertools import chain, islice

from guard.admin.messages import (
    SCANNED_MAX,
    AdminError,
    ListUnreconciled,
    UnreconciledLine,
    UnreconciledReply,
)
from guard.engine.state import GuardState


def unreconciled(state: GuardState, query: ListUnreconciled, now_ns: int) -> UnreconciledReply:
    """A page of what waits, in the order in which it is kept."""
    if query.desk is not None and query.desk not in state.desks:
        raise AdminError("unknown_desk", "desk", f"there is no desk {query.desk!r}")
    kept = state.executions
    waiting = chain(
        (("fill", key, fill.sequence, fill.at_ns) for key, fill in kept.unconfirmed.items()),
        (("execution", key, one.sequence, one.at_ns) for key, one in kept.unreported.items()),
    )
    found: list[UnreconciledLine] = []
    cursor, count = query.cursor, len(kept.unconfirmed) + len(kept.unreported)
    for what, key, sequence, at_ns in islice(waiting, cursor, cursor + SCANNED_MAX):
        if len(found) == query.limit:
            break
        cursor += 1
        desk, client_order_id, name = key.decode().split("\0")
        if query.desk in (None, desk):
            age_ns = max(0, now_ns - at_ns)
            found.append(UnreconciledLine(what, desk, client_order_id, name, sequence, age_ns))
    next_cursor = cursor if cursor < count else None
    return UnreconciledReply(found, next_cursor, state.next_sequence - 1)
