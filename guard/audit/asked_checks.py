"""What every check said of an order that was refused: not the first refusal alone. Pure.

Owns one line for each row of the table of checks (`guard.engine.checks`) that is in force, in its
order: whether it refuses the order, or was not asked (an exit is spared by some; two people let an
order past others; what bars the kernel bars what stands behind it), and what was measured against
which limit, of which how much was used.

How it works: a refused order changes nothing that a check looks at. So the order is decided again,
under an id that nobody has, in the state behind its record, which puts all that checks look at in
its place; then each of them is asked. Where that comes to another reason than the record's (the
refusal itself has taken the last place to remember an id), nothing is said. What a check that
lets the order pass had measured, it does not say: here is what it is asked about.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.audit.limit_statements import MEASURED, RATE_OF_REASON
from guard.engine import limit_use
from guard.engine.checks import (
    BEFORE_KERNEL_BY_VERSION,
    BEHIND_KERNEL_BY_VERSION,
    Check,
)
from guard.engine.decide import decide
from guard.engine.found import Found
from guard.engine.limit_use import SaidByName, Use
from guard.engine.positions import NO_POSITION
from guard.engine.prices import moved_bps
from guard.engine.state import GuardState
from guard.protocol.fields import DETAILS, REASON_WORDS
from guard.protocol.limits import KEYS, NO_LIMIT, UNSAID, Scope, file_name
from guard.protocol.outcome import Outcome
from guard.protocol.reasons import Refusal
from guard.protocol.request import REQUEST_NUMBERS, TEXTS, Request

# Not printable, so that no order has it.
_NOBODYS_ID: Final = b"\x01"
_FIGURES: Final = ("asked", "limit", "used")
_KEY_OF_FILE_NAME: Final = {file_name(key.name): key for key in KEYS}
_STANDING: Final = frozenset(map(file_name, limit_use.STANDING_KEYS))
Figures = dict[str, Any]


def checks_of(state: GuardState, recorded: Request, reason: str) -> list[Figures] | None:
    """What each check says of a refused order, in the state behind its record; None where it cannot
    be asked there."""
    if state.losses_due or state.facts.due:
        return None
    request, outcome = _copy(recorded), Outcome()
    decide(state, request, outcome)
    found, lines = state.found, []
    is_barred = False
    used = state.people.used
    overridden: list[str] = []
    if used is not None and used[0] == state.next_sequence - 1:
        overridden = used[1].checks
    for checks in (BEFORE_KERNEL_BY_VERSION, BEHIND_KERNEL_BY_VERSION):
        for check in checks[state.rules_version]:
            line = _line(check)
            if is_barred:
                line["verdict"] = "barred"
            elif found.is_exit and check.spares_exits:
                line["verdict"] = "spared"
            else:
                _ask(check, line, state, request, outcome, overridden)
                is_barred = check.bars_kernel and line["verdict"] == "refuses"
            lines.append(line)
    first = next((line["check"] for line in lines if line["verdict"] == "refuses"), None)
    return lines if first == reason else None


def _copy(recorded: Request) -> Request:
    request = Request()
    for name in REQUEST_NUMBERS:
        setattr(request, name, getattr(recorded, name))
    for name in TEXTS:
        request.set_text(name, recorded.text(name).encode())
    request.set_text("client_order_id", _NOBODYS_ID)
    return request


def _line(check: Check) -> Figures:
    word = REASON_WORDS[check.number] if check.number else ""
    return {
        "check": word,
        "of": check.scope,
        "key": check.key,
        "verdict": "passes",
        "measured": None,
        "limit": None,
        "used": None,
        "scope": None,
    }


def _ask(
    check: Check,
    line: Figures,
    state: GuardState,
    request: Request,
    outcome: Outcome,
    overridden: list[str],
) -> None:
    outcome.asked = outcome.limit = outcome.used = outcome.scope = 0
    if not check.refuses(state, request, outcome, state.found):
        line |= _passed(check, state, request, outcome)
        return
    line["verdict"] = "overridden" if line["check"] in overridden else "refuses"
    if not check.number:
        line["check"] = REASON_WORDS[outcome.reason]
        return
    said = DETAILS[check.detail]
    for name, into in zip(_FIGURES, ("measured", "limit", "used"), strict=True):
        if name in said:
            line[into] = getattr(outcome, name)
    if "scope" in said and outcome.scope in list(Scope):
        line["scope"] = Scope(outcome.scope).name.lower()


# Of an order that passes: what each of these is asked about, and what of its limit is used.


def _passed(check: Check, state: GuardState, request: Request, outcome: Outcome) -> Figures:
    found, number = state.found, check.number
    if found.desk is None:
        return {}
    if number in _OF_LEDGER:
        return _OF_LEDGER[Refusal(number)](found)
    if number in RATE_OF_REASON:
        return _of_rates(RATE_OF_REASON[number], state, request, found)
    if check.key in _STANDING:
        return _of_standing(check.key, state, request)
    key = _KEY_OF_FILE_NAME.get(check.key)
    if key is None or found.limits is None or found.limits.value(key.number) == UNSAID:
        return {}
    value = found.limits.value(key.number)
    measured = _measured(check, key.name, request, outcome)
    return {
        "measured": measured,
        "limit": None if value == NO_LIMIT else value,
        "scope": Scope(found.limits.scope(key.number)).name.lower(),
    }


def _measured(check: Check, name: str, request: Request, outcome: Outcome) -> int | None:
    if check.number == Refusal.QUANTITY_OFF_STEP:
        return request.quantity
    if check.number == Refusal.PRICE_OFF_STEP:
        return request.price
    if check.number == Refusal.REFERENCE_UNCONFIRMED:
        jump = request.mark_jump
        return moved_bps(request.mark_price, jump) if jump and request.mark_price else 0
    if name in MEASURED:
        measured = MEASURED[name][0](request, outcome)
        return None if measured < 0 else measured
    return None


def _of_standing(name: str, state: GuardState, request: Request) -> Figures:
    """Of the scopes that say such a limit the one of which the most is used."""
    desk, symbol = request.desk, request.symbol
    uses: list[tuple[Use, str]] = []
    kept = state.positions
    row = kept.find(state.desks[desk].share, kept.symbols[symbol])
    for said in SaidByName(state.limits.tree).covering(desk, symbol):
        found = [*limit_use.of_scope(state, said), *limit_use.of_desk(state, said, desk)]
        found += limit_use.of_concentration(state, said, desk, symbol)
        if row != NO_POSITION:
            found += limit_use.of_row(state, said, row, desk, symbol)
        else:
            found += [Use((said.scope.place, each, desk, symbol), 0, most)
                      for each, _, most in said.positions]  # fmt: skip
        scope = said.scope.scope.name.lower()
        uses += [(use, scope) for use in found if use.place[1] == name]
    if not uses:
        return {}
    use, scope = max(uses, key=lambda each: (each[0].used - each[0].most, each[1]))
    return {"limit": use.most, "used": use.used, "scope": scope}


def _of_rates(kind: str, state: GuardState, request: Request, found: Found) -> Figures:
    """Of the rates of that kind the one of which the least is left."""
    wanted = f"{limit_use.RATE_WORDS}{kind}"
    uses = [
        (use.most - use.used, use, said.scope.scope.name.lower())
        for said in SaidByName(state.limits.tree).covering(
            request.desk, request.symbol, state.accounts.scopes_of_request(request)
        )
        for use in limit_use.of_rates(state, said, request.desk, request.symbol)
        if limit_use.key_of(use) == wanted
    ]
    if not uses:
        return {}
    _, use, scope = min(uses)
    asked = found.asked_microcents if kind == "notional" else 1
    return {"measured": asked, "limit": use.most, "used": use.used, "scope": scope}


def _of_cap(found: Found) -> Figures:
    line = found.line
    if line is None or not line.cap:
        return {}
    return {"measured": found.asked_microcents, "limit": line.cap, "used": line.reserved}


def _of_budget(found: Found) -> Figures:
    line = found.line
    if line is None:
        return {}
    used = line.initial - line.remaining
    return {"measured": found.asked_microcents, "limit": line.initial, "used": used}


_OF_LEDGER: Final[dict[Refusal, Callable[[Found], Figures]]] = {
    Refusal.EXPOSURE_LIMIT_EXCEEDED: _of_cap,
    Refusal.INSUFFICIENT: _of_budget,
}
