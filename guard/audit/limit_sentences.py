"""Why a limit refused an order, in one sentence. Pure.

Owns a form for each reason of `guard.engine.limit_checks`, `guard.engine.position_checks`,
`guard.engine.exposure_checks`, `guard.engine.short_sales` and `guard.engine.self_match`, and for a
day's loss.
Quantities in lots and prices in ticks, as limits are said; amounts of money exact.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.audit.formats import count, money
from guard.protocol.instruments import counted
from guard.protocol.limits import KEYS, NO_LIMIT, SCOPE_WORDS, Scope, file_name

Account = dict[str, Any]
Form = Callable[[Account, str], str]


def _scope(account: Account) -> str:
    number = account["answer"]["detail"].get("scope", 0)
    return SCOPE_WORDS[Scope(number)] if number in list(Scope) else "a scope"


def _unsaid(account: Account, _currency: str) -> str:
    number = account["answer"]["detail"]["asked"]
    key = file_name(KEYS[number].name) if number < len(KEYS) else "a limit"
    return f"no scope says or waives {key} for this desk in this symbol"


def _barred(what: str) -> Form:
    def form(account: Account, _currency: str) -> str:
        return f"{what} is not allowed by the limits of {_scope(account)}"

    return form


def _restricted(account: Account, _currency: str) -> str:
    symbol = account["request"]["symbol"]
    return f"{symbol} stands on the list of restricted symbols of {_scope(account)}"


def _venue(account: Account, _currency: str) -> str:
    venue = account["answer"]["detail"]["asked"]
    return f"venue {venue} is not one of those that the limits of {_scope(account)} allow"


def _market(account: Account, currency: str) -> str:
    if account["answer"]["detail"]["scope"] == Scope.UNSAID:
        return "no scope says a market_buffer_bps, without which there are no market orders"
    return _barred(f"a {account['request']['order_type']} order")(account, currency)


def _bound(what: str, word: str, amount: Callable[[int], str]) -> Form:
    def form(account: Account, currency: str) -> str:
        detail = account["answer"]["detail"]
        unit = f" {currency}" if amount is money else ""
        asked, limit = amount(detail["asked"]) + unit, amount(detail["limit"]) + unit
        return f"{what} of {asked} is {word} {limit}, the limit of {_scope(account)}"

    return form


def _step(what: str) -> Form:
    def form(account: Account, _currency: str) -> str:
        detail = account["answer"]["detail"]
        return (
            f"{what} of {count(detail['asked'])} is no multiple of {count(detail['limit'])}, the "
            f"step of {_scope(account)}"
        )

    return form


def _missing(account: Account, _currency: str) -> str:
    return f"no reference price of {account['request']['symbol']} was known"


def _stale(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"the reference price was {count(detail['asked'])} ms old, and the limits of "
        f"{_scope(account)} allow {count(detail['limit'])} ms"
    )


def _unconfirmed(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"the reference price had jumped from {count(detail['used'])} to {count(detail['asked'])} "
        f"ticks, further than the {count(detail['limit'])} bps that count at once by the limits of "
        f"{_scope(account)}, and nothing had confirmed that"
    )


def _collar(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"its price of {count(detail['asked'])} ticks lies further than {count(detail['limit'])} "
        f"bps from the reference of {count(detail['used'])}, the collar of {_scope(account)}"
    )


def _rate(amount: Callable[[int], str], things: str = "orders") -> Form:
    def form(account: Account, currency: str) -> str:
        detail = account["answer"]["detail"]
        unit = f" {currency}" if amount is money else f" {things}"
        used = f", of which {amount(detail['used'])} were used" if detail["used"] else ""
        return f"{_scope(account)} admits {amount(detail['limit'])}{unit} in a window{used}"

    return form


def _duplicate(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"the same order was admitted under another id {count(detail['asked'])} ms before, within "
        f"the {count(detail['limit'])} ms of {_scope(account)}"
    )


def _position(word: str) -> Form:
    def form(account: Account, _currency: str) -> str:
        detail = account["answer"]["detail"]
        asked = counted(detail["asked"], "lot")
        return (
            f"with all that works the desk could come to be {asked} {word} "
            f"in this symbol ({count(detail['used'])} without this order), above "
            f"{count(detail['limit'])}, the limit of {_scope(account)}"
        )

    return form


def _exit_beyond(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"it would leave {counted(detail['asked'], 'lot')} open in the place of an order that but "
        f"reduces, and the desk has {count(detail['limit'])} to reduce"
    )


def _open_orders(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"the desk has {counted(detail['used'], 'open order')}, and the limits of "
        f"{_scope(account)} allow it {count(detail['limit'])}"
    )


def _exposure(what: str) -> Form:
    def form(account: Account, currency: str) -> str:
        detail = account["answer"]["detail"]
        asked, limit = money(detail["asked"]), f"{money(detail['limit'])} {currency}"
        if detail["scope"] == Scope.DESK:
            return (
                f"with all that works the desk's {what} could come to {asked} {currency} "
                f"({money(detail['used'])} without this order), above {limit}, its limit"
            )
        return (
            f"with this order, worth {asked} {currency} at the price of positions, the {what} of "
            f"{_scope(account)} could come to be above {limit}, the limit"
        )

    return form


def _concentration(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    would_be = f", {count(detail['asked'])} bps," if detail["scope"] == Scope.DESK else ""
    return (
        f"with this order more{would_be} of what {_scope(account)} has would be in this symbol "
        f"than the {count(detail['limit'])} bps of its limit"
    )


def _day_loss(account: Account, currency: str) -> str:
    detail = account["answer"]["detail"]
    known = detail["limit"] != NO_LIMIT
    limit = f"more than the {money(detail['limit'])} {currency}" if known else "more than"
    lost = f" ({money(detail['used'])} {currency} as this order came)" if detail["used"] else ""
    return (
        f"{_scope(account)} has lost {limit} that it may lose in a day{lost}, no person has lifted "
        "that, and this order would not but reduce a position"
    )


def _self_match(account: Account, _currency: str) -> str:
    venue = account["answer"]["detail"]["asked"]
    return (
        f"at venue {venue} it could trade against an open order of the firm itself, which the "
        f"limits of {_scope(account)} refuse"
    )


def _short(rest: str) -> Form:
    def form(account: Account, _currency: str) -> str:
        lots = counted(account["answer"]["detail"]["asked"], "lot")
        return f"it could sell {lots} short, {rest.format(scope=_scope(account))}"

    return form


def _locate_exceeded(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"it could sell {counted(detail['asked'], 'lot')} short, and of the "
        f"{counted(detail['limit'], 'lot')} of its locate {count(detail['used'])} are used"
    )


LIMIT_FORMS: Final[dict[str, Form]] = {
    "limit_unsaid": _unsaid,
    "symbol_restricted": _restricted,
    "symbol_not_allowed": _barred("the symbol"),
    "side_not_allowed": _barred("its side"),
    "venue_not_allowed": _venue,
    "order_type_not_allowed": _market,
    "time_in_force_not_allowed": _barred("its time in force"),
    "quantity_below_min": _bound("its quantity", "below", count),
    "quantity_above_max": _bound("its quantity", "above", count),
    "quantity_off_step": _step("its quantity"),
    "price_off_step": _step("its price"),
    "value_below_min": _bound("its value", "below", money),
    "value_above_max": _bound("its value", "above", money),
    "reference_missing": _missing,
    "reference_stale": _stale,
    "reference_unconfirmed": _unconfirmed,
    "price_outside_collar": _collar,
    "order_rate_exceeded": _rate(count),
    "replace_rate_exceeded": _rate(count, "replaces"),
    "notional_rate_exceeded": _rate(money),
    "duplicate_order": _duplicate,
    "position_long_above_max": _position("long"),
    "position_short_above_max": _position("short"),
    "exit_beyond_position": _exit_beyond,
    "open_orders_above_max": _open_orders,
    "exposure_gross_above_max": _exposure("gross exposure"),
    "exposure_net_above_max": _exposure("net exposure"),
    "exposure_long_above_max": _exposure("long exposure"),
    "exposure_short_above_max": _exposure("short exposure"),
    "concentration_above_max": _concentration,
    "day_loss_above_max": _day_loss,
    "self_match": _self_match,
    "short_sale_not_allowed": _short("and the limits of {scope} allow no short sales"),
    "locate_missing": _short("for which the limits of {scope} want a locate, and it names none"),
    "locate_unknown": _short("and the locate that it names is none of its desk in this symbol"),
    "locate_exceeded": _locate_exceeded,
}
