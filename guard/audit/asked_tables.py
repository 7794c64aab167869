"""Tables of what if. Pure.

Owns their columns and words, as `guard.audit.tables` owns those of the day.
"""

from typing import Any, Final

from guard.audit.explain_tables import detail_text
from guard.audit.formats import NOTHING, count, money, share
from guard.audit.tables import Document, Row, Table

CHANGE_TITLES: Final = {
    "newly_refused": "Newly refused",
    "newly_admitted": "Newly admitted",
    "other_venue": "Other venue",
    "other_reason": "Refused for another reason",
    "other_fee": "Same venue, other fee",
}


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
    detail = detail_text(answer)
    return f"{answer['reason']} ({detail})" if detail else str(answer["reason"])
