"""Why an order was answered as it was, in one sentence. Pure.

Owns a form for each reason there is (`FORMS`), filled from the account that `guard.audit.explain`
makes of the order. Amounts are exact, quantities and prices in the instrument's decimals.

A reason of another version is told by its word.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.audit.formats import count, duration, money, time
from guard.audit.limit_sentences import LIMIT_FORMS
from guard.audit.units import bits, quantity
from guard.audit.words import reason_words
from guard.engine.people_events import OrderOverridden
from guard.protocol.instruments import counted

NS_PER_MS: Final = 1_000_000

Account = dict[str, Any]
Form = Callable[[Account, str], str]


def override_sentence(event: OrderOverridden) -> str:
    """By whom some checks did not count for an order."""
    approval: Any = event.approval
    return (
        f"It was to pass {', '.join(event.checks)}: proposed by {event.by} ({event.why}), approved "
        f"by {approval.by} ({approval.why})."
    )


def sentence_of(account: Account, currency: str) -> str:
    """The sentence. `account`: what `guard.audit.explain` says of the order."""
    answer = account["answer"]
    verb = "Admitted" if answer["type"] == "admit" else "Rejected"
    form = FORMS.get(answer["reason"])
    text = reason_words(answer["reason"]) if form is None else form(account, currency)
    if answer.get("self_match"):
        text += "; it may trade against an open order of the firm itself"
    text += _with_others(account)
    return f"{verb}{' ' if verb == 'Admitted' and form else ': '}{text}."


def _with_others(account: Account) -> str:
    """What became of the orders with which it stands or falls."""
    together = account.get("together")
    if together is None or together["orders"] == 1:
        return ""
    others = counted(together["orders"] - 1, "other order")
    if together["refused_index"] is None:
        return f"; with it {others} of the same record"
    return f"; because of it {others}" if together["refused_index"] == together["place"] else ""


def _because_of(account: Account, _currency: str) -> str:
    together = account["together"]
    others = counted(together["orders"] - 1, "other order")
    name = together["refused_client_order_id"]
    return f"it stands or falls with {others}, of which {name} was refused"


def _admitted(account: Account, currency: str) -> str:
    answer, kernel, lead = account["answer"], account["kernel"], account["lead"]
    chosen = next(venue for venue in kernel["venues"] if venue["is_chosen"])
    worth = f"it is worth {money(chosen['utility_microunits'])} {currency} there"
    if lead is None:
        by = "no other venue passed" if len(kernel["venues"]) > 1 else "it is the only venue"
    elif lead["by_microcents"] == 0:
        by = f"as much as at venue {lead['next_venue']}, the next"
    else:
        more = f"{money(lead['by_microcents'])} {currency} more"
        by = f"{more} than at venue {lead['next_venue']}, the next"
    if not answer["substituted"]:
        return f"to venue {answer['venue']}, as asked: {worth}, {by}"
    asked = account["request"]["venue"]
    text = f"to venue {answer['venue']} instead of venue {asked}: {worth}, {by}"
    if lead is not None and lead["next_venue"] == asked:
        return text  # which says by how much it came behind
    return f"{text}; {_asked_for(account, currency)}"


def _asked_for(account: Account, currency: str) -> str:
    """Why the order did not go to the venue that it asked for."""
    asked = account["request"]["venue"]
    for venue in account["kernel"]["venues"]:
        if not venue["is_requested"]:
            continue
        if venue["gate"] is not None:
            return f"at venue {asked} {gate_phrase(venue['gate'], [venue], account, currency)}"
        return f"at venue {asked} it is worth {money(venue['utility_microunits'])} {currency}"
    return f"venue {asked} is not in the policy"


def gate_phrase(gate: str, venues: list[Account], account: Account, currency: str) -> str:
    """What stopped the order at these venues, all at the same gate: the nearest of them."""
    request = account["request"]
    measured = [venue["measured"] for venue in venues]
    limit = venues[0]["limit"]
    only = len(venues) == 1

    def near(text: str, word: str) -> str:
        return text if only else f"{word} {text}"

    def amount(microcents: int) -> str:
        return f"{money(microcents)} {currency}"

    if gate == "disabled":
        return "trading is switched off in the policy"
    if gate == "quality":
        best = near(f"{count(max(measured))} bps", "at best")
        return f"the quality, {best}, is below the {count(limit)} bps that the order asks for"
    if gate == "latency":
        best = near(f"{count(min(measured))} ms", "at best")
        return f"the latency, {best}, is above the {count(limit)} ms that the order allows"
    if gate == "capability":
        return f"a capability is missing of those that the order requires ({bits(limit)})"
    if gate == "provider":
        return f"the provider is not one that the order allows ({bits(limit)})"
    if gate == "region":
        return f"none of the regions that the order allows ({bits(limit)}) is served"
    if gate == "risk_ceiling":
        highest = near(f"{count(max(venue['limit'] for venue in venues))} bps", "at most")
        risk = f"the order's risk of {count(request['risk_bps'])} bps"
        return f"{risk} is above the venue's ceiling, {highest}"
    if gate == "budget":
        fee = near(amount(min(measured)), "lowest")
        return f"the fee, {fee}, exceeds the order's own limit of {amount(limit)}"
    return f"the order is worth {near(amount(max(measured)), 'at best')}, which is not above zero"


def _no_venue(account: Account, currency: str) -> str:
    """The venues by the gate that stopped them, most first."""
    venues = account["kernel"]["venues"]
    if not venues:
        return "the policy has no venue"
    stopped: dict[str, list[Account]] = {}
    for venue in venues:
        stopped.setdefault(venue["gate"], []).append(venue)
    most = sorted(stopped.items(), key=lambda item: -len(item[1]))
    texts = [(len(at), gate_phrase(gate, at, account, currency)) for gate, at in most]
    if len(texts) == 1:
        only = f"at venue {venues[0]['venue']}, the only one,"
        where = "at every venue" if len(venues) > 1 else only
        text = f"{where} {texts[0][1]}"
    else:
        text = "no venue is left: " + "; ".join(
            f"at {count(number)} of {count(len(venues))} {phrase}" for number, phrase in texts
        )
    return text + ("; the desk's budget was not the cause" if "budget" in stopped else "")


def _risk_limit(account: Account, _currency: str) -> str:
    risk, limit = account["request"]["risk_bps"], account["kernel"]["hard_limits"][0]["limit_bps"]
    below = f"is not below the policy's hard limit of {count(limit)} bps"
    return f"its risk of {count(risk)} bps {below}"


def _confidence_limit(account: Account, _currency: str) -> str:
    confidence = account["request"]["confidence_bps"]
    least = account["kernel"]["hard_limits"][1]["limit_bps"]
    return (
        f"its confidence of {count(confidence)} bps is below the policy's minimum of "
        f"{count(least)} bps"
    )


def _reused(account: Account, _currency: str) -> str:
    answer = account["answer"]
    first = answer["detail"].get("original_wal_sequence")
    differs = f", whose {answer['field']} is another" if answer.get("field") else ""
    return f"its id stands for another order of the desk, that of record {first}{differs}"


def _stale(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    sent_at_ns, clock_ns, limit = detail["asked"], detail["used"], detail["limit"]
    if abs(clock_ns - sent_at_ns) <= limit:  # within any window: the limit is a time
        return (
            f"its stamp says that it was sent at {time(sent_at_ns)} UTC, and ids have been "
            f"forgotten of orders that were closed until {time(limit)} UTC"
        )
    away = duration(abs(clock_ns - sent_at_ns))
    when = "before" if sent_at_ns <= clock_ns else "after"
    window = duration(limit)
    return (
        f"its stamp says that it was sent {away} {when} it was received ({time(sent_at_ns)} UTC), "
        f"and ids are remembered for {window}"
    )


def _window_full(account: Account, _currency: str) -> str:
    ids = account["answer"]["detail"]["used"]
    return f"there was no room to remember its id: {count(ids)} ids had not expired"


def _fills_full(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"there was little room left to remember fills: at least {count(detail['used'])} of "
        f"{count(detail['limit'])} were taken"
    )


def _too_old(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    age, most = detail["used"] - detail["asked"], detail["limit"] * NS_PER_MS
    return f"it was sent {duration(age)} before, and the desk allows {duration(most)}"


def _age_unknown(_account: Account, _currency: str) -> str:
    return "it does not say when it was sent, and the desk allows no order of unknown age"


def _unknown_venue(account: Account, _currency: str) -> str:
    return f"the policy has no venue {account['request']['venue']}"


def _unknown_desk(account: Account, _currency: str) -> str:
    return f"there is no desk {account['desk']}"


def _account_missing(account: Account, _currency: str) -> str:
    return f"desk {account['desk']} has accounts, and it names none"


def _account_unknown(account: Account, _currency: str) -> str:
    return f"desk {account['desk']} has no account {account['request']['account']}"


def _unknown_symbol(account: Account, _currency: str) -> str:
    return f"there is no symbol {account['request']['symbol']}"


def _quantity(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    most = f"the {count(detail['limit'])} that an order may have"
    return f"its {count(detail['asked'])} lots are more than {most}"


def _desk_halted(account: Account, currency: str) -> str:
    halts = account["halts"]
    unpaid = f"fees of {money(halts['desk_unpaid_fees_microcents'])} {currency} unpaid"
    if not halts["desk"]:
        return "a person had stopped the desk's entries"
    also = ", and stopped by a person" if halts["desk_stopped"] else ""
    return f"the desk's entries were halted, with {unpaid}{also}"


def _firm_halted(_account: Account, _currency: str) -> str:
    return "a person had stopped the entries of every desk"


def _symbol_halted(account: Account, _currency: str) -> str:
    return f"a person had stopped the entries in {account['request']['symbol']}"


def _named(account: Account, name: str) -> str:
    """What an order names of that kind; its account's customer."""
    found = account["customer"] if name == "customer" else account["request"][name]
    return str(found)


def _named_halted(name: str, what: str) -> Form:
    return lambda account, _currency: (
        f"a person had stopped the orders of {what} {_named(account, name)}"
    )


def _named_reducing(name: str, what: str) -> Form:
    return lambda account, _currency: (
        f"a person lets {what} {_named(account, name)} but reduce positions, and this order "
        "would not"
    )


def _desk_reducing(account: Account, currency: str) -> str:
    unpaid = account["answer"]["detail"]["used"]
    if not unpaid:
        return (
            "a person or a latch lets the desk but reduce its positions, and this order would not"
        )
    owed = f"fees of {money(unpaid)} {currency} unpaid"
    return f"the desk may but reduce its positions, with {owed}, and this order would not"


def _firm_reducing(_account: Account, _currency: str) -> str:
    return "a person or a latch lets all desks but reduce their positions, and this order would not"


def _symbol_reducing(account: Account, _currency: str) -> str:
    symbol = account["request"]["symbol"]
    return f"a person or a latch lets positions in {symbol} but be reduced; this order would not"


def _desk_symbol_reducing(account: Account, _currency: str) -> str:
    symbol = account["request"]["symbol"]
    return f"a latch lets the desk but reduce its position in {symbol}, and this order would not"


def _canceled_before(account: Account, _currency: str) -> str:
    sequence = account["answer"]["detail"]["original_wal_sequence"]
    return f"a cancel of it had come before it, in record {sequence}"


def _disk_low(account: Account, _currency: str) -> str:
    detail = account["answer"]["detail"]
    return (
        f"all entries were halted: the log's disk had {count(detail['free_bytes'])} bytes free, "
        f"less than its reserve of {count(detail['reserve_bytes'])}"
    )


def _not_substituted(account: Account, currency: str) -> str:
    venue, asked = account["answer"]["detail"]["chosen"], account["request"]["venue"]
    venues = {each["venue"]: each for each in account["kernel"]["venues"]}
    best = venues[venue]["utility_microunits"]
    worth = f"venue {venue} would have been chosen, where it is worth {money(best)} {currency}"
    only = "and the order allows only the venue that it asks for"
    if asked in venues and venues[asked]["gate"] is None:
        more = money(best - venues[asked]["utility_microunits"])
        return f"{worth}, {more} {currency} more than at venue {asked}, {only}"
    return f"{worth}, {only}; {_asked_for(account, currency)}"


def _insufficient(account: Account, currency: str) -> str:
    detail = account["answer"]["detail"]
    left = detail["limit"] - detail["used"]
    return _too_much(account, currency, f"what is left of the desk's budget, {money(left)}", left)


def _above_cap(account: Account, currency: str) -> str:
    detail = account["answer"]["detail"]
    left = max(detail["limit"] - detail["used"], 0)
    held, cap = money(detail["used"]), money(detail["limit"])
    what = f"what the desk's cap of {cap} leaves beside the {held} that it holds, {money(left)}"
    return _too_much(account, currency, what, left)


def _too_much(account: Account, currency: str, what: str, left: int) -> str:
    asked = account["answer"]["detail"]["asked"]
    text = f"its {money(asked)} {currency} exceed {what}, by {money(asked - left)}"
    if "replaces" in account:
        return f"beyond what {account['replaces']} holds already, {text}"
    fits = account["quantity_that_fits"]
    if not fits:
        return f"{text}; no quantity would have fitted"
    return f"{text}; a quantity of {quantity(fits, account['instrument'])} would have fitted"


def _overflow(account: Account, currency: str) -> str:
    detail = account["answer"]["detail"]
    held = f" beside the {money(detail['used'])} held" if detail["used"] else ""
    limit = f"the {money(detail['limit'])} {currency} that can be counted"
    # What the detail says is asked ends at 64 bits.
    return f"its {money(account['notional_microcents'])} {currency}{held} exceed {limit}"


_NAMED: Final = {
    "customer": "customer", "account": "account", "trader": "trader", "algo": "algorithm",
}  # fmt: skip
FORMS: Final[dict[str, Form]] = {
    "requested_model_maximizes_utility": _admitted,
    "alternative_maximizes_utility": _admitted,
    "risk_hard_limit": _risk_limit,
    "confidence_hard_limit": _confidence_limit,
    "no_enabled_model": _no_venue,
    "quality_constraint": _no_venue,
    "latency_constraint": _no_venue,
    "capability_constraint": _no_venue,
    "provider_constraint": _no_venue,
    "region_constraint": _no_venue,
    "budget_constraint": _no_venue,
    "non_positive_utility": _no_venue,
    "risk_ceiling_constraint": _no_venue,
    "client_order_id_reused": _reused,
    "stale_order": _stale,
    "idempotency_window_full": _window_full,
    "fill_window_full": _fills_full,
    "order_too_old": _too_old,
    "order_age_unknown": _age_unknown,
    "unknown_venue": _unknown_venue,
    "unknown_desk": _unknown_desk,
    "unknown_symbol": _unknown_symbol,
    "account_missing": _account_missing,
    "account_unknown": _account_unknown,
    "quantity_out_of_range": _quantity,
    "desk_halted": _desk_halted,
    "disk_low": _disk_low,
    "canceled_before_arrival": _canceled_before,
    "all_or_none_refused": _because_of,
    "firm_halted": _firm_halted,
    **{f"{name}_halted": _named_halted(name, what) for name, what in _NAMED.items()},
    **{f"{name}_reducing": _named_reducing(name, what) for name, what in _NAMED.items()},
    "symbol_halted": _symbol_halted,
    "firm_reducing": _firm_reducing,
    "desk_reducing": _desk_reducing,
    "symbol_reducing": _symbol_reducing,
    "desk_symbol_reducing": _desk_symbol_reducing,
    "substitution_not_allowed": _not_substituted,
    "insufficient": _insufficient,
    "exposure_limit_exceeded": _above_cap,
    "overflow": _overflow,
    **LIMIT_FORMS,
}
