"""Tables of an order's explanation. Pure.

Owns their columns and words, as `guard.audit.tables` owns those of the day.
"""

from typing import Any, Final

from guard.audit.formats import NOTHING, count, duration, money, time
from guard.audit.table import Document, Row, Table
from guard.audit.units import bits, fee_limit, price, quantity
from guard.audit.words import gate_words, reason_words
from guard.protocol.instruments import counted
from guard.protocol.limits import KEYS, WORDS_OF_KEY, field_name, file_name
from guard.protocol.messages import U64_MAX


def explanation_title(explanation: Document) -> str:
    """What an explanation is of."""
    return f"Order {explanation['client_order_id']} of {explanation['desk']}"


def explanation_tables(explanation: Document, currency: str) -> list[Table]:
    """An order's account: by how much, the request, each venue, the ledger, what followed."""
    if explanation["sequence"] is None:
        return [_following(explanation)]
    shown = [_remedies(explanation, currency)] if explanation["remedies"] else []
    shown += [_record(explanation), _request(explanation, currency)]
    if explanation["checks"]:
        shown.append(_checks(explanation))
    if explanation["limits"]:
        shown.append(_limits(explanation))
    if explanation["kernel"] is not None:
        shown += [_hard_limits(explanation), _venues(explanation)]
    return [*shown, _ledger(explanation), _following(explanation)]


# What an order, or the policy, would have had to say.
_REMEDY_WORDS: Final = {
    "allow_substitute": "another venue allowed than the one asked for",
    "enabled": "venue {venue} switched on in the policy",
    "minimum_quality_bps": "a quality of {needed} bps accepted, not {was}",
    "max_p95_latency_ms": "a latency of {needed} ms accepted, not {was}",
    "required_capabilities": "capabilities {needed} required alone, not {was}",
    "allowed_provider_mask": "providers {needed} allowed, not {was}",
    "required_region_mask": "regions {needed} allowed, not {was}",
    "risk_bps": "a risk of {needed} bps at most, not {was}",
    "confidence_bps": "a confidence of {needed} bps at least, not {was}",
    "budget_limit_microunits": "a fee limit of {needed} at least, not {was}",
}
_MASKS: Final = ("required_capabilities", "allowed_provider_mask", "required_region_mask")


def _remedies(explanation: Document, currency: str) -> Table:
    rows = []
    for remedy in explanation["remedies"]:
        changes = [_change_words(change, remedy["venue"], currency) for change in remedy["changes"]]
        worth = remedy["then_utility_microcents"]
        worth_text = NOTHING if worth is None else f"{money(worth)} {currency}"
        then = remedy["then_venue"]
        if then is None:
            outcome = f"still rejected: worth {worth_text}, not above zero"
        else:
            wins = "it wins" if then == remedy["venue"] else f"venue {then} wins"
            outcome = f"{wins}, worth {worth_text}"
        rows.append((str(remedy["venue"]), "; ".join(changes) or NOTHING, outcome))
    columns = ("for venue", "what would have had to change", "then")
    return Table("explain-remedies", "What would have let it through", columns, rows)


def _change_words(change: Document, venue: int, currency: str) -> str:
    field = change["field"]

    def shown(value: int) -> str:
        if field in _MASKS:
            return bits(value)
        return fee_limit(value, currency) if field.endswith("_microunits") else count(value)

    words = {"was": shown(change["was"]), "needed": shown(change["needed"])}
    return _REMEDY_WORDS[field].format(venue=venue, **words)


def _record(explanation: Document) -> Table:
    policy = explanation["policy"]
    halts = explanation["halts"]
    entries = halts["entries"]
    desk_halted = {None: "no such desk", True: "halted", False: "open"}[halts["desk"]]
    by_person = [name for name in ("firm", "desk", "symbol") if halts[f"{name}_stopped"]]
    rows: list[Row] = [
        ("record", str(explanation["sequence"])),
        ("hash", explanation["entry_hash"]),
        ("where", f"{explanation['segment']}, byte {explanation['offset']}"),
        ("received, UTC", time(explanation["received_at_ns"])),
        ("from client", explanation["client"]),
        ("batch from record", str(explanation["batch_first_sequence"])),
        ("policy", policy["digest_hex"] if policy else NOTHING),
        ("entries then", f"halted: {entries['reason']}" if entries else "open"),
        ("desk then", desk_halted),
        *([("stopped by a person then", ", ".join(by_person))] if by_person else []),
        *([("to take the place of", explanation["replaces"])] if "replaces" in explanation else []),
        ("notional", money(explanation["notional_microcents"])),
        *_reference(explanation),
        *(
            (f"answer: {_words(name)}", _answer_value(explanation["answer"], name, value))
            for name, value in explanation["answer"].items()
        ),
    ]
    return Table("explain-record", "The record and its answer", ("what", "value"), rows)


def _reference(explanation: Document) -> list[Row]:
    """The mark that the record says, if any."""
    reference = explanation["reference"]
    if reference is None:
        return []
    text = f"{count(reference['price'])} ticks, {duration(reference['age_ns'])} old"
    return [("the symbol's mark then", text)]


_VERDICTS: Final = {
    "passes": "passes",
    "refuses": "refuses",
    "spared": "not asked: it but reduces",
    "overridden": "would refuse: two people let it past",
    "barred": "not asked: cannot be behind what refused",
}
_MONEY_CHECKS: Final = (
    "overflow", "insufficient", "exposure_limit_exceeded", "notional_rate_exceeded",
)  # fmt: skip


def _checks(explanation: Document) -> Table:
    """Every check there is, in its order: the first that refuses is the answer."""
    rows = []
    for line in explanation["checks"]:
        figures = (
            NOTHING if line[each] is None else _check_value(line, line[each])
            for each in ("measured", "limit", "used")
        )
        said_by = NOTHING if line["scope"] is None else line["scope"].replace("_", " in a ")
        words = reason_words(line["check"]) if line["check"] else "what the policy says"
        key = line["key"].replace("_", " ") or NOTHING
        rows.append((words, _VERDICTS[line["verdict"]], *figures, said_by, key))
    columns = ("refused because of", "verdict", "#measured", "#limit", "#used", "said by", "key")
    note = "Of one that passes, measured is what it was asked about, where that is one figure."
    return Table("explain-checks", "What every check said", columns, rows, note)


def _check_value(line: Document, value: int) -> str:
    if line["check"] in _MONEY_CHECKS:
        return money(value)
    return _limit_value(field_name(line["key"]), value)


def _limits(explanation: Document) -> Table:
    """What counted for the desk in the symbol; what of a rate is used, with the order itself."""
    rows: list[Row] = [
        (
            _words(file_name(line["limit"])),
            "none" if line["value"] is None else _limit_value(line["limit"], line["value"]),
            _limit_value(line["limit"], line["used"]) if "used" in line else NOTHING,
            line["scope"].replace("_", " in a "),
        )
        for line in explanation["limits"]
    ]
    columns = ("limit", "value", "used", "said by the")
    return Table("explain-scopes", "The limits of the desk in the symbol", columns, rows)


def _limit_value(name: str, value: int) -> str:
    """Money as money, words as words, all else as a number."""
    if name.endswith("_microcents") or name.startswith("rate of notional"):
        return money(value)
    for key in KEYS:
        if key.name == name and key.number in WORDS_OF_KEY:
            words = WORDS_OF_KEY[key.number]
            return " ".join(w for bit, w in enumerate(words) if value >> bit & 1) or "no one"
    return count(value)


def _answer_value(answer: Document, name: str, value: Any) -> str:
    if name == "detail":
        return detail_text(answer)
    return f"{value}: {reason_words(value)}" if name == "reason" else _value(name, value)


def _value(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)} {_value(key, v)}" for key, v in value.items()) or "none"
    if name.endswith("_microcents") and isinstance(value, int):
        return money(value)
    if name == "flags":
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


# Refused for fees that are owed: their detail is money.
_OWING: Final = ("desk_halted", "desk_reducing")


def detail_text(answer: dict[str, Any]) -> str:
    """What a reject says of asked, limit and used; the ledger's, and unpaid fees, are money."""
    is_money = answer["stage"] == "ledger" or answer["reason"] in _OWING

    def show(value: int) -> str:
        if value == U64_MAX:
            return "beyond 64 bits"
        return money(value) if is_money else count(value)

    return ", ".join(f"{name} {show(value)}" for name, value in answer["detail"].items() if value)


def _words(name: str) -> str:
    """A field's name for people; money is shown in units of currency."""
    return name.removesuffix("_microcents").replace("_", " ")


def _request(explanation: Document, currency: str) -> Table:
    instrument = explanation["instrument"]
    rows = [
        (_words(name.removesuffix("_ns")), _request_value(name, value, instrument, currency))
        for name, value in explanation["request"].items()
        if value is not None
    ]
    if instrument:
        rows += [(f"instrument: {_words(name)}", str(value)) for name, value in instrument.items()]
    return Table("explain-request", "The request as received", ("field", "value"), rows)


def _request_value(name: str, value: Any, instrument: Document | None, currency: str) -> str:
    if name == "quantity":
        return f"{quantity(value, instrument)} ({counted(value, 'lot')})"
    if name == "price":
        return f"{price(value, instrument)} ({count(value)} ticks)"
    if name in ("required_capabilities", "allowed_providers"):
        return bits(value)
    if name == "required_regions":
        return bits(value) if value else "any"
    if name == "max_fee_microcents":
        return fee_limit(value, currency)
    if name == "max_p95_latency_ms" and not value:
        return "no limit"
    if name == "sent_at_ns":
        return f"{time(value)} UTC ({value})"
    return _value(name, value)


def _hard_limits(explanation: Document) -> Table:
    rows = [
        (
            limit["limit"],
            str(limit["measured"]),
            limit["allowed"],
            "passed" if limit["passed"] else "STOPPED HERE",
        )
        for limit in explanation["kernel"]["hard_limits"]
    ]
    columns = ("limit", "#measured", "#allowed", "result")
    return Table("explain-limits", "Hard limits, before any venue", columns, rows)


def _venues(explanation: Document) -> Table:
    rows = [
        (
            str(venue["venue"]),
            _roles(venue),
            venue["status"].replace("_", " "),
            NOTHING if venue["gate"] is None else gate_words(venue["gate"]),
            *_gate(venue),
            money(venue["cost_microunits"]),
            money(venue["quality_adjusted_microunits"]),
            money(venue["risk_penalty_microunits"]),
            money(venue["latency_penalty_microunits"]),
            money(venue["utility_microunits"]),
        )
        for venue in explanation["kernel"]["venues"]
    ]
    columns = (
        "venue", "role", "status", "stopped by", "#measured", "#limit", "#cost", "#value",
        "#risk penalty", "#latency penalty", "#utility",
    )  # fmt: skip
    decision = explanation["kernel"]["decision"]
    verb = "reject" if decision["action"] == "reject" else "admit"
    note = f"The policy's answer: {verb}, {reason_words(decision['reason'])}."
    if not rows:
        note += " A hard limit stopped the order before any venue was looked at."
    elif not any(venue["is_requested"] for venue in explanation["kernel"]["venues"]):
        asked = explanation["kernel"]["input"]["requested_model_id"]
        note += f" Venue {asked}, which the order asked for, is not in the policy."
    return Table("explain-venues", "Venue by venue", columns, rows, note)


def _gate(venue: Document) -> tuple[str, str]:
    """What the gate measured, and its limit: money as money, sets of bits as what is in them."""
    measured, limit = venue["measured"], venue["limit"]
    if venue["gate"] is None:
        return NOTHING, NOTHING
    if venue["gate"] == "provider":
        return str(measured), f"one of {bits(limit)}"
    if venue["gate"] in ("capability", "region"):
        how = "all" if venue["gate"] == "capability" else "one"
        return f"bits {bits(measured)}", f"{how} of {bits(limit)}"
    if venue["gate"] in ("budget", "utility"):
        above = "above " if venue["gate"] == "utility" else ""
        return money(measured), above + money(limit)
    return _plain(measured), _plain(limit)


def _plain(value: int | None) -> str:
    return NOTHING if value is None else str(value)


def _roles(venue: dict[str, Any]) -> str:
    roles = [role for role in ("requested", "chosen", "counterfactual") if venue[f"is_{role}"]]
    return ", ".join(roles) or NOTHING


def _ledger(explanation: Document) -> Table:
    ledger = explanation["ledger"]
    columns = ("when", "#granted", "#remaining", "#held", "#spent", "#cap")
    title = f"The ledger of {explanation['desk']} at that instant"
    if ledger is None:
        return Table("explain-ledger", title, columns, [], "The desk was never opened.")
    rows = [
        (
            when,
            *(
                money(ledger[when][f"{name}_microcents"])
                for name in ("granted", "remaining", "held", "spent")
            ),
            money(ledger["cap_microcents"]) if ledger["cap_microcents"] else "none",
        )
        for when in ("before", "after")
    ]
    return Table("explain-ledger", title, columns, rows)


def _following(explanation: Document) -> Table:
    instrument = explanation.get("instrument")
    rows = [
        (
            str(event["sequence"]),
            time(event["received_at_ns"]),
            event["event"],
            _reported(event["request"], instrument),
            _value("answer", {k: v for k, v in event["answer"].items() if k not in _SAID_BEFORE}),
        )
        for event in explanation["following"]
    ]
    left_out = explanation["following_left_out"]
    note = f"{count(left_out)} more are left out." if left_out else ""
    if not rows:
        note = "Nothing: neither a fill nor a cancel."
    columns = ("#record", "at, UTC", "event", "reported", "answer")
    return Table("explain-following", "What followed", columns, rows, note)


# What stands in the title, or in the report that is answered.
_SAID_BEFORE: Final = ("type", "desk", "client_order_id", "fill_id", "reduce_id", "fee_microcents")


def _reported(request: Document, instrument: Document | None) -> str:
    shown = []
    for name, value in request.items():
        if name in ("type", "desk", "client_order_id") or value is None:
            continue
        if name == "quantity":
            value = quantity(value, instrument)
        elif name == "price":
            value = price(value, instrument)
        elif name == "executed_at_ns":
            value = f"{time(value)} UTC"
        shown.append(f"{_words(name.removesuffix('_ns'))} {_value(name, value)}")
    return ", ".join(shown) or NOTHING
