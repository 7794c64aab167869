"""What a tree of limits says, limit by limit: its values, how each is used, who refused. Pure.

Owns the limits of a report as (where it is said, its name in a file): every key of a scope, and of
rates each. How one is used (`kind_of`): something *stands* used until it is less again; within a
*window*; by each single *order*; or it is a *rule*, of which nothing is used. And whose limit it
was that refused an order, as the reject says it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.engine import limit_use
from guard.engine.checks import CHECKS_BEFORE_KERNEL, CHECKS_BEHIND_KERNEL
from guard.engine.limit_use import Place
from guard.engine.prices import moved_bps
from guard.engine.state import GuardState
from guard.protocol.limits import NAMED_SCOPES, LimitScope, Scope, field_name, file_name
from guard.protocol.outcome import Outcome
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request

BUDGET: Final = "budget"
CAP: Final = "exposure_cap"

_NS_PER_MS: Final = 1_000_000
_OF_DESKS: Final = (Scope.DESK, Scope.DESK_SYMBOL)
_OF_SYMBOLS: Final = (Scope.SYMBOL, Scope.DESK_SYMBOL)
# What names a scope is said always, and "" where it is of all; all else may be left unsaid.
_KEYS: Final = tuple(
    field.name
    for field in msgspec.structs.fields(LimitScope)
    if field.default is UNSET and field.name not in NAMED_SCOPES
)
_KIND_OF_SCOPE: Final = {int(scope): kind for kind, scope in NAMED_SCOPES.items()}
# What is refused for want of money is no limit of the tree.
_OF_LEDGER: Final = {
    int(Refusal.INSUFFICIENT): BUDGET,
    int(Refusal.EXPOSURE_LIMIT_EXCEEDED): CAP,
}
RATE_OF_REASON: Final = {
    int(Refusal.ORDER_RATE_EXCEEDED): "orders",
    int(Refusal.REPLACE_RATE_EXCEEDED): "replaces",
    int(Refusal.NOTIONAL_RATE_EXCEEDED): "notional",
}


def _keys_of_reasons() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for check in (*CHECKS_BEFORE_KERNEL, *CHECKS_BEHIND_KERNEL):
        keys = found.setdefault(check.number, [])
        if check.key and check.key not in keys:
            keys.append(check.key)
    return found


_KEYS_OF_REASON: Final = _keys_of_reasons()


def _collar_bps(request: Request, _answer: Outcome) -> int:
    """How far an order's price lies from the mark; below zero where there is none."""
    return moved_bps(request.mark_price, request.price) if request.mark_price else -1


def _mark_age_ms(request: Request, _answer: Outcome) -> int:
    return -(-request.mark_age_ns // _NS_PER_MS) if request.mark_price else -1


# Of a single order: what the limit is held against, and whether that must not be less.
MEASURED: Final[dict[str, tuple[Callable[[Request, Outcome], int], bool]]] = {
    "quantity_min": (lambda request, _answer: request.quantity, True),
    "quantity_max": (lambda request, _answer: request.quantity, False),
    "value_min_microcents": (lambda _request, answer: answer.notional_microcents, True),
    "value_max_microcents": (lambda _request, answer: answer.notional_microcents, False),
    "price_collar_bps": (_collar_bps, False),
    "reference_age_max_ms": (_mark_age_ms, False),
}
FLOORS: Final = frozenset(file_name(name) for name, (_, is_floor) in MEASURED.items() if is_floor)
_STANDING: Final = frozenset((*map(file_name, limit_use.STANDING_KEYS), BUDGET, CAP))
_SINGLE: Final = frozenset(map(file_name, MEASURED))


def kind_of(name: str) -> str:
    """How a limit of that name is used."""
    if name in _STANDING:
        return "standing"
    if name.startswith(limit_use.RATE_WORDS):
        return "window"
    return "order" if name in _SINGLE else "rule"


def single_limits(scope: LimitScope) -> list[tuple[Place, str, int]]:
    """What a scope says that single orders are held against: place, key and bound."""
    return [
        ((scope.place, file_name(name), "", ""), name, most)
        for name in MEASURED
        if isinstance(most := getattr(scope, name), int)
    ]


def said_values(scope: LimitScope) -> Iterator[tuple[str, Any]]:
    """The name and the value of each limit that a scope says; None: waived in so many words."""
    for name in _KEYS:
        value = getattr(scope, name)
        if value is UNSET:
            continue
        if name == "rates":
            for rate in value:
                yield limit_use.rate_words(rate.kind, rate.window_ms), rate.max
        else:
            yield file_name(name), msgspec.to_builtins(value)


def changes(before: Sequence[LimitScope], after: Sequence[LimitScope]) -> Iterator[dict[str, Any]]:
    """What other limits say otherwise: `before` and `after`, "unsaid" where there is no such."""
    old, new = ({scope.place: scope for scope in tree} for tree in (before, after))
    for place in sorted(old.keys() | new.keys()):
        one, other = old.get(place), new.get(place)
        if one == other:
            continue
        was, now = (dict(said_values(scope)) if scope else {} for scope in (one, other))
        for name in sorted(was.keys() | now.keys()):
            pair = was.get(name, "unsaid"), now.get(name, "unsaid")
            if pair[0] != pair[1]:
                yield {"said": place, "limit": name, "before": pair[0], "after": pair[1]}


def refusing(request: Request, answer: Outcome, state: GuardState) -> Place | None:
    """Whose limit refused an order; None where no limit did that some scope says."""
    desk, symbol, reason = request.desk, request.symbol, answer.reason
    if reason in _OF_LEDGER:
        return f"desks.{desk}", _OF_LEDGER[reason], desk, ""
    keys = _KEYS_OF_REASON.get(reason, ())
    number = answer.scope
    place = (desk if number in _OF_DESKS else "", symbol if number in _OF_SYMBOLS else "")
    if kind := _KIND_OF_SCOPE.get(number):
        named = state.accounts.scopes_of_request(request)
        place = next((key for key in named if key[0].startswith(f"{kind}=")), place)
    scope = state.limits.scope_of(*place)
    if not keys or number == Scope.UNSAID or scope is None:
        return None
    if reason in RATE_OF_REASON:
        asked = (RATE_OF_REASON[reason], answer.limit)
        for rate in scope.rates or ():
            if (rate.kind, rate.max) == asked:
                return scope.place, limit_use.rate_words(rate.kind, rate.window_ms), "", ""
        return None
    said = (key for key in keys if getattr(scope, field_name(key)) is not UNSET)
    key = next(said, keys[0])
    return scope.place, key, *limit_use.user_of(key, scope, desk, symbol)
