"""Which changes loosen: whatever can let an order pass that was refused. Pure.

Owns the comparison of what an event would put in force with what is, and with the ceiling up to
which one person may go (`guard.engine.people`). A scope's value of a limit is compared with its
own value before: since the strictest of all scopes wins, nothing gets looser where no scope does.

How it fails: it does not.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec import UNSET

from guard.protocol.limits import (
    KEYS,
    NO_LIMIT,
    UNSAID,
    LimitKey,
    LimitScope,
    Strictest,
    file_name,
    value_of,
)

_NO_SCOPE: Final = LimitScope()
_ALL_WORDS: Final = NO_LIMIT
# What an unsaid value of a key is worth: it limits nothing.
_LOOSEST: Final = {
    Strictest.LEAST: NO_LIMIT,
    Strictest.GREATEST: 0,
    Strictest.COMMON_MULTIPLE: 1,
    Strictest.BOTH: _ALL_WORDS,
}
_IS_LOOSER: Final[dict[Strictest, Callable[[int, int], bool]]] = {
    Strictest.LEAST: lambda before, after: after > before,
    Strictest.GREATEST: lambda before, after: after < before,
    Strictest.COMMON_MULTIPLE: lambda before, after: after % before != 0,
    Strictest.BOTH: lambda before, after: after & ~before != 0,
}
# Lists of a scope: does a longer one let more pass, or less?
_ALLOWING: Final = {"venues": True, "symbols": True, "restricted_symbols": False}


def is_looser(key: LimitKey, before: int, after: int) -> bool:
    """Does `after` let pass what `before` does not? UNSAID limits nothing."""
    loosest = _LOOSEST[key.strictest]
    before, after = (loosest if value == UNSAID else value for value in (before, after))
    if key.strictest == Strictest.GREATEST:  # "none" is no such limit there, too
        before, after = (0 if value == NO_LIMIT else value for value in (before, after))
    return _IS_LOOSER[key.strictest](before, after)


def limit_loosenings(
    before: Sequence[LimitScope], after: Sequence[LimitScope], ceiling: Sequence[LimitScope]
) -> list[str]:
    """What `after` loosens beyond the ceiling, by place and key. What the ceiling does not say of a
    key of a scope is no room for one person.
    """
    trees = [{scope.key: scope for scope in tree} for tree in (before, after)]
    most = {scope.key: scope for scope in ceiling}
    found: list[str] = []
    for place in sorted(trees[0].keys() | trees[1].keys()):
        was, will_be = (tree.get(place, _NO_SCOPE) for tree in trees)
        of_place = most.get(place, _NO_SCOPE)
        where = next(tree[place] for tree in trees if place in tree).place
        found += [f"{where}.{name}" for name in _scope_loosenings(was, will_be, of_place)]
    return found


def _scope_loosenings(before: LimitScope, after: LimitScope, ceiling: LimitScope) -> Iterator[str]:
    for key in KEYS:
        was, will_be, most = (value_of(scope, key) for scope in (before, after, ceiling))
        if is_looser(key, was, will_be) and (most == UNSAID or is_looser(key, most, will_be)):
            yield file_name(key.name)
    for name, is_allowing in _ALLOWING.items():
        if _lets_more(is_allowing, before, after, name) and (
            getattr(ceiling, name) is UNSET or _lets_more(is_allowing, ceiling, after, name)
        ):
            yield name
    if _copies_less(before, after) and (
        ceiling.drop_copy_venues is UNSET or _copies_less(ceiling, after)
    ):
        yield "drop_copy_venues"
    if _rates_let_more(before, after) and (
        ceiling.rates is UNSET or _rates_let_more(ceiling, after)
    ):
        yield "rates"


def _lets_more(is_allowing: bool, before: LimitScope, after: LimitScope, name: str) -> bool:
    was, will_be = getattr(before, name), getattr(after, name)
    if not is_allowing:
        return not set(was or ()) <= set(will_be or ())
    if was is UNSET:
        return False
    return will_be is UNSET or not set(will_be) <= set(was)


def _copies_less(before: LimitScope, after: LimitScope) -> bool:
    """Is there a venue whose executions are confirmed no more, though others are? Unsaid: all."""
    was, will_be = before.drop_copy_venues, after.drop_copy_venues
    if before.reconcile_s is UNSET or will_be is UNSET:
        return False
    return was is UNSET or not set(was) <= set(will_be)


def _rates_let_more(before: LimitScope, after: LimitScope) -> bool:
    """Is any rate gone, or higher?"""
    now = {(rate.kind, rate.window_ms): rate.max for rate in after.rates or ()}
    return any(
        now.get((rate.kind, rate.window_ms), NO_LIMIT) > rate.max for rate in before.rates or ()
    )


# Of a policy: what lets more orders pass if it is raised, and what if it is lowered.
_RAISED: Final = ("hard_risk_limit_bps",)
_LOWERED: Final = ("minimum_confidence_bps",)
_EPOCHS: Final = ("policy_epoch", "catalog_epoch")


def policy_loosenings(before: Any, after: Any) -> list[str]:
    """What of a policy lets more pass, or may: by key. All counts that is not known to be stricter.

    `before`, `after`: `PolicyContent`s; before there is any policy nothing loosens.
    """
    if before is None:
        return []
    found = []
    for name in before.__struct_fields__:
        was, will_be = getattr(before, name), getattr(after, name)
        if name in _EPOCHS or was == will_be or name == "models":
            continue
        is_stricter = (name in _RAISED and will_be < was) or (name in _LOWERED and will_be > was)
        if not is_stricter:
            found.append(f"policy.{name}")
    known = {model.model_id: model for model in before.models}
    for model in after.models:
        was = known.get(model.model_id)
        if was != model and not (was is not None and _is_disabled(was, model)):
            found.append(f"policy.venues[{model.model_id}]")
    return found


def _is_disabled(before: Any, after: Any) -> bool:
    """Is nothing else changed than that a venue is out of use?"""
    names = [name for name in before.__struct_fields__ if name != "enabled"]
    return after.enabled == 0 and all(
        getattr(before, name) == getattr(after, name) for name in names
    )
