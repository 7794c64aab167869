"""Tables of what if. Pure.

Owns their columns and words, as `guard.audit.tables` owns those of the day.
"""

from typing import Any, Final

from guard.audit.explain_tables import detail_text
from guard.audit.formats import NOTHING, count, money, share
from guard.audit.table import Document, Row, Table

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
    four = [what_if[when] for when in ("before", "after", "low", "high")]
    rows: list[Row] = [
        ("orders admitted", *(count(totals["admitted"]) for totals in four)),
        ("orders rejected", *(count(totals["rejected"]) for totals in four)),
    ]
    for name, words in (
        ("admitted_notional_microcents", "notional admitted"),
        ("fees_microcents", "estimated fees"),
    ):
        rows.append((f"{words}, {currency}", *(money(totals[name]) for totals in four)))
    rows += [
        (title.lower(), NOTHING, count(what_if[name]["count"]), NOTHING, NOTHING)
        for name, title in CHANGE_TITLES.items()
    ]
    rows += [
        (words, NOTHING, count(what_if[name]), NOTHING, NOTHING)
        for words, name in (
            ("the same answer", "same"),
            ("fills left out", "fills_left_out"),
            ("cancels left out", "cancels_left_out"),
        )
    ]
    note = (
        f"{what_if['assumption']} Fills and cancels of orders that are now refused are left out. "
        "All others happen as recorded, at the recorded price and fee."
    )
    columns = ("what", "#as it was", "#would be", "#at least", "#at most")
    return Table("what-if", "Under the other rules", columns, rows, note)


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
            *(count(line[f"admitted_{when}"]) for when in ("before", "after", "low", "high")),
            money(line["held_peak_microcents_before"]),
            money(line["held_peak_microcents_after"]),
            _change(line["held_peak_microcents_before"], line["held_peak_microcents_after"]),
            money(line["held_peak_microcents_low"]),
            money(line["held_peak_microcents_high"]),
            money(line["used_peak_microcents_before"]),
            money(line["used_peak_microcents_after"]),
            count(line["newly_refused"]),
            count(line["newly_admitted"]),
            count(line["other_venue"]),
        )
        for desk, line in what_if["desks"].items()
    ]
    columns = (
        "desk", "#admitted", "#would be  ", "#at least", "#at most",
        "#most held", "#would be", "#change", "#at least ", "#at most ",
        "#most used", "#would be ",
        "#newly refused", "#newly admitted", "#other venue",
    )  # fmt: skip
    note = "At least, at most: as in the table above."
    return Table("what-if-desks", "Each desk, before and after", columns, rows, note)


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
