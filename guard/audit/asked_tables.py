"""Tables of what was asked for beside the day: an order's explanation, and what if. Pure.

Owns their columns and words, as `guard.audit.tables` owns those of the day.
"""

from typing import Any, Final

from guard.audit.formats import NOTHING, count, money, share, time
from guard.audit.tables import Document, Row, Table

BITS_SHOWN_MAX: Final = 8

CHANGE_TITLES: Final = {
    "newly_refused": "Newly refused",
    "newly_admitted": "Newly admitted",
    "other_venue": "Other venue",
    "other_reason": "Refused for another reason",
    "other_fee": "Same venue, other fee",
}


def explanation_title(explanation: Document) -> str:
    """What an explanation is of, and what came of it."""
    order = f"Order {explanation['client_order_id']} of {explanation['desk']}"
    return f"{order}: {explanation['summary']}"


def explanation_tables(explanation: Document) -> list[Table]:
    """An order's account: its record, the request, each venue, the ledger, what followed."""
    if explanation["sequence"] is None:
        return [_following(explanation)]
    shown = [_record(explanation), _request(explanation)]
    if explanation["kernel"] is not None:
        shown += [_hard_limits(explanation), _venues(explanation)]
    return [*shown, _ledger(explanation), _following(explanation)]


def _record(explanation: Document) -> Table:
    policy = explanation["policy"]
    halts = explanation["halts"]
    entries = halts["entries"]
    desk_halted = {None: "no such desk", True: "halted", False: "open"}[halts["desk"]]
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
        ("notional", money(explanation["notional_microcents"])),
        *(
            (
                f"answer: {_words(name)}",
                _detail(explanation["answer"]) if name == "detail" else _value(name, value),
            )
            for name, value in explanation["answer"].items()
        ),
    ]
    return Table("explain-record", "The record and its answer", ("what", "value"), rows)


def _value(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)} {_value(key, v)}" for key, v in value.items()) or "none"
    if name.endswith("_microcents") and isinstance(value, int):
        return money(value)
    return str(value)


def _detail(answer: dict[str, Any]) -> str:
    """What a reject says of asked, limit and used; the ledger's, and unpaid fees, are money."""
    is_money = answer["stage"] == "ledger" or answer["reason"] == "desk_halted"
    show = money if is_money else str
    return ", ".join(f"{name} {show(value)}" for name, value in answer["detail"].items() if value)


def _words(name: str) -> str:
    """A field's name for people; money is shown in units of currency."""
    return name.removesuffix("_microcents").replace("_", " ")


def _request(explanation: Document) -> Table:
    rows = [(name, str(value)) for name, value in explanation["request"].items()]
    instrument = explanation["instrument"]
    if instrument:
        rows += [(f"instrument: {name}", str(value)) for name, value in instrument.items()]
    return Table("explain-request", "The request as received", ("field", "value"), rows)


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
            venue["status"],
            venue["gate"] or NOTHING,
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
    note = f"The kernel: {decision['action']}, {decision['reason']}."
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
        return str(measured), f"one of {_bits(limit)}"
    if venue["gate"] in ("capability", "region"):
        how = "all" if venue["gate"] == "capability" else "one"
        return f"bits {_bits(measured)}", f"{how} of {_bits(limit)}"
    if venue["gate"] in ("budget", "utility"):
        above = "above " if venue["gate"] == "utility" else ""
        return money(measured), above + money(limit)
    return _plain(measured), _plain(limit)


def _bits(mask: int) -> str:
    """The numbers of the bits that are set; more than a few as the mask."""
    numbers = [str(number) for number in range(mask.bit_length()) if mask >> number & 1]
    return (", ".join(numbers) or "none") if len(numbers) <= BITS_SHOWN_MAX else hex(mask)


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
    rows = [
        (
            str(event["sequence"]),
            time(event["received_at_ns"]),
            event["event"],
            _value("request", {k: v for k, v in event["request"].items() if k != "type"}),
            _value("answer", {k: v for k, v in event["answer"].items() if k != "type"}),
        )
        for event in explanation["following"]
    ]
    left_out = explanation["following_left_out"]
    note = f"{count(left_out)} more are left out." if left_out else ""
    if not rows:
        note = "Nothing: neither a fill nor a cancel."
    columns = ("#record", "at, UTC", "event", "reported", "answer")
    return Table("explain-following", "What followed", columns, rows, note)


def what_if_tables(what_if: Document, currency: str) -> list[Table]:
    """What would have moved: the sums, the moves, the desks, and examples of each."""
    shown = [_totals(what_if, currency), _moves(what_if), _desks(what_if)]
    for name, title in CHANGE_TITLES.items():
        if what_if[name]["count"]:
            shown.append(_examples(name, title, what_if[name]))
    return shown


def _totals(what_if: Document, currency: str) -> Table:
    before, after = what_if["before"], what_if["after"]
    rows: list[Row] = [
        ("orders admitted", count(before["admitted"]), count(after["admitted"])),
        ("orders rejected", count(before["rejected"]), count(after["rejected"])),
    ]
    for name, words in (
        ("admitted_notional_microcents", "notional admitted"),
        ("fees_microcents", "estimated fees"),
    ):
        rows.append((f"{words}, {currency}", money(before[name]), money(after[name])))
    rows += [
        (title.lower(), NOTHING, count(what_if[name]["count"]))
        for name, title in CHANGE_TITLES.items()
    ]
    rows += [
        ("the same answer", NOTHING, count(what_if["same"])),
        ("fills left out", NOTHING, count(what_if["fills_left_out"])),
        ("cancels left out", NOTHING, count(what_if["cancels_left_out"])),
    ]
    note = (
        "Fills and cancels of orders that are now refused are left out; nothing fills or cancels "
        "an order that only now is admitted, so it holds its exposure to the end. All others "
        "happen as recorded, at the recorded price and fee."
    )
    return Table(
        "what-if", "Under the other rules", ("what", "#as it was", "#would be"), rows, note
    )


def _moves(what_if: Document) -> Table:
    rows = [
        (title, move["before"], move["after"], count(move["count"]))
        for name, title in CHANGE_TITLES.items()
        for move in what_if[name]["moves"]
    ]
    columns = ("change", "as it was", "would be", "#orders")
    return Table("what-if-moves", "What would have moved", columns, rows)


def _desks(what_if: Document) -> Table:
    rows = [
        (
            desk,
            money(line["held_peak_microcents_before"]),
            money(line["held_peak_microcents_after"]),
            _change(line["held_peak_microcents_before"], line["held_peak_microcents_after"]),
            money(line["used_peak_microcents_before"]),
            money(line["used_peak_microcents_after"]),
            count(line["newly_refused"]),
            count(line["newly_admitted"]),
            count(line["other_venue"]),
        )
        for desk, line in what_if["desks"].items()
    ]
    columns = (
        "desk", "#most held", "#would be", "#change", "#most used", "#would be ",
        "#newly refused", "#newly admitted", "#other venue",
    )  # fmt: skip
    return Table("what-if-desks", "Highest exposures, before and after", columns, rows)


def _change(before: int, after: int) -> str:
    if before == after:
        return "0.0 %"
    sign = "+" if after > before else "-"
    return f"{sign}{share(abs(after - before), before)}" if before else NOTHING


def _examples(name: str, title: str, change: Document) -> Table:
    rows = [
        (
            str(example["sequence"]),
            example["desk"],
            example["client_order_id"],
            example["symbol"],
            _answer(example["before"]),
            _answer(example["after"]),
        )
        for example in change["examples"]
    ]
    more = change["count"] - len(rows)
    note = f"{count(more)} more." if more else ""
    columns = ("#record", "desk", "order", "symbol", "as it was", "would be")
    slug = f"what-if-{name.replace('_', '-')}"
    return Table(slug, f"{title}: the first of them", columns, rows, note)


def _answer(answer: dict[str, Any]) -> str:
    if answer["answer"] == "admit":
        fee = money(answer["fee_microcents"])
        return f"venue {answer['venue']}, fee {fee}, {answer['reason']}"
    detail = _detail(answer)
    return f"{answer['reason']} ({detail})" if detail else str(answer["reason"])
