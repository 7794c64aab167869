"""What the state of firm, desks and symbols is: active, reducing or halted. Pure.

Owns the words of it (`guard/PROTOCOL.md`, 12), for queries and for what an action would change.
What each state refuses, `guard.engine.checks` says.
"""

from guard.admin.messages import AdminError
from guard.engine.apply_trading import STOPPED_BY_NAME
from guard.engine.found import Desk
from guard.engine.latches import OF_ALL
from guard.engine.state import GuardState


def trading_of(state: GuardState, desk: Desk) -> tuple[str, list[str]]:
    """The desk's state, the strictest that applies, and all that is why it is not active."""
    by_cause = (
        ("firm", state.is_firm_stopped, state.is_firm_reducing),
        ("disk", False, state.entries_halt is not None),
        ("person", desk.is_stopped, desk.is_reducing),
        ("fees owed", False, desk.is_halted),
        ("orders beyond its position", False, state.positions.surplus_of(desk.share) > 0),
        *((kind, False, True) for kind in sorted(state.latches.of(OF_ALL, OF_ALL))),
        *((kind, False, True) for kind in sorted(state.latches.of(desk.name, OF_ALL))),
    )
    if any(is_halted for _, is_halted, _ in by_cause):
        trading = "halted"
    else:
        trading = "reducing" if any(is_reducing for *_, is_reducing in by_cause) else "active"
    return trading, [word for word, is_halted, is_reducing in by_cause if is_halted or is_reducing]


def said_of(state: GuardState, scope: str, name: str) -> str:
    """What a person has said of the scope."""
    if scope == "firm":
        is_stopped, is_reducing = state.is_firm_stopped, state.is_firm_reducing
    elif scope == "account":
        account = state.accounts.get(name)
        assert account is not None  # the name was looked for
        is_stopped, is_reducing = account.is_stopped, account.is_reducing
    elif scope in STOPPED_BY_NAME:
        is_stopped = (scope, name) in state.stopped_names
        is_reducing = (scope, name) in state.reducing_names
    elif scope == "symbol":
        is_stopped, is_reducing = name in state.stopped_symbols, name in state.reducing_symbols
    else:
        desk: Desk = state.desks[name]
        is_stopped, is_reducing = desk.is_stopped, desk.is_reducing
    return "halted" if is_stopped else "reducing" if is_reducing else "active"


def said_before(state: GuardState, scope: str, name: str, place: str, after: str) -> str:
    """The same; `after` is to be said of it, which `place` names. AdminError where it was."""
    was = said_of(state, scope, name)
    if was == after:
        raise AdminError("already_so", "name", f"{place} is {after} by a person already")
    return was
