"""The report for a terminal: the same tables plain and rich, and nothing that steers a terminal."""

import io
import json
import re
from typing import Any

import pytest

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.formats import printable, shortened
from guard.audit.overrides import Overrides
from guard.audit.tables import Table, figures, tables
from guard.audit.text import plain_table, write_report, write_sentences
from guard.config.file import DeskTerms
from guard.engine.events import DeskResumed
from guard_day_support import trading_day
from guard_support import ALPHA_BUDGET, LoggedEngine, actor, dev_config, fill, order

DAY = trading_day().records


def written(
    audit: Audit | None = None,
    records: list[bytes] = DAY,
    rich: bool = False,
    is_exact: bool = False,
) -> str:
    out = io.StringIO()
    document = audited(records, audit)
    write_sentences(document, out)
    write_report(document, out, rich, is_exact)
    return out.getvalue()


def test_plain_columns() -> None:
    table = Table("slug", "Title", ("name", "#figure"), [("a", "1"), ("long", "1,234")], "A note.")
    assert plain_table(table, 5) == (
        "\nTitle\n  name  figure\n  a          1\n  long   1,234\n  A note.\n"
    )
    assert plain_table(table, 1).endswith(
        "  a          1\n  1 more rows: see --json or --html.\n  A note.\n"
    )


def test_the_day_in_plain_text() -> None:
    text = written()
    assert "  to the venue asked for, which was worth most                3  21.4 %\n" in text
    assert text.index("\nRejects by reason\n") < text.index("\nAdmits\n")
    rejects = text[: text.index("\nAdmits\n")]
    assert "maximizes_utility" not in rejects
    assert re.search(r"  no such desk +1   7[.]1 %  order", text)
    assert "\nConservation, desk by desk\n" in text
    assert "  desk-beta      500,000.00    499,000.00  1,000.00          0.00  yes" in text
    assert text.endswith("\nAmounts are rounded to two decimals; --exact shows all of them.\n")
    exact = written(is_exact=True)
    assert "  desk-beta   500,000.00000005  499,000.00000005  1,000.00          0.00  yes" in exact
    assert "rounded" not in exact
    assert all(line == line.rstrip() for line in text.splitlines())


def test_rich_tables_say_the_same() -> None:
    text = written(rich=True)
    assert "Conservation, desk by desk" in text
    assert "exposure_limit_exceeded" in text


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 160])
def test_no_terminal_is_too_narrow_for_a_number(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = written(rich=True)
    cells = [
        (cell, is_figure)
        for table in tables(audited(DAY))
        if table.slug != "proof"
        for row in table.rows[:20]
        for cell, (_, is_figure) in zip(row, table.headings, strict=True)
    ]
    numbers = {cell for cell, is_figure in cells if is_figure}
    words = set(text.split())
    for number in numbers:
        assert set(shortened(number).split()) <= words, number


def test_what_was_asked_for_stands_alone_and_whole() -> None:
    text = written(Audit("A-2"))
    assert text.startswith(
        "Order A-2 of desk-alpha (record 9, 2023-11-14 22:13:20.000 UTC)\n"
        "Admitted to venue 10 instead of venue 20: it is worth 16,776.99985831 USD there, "
    )
    assert "\n== Order A-2 of desk-alpha ==\n" in text
    assert "18446744073709551615" not in text
    assert "execute_requested" not in text
    assert "  price                   190.00 (19,000 ticks)\n" in text
    assert "Venue by venue" in text
    assert "Answers by reason" not in text
    assert "more rows" not in text
    overrides = Overrides(desks={"desk-beta": DeskTerms("desk-beta", 1, None)})
    text = written(Audit(overrides=overrides))
    assert "== What if ==" in text
    assert "Newly refused: the first of them" in text


def test_a_log_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n"
    day = LoggedEngine()
    day.log(actor(by="\x1b]0;x\x07", why="[bold]\x9b31m\r").event(DeskResumed, desk="desk-beta"))
    for rich in (False, True):
        text = written(None, day.records, rich)
        assert not {c for c in text if not c.isprintable()} - {"\n"}
        assert "[bold]" in text


def test_every_row_has_a_cell_for_every_column() -> None:
    document = audited(DAY)
    shown = tables(document)
    assert len({table.slug for table in shown}) == len(shown)
    for table in shown:
        assert all(len(row) == len(table.columns) for row in table.rows), table.slug
    assert [name for name, _, _ in figures(document)][:2] == ["Verdict", "Records"]
    assert json.dumps([list(table.rows) for table in shown])


def explained(**fields: Any) -> str:
    day = LoggedEngine(config=dev_config(("risk_ceiling_bps = 9500", "risk_ceiling_bps = 9400")))
    day.submit(order("A-1", **fields))
    return written(Audit("A-1"), day.records)


def lines_of(text: str, *starts: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in text.splitlines() if line.startswith(starts)]


def test_what_stopped_a_venue_is_said_so_that_people_can_compare_it() -> None:
    # Provider 2 is not bit pattern 2: venue 20 is provider 1, which is what the mask 2 allows.
    text = explained(allowed_providers=2)
    text = text[text.index("\nVenue by venue\n") :]
    assert [line[2:6] for line in lines_of(text, "  10 ", "  30 ")] == [
        ["rejected", "provider", "0", "one of 1"],
        ["rejected", "provider", "2", "one of 1"],
    ]
    for fields, wanted in (
        ({"allowed_providers": 2**63 + 8}, ["provider", "0", "one of 3, 63"]),
        ({"allowed_providers": 2**63 - 1024}, ["provider", "0", "one of 0x7ffffffffffffc00"]),
        ({"required_capabilities": 5}, ["capability", "bits none", "all of 0, 2"]),
        ({"max_fee_microcents": 7}, ["fee above the order's limit", "0.00014001", "0.00000007"]),
        ({"risk_bps": 9450}, ["risk ceiling", "9450", "9400"]),
        (
            {"symbol": "BTC-USD", "quantity": 1, "price": 1},
            ["not worth its costs", "-0.00014169", "above 0.00"],
        ),
    ):
        venue = lines_of(explained(**fields), "  10 ")[-1]
        at = venue.index(wanted[0])
        assert venue[at + 2] == wanted[2]
        assert wanted[1] in (None, venue[at + 1])


def test_a_venue_that_was_asked_for_and_is_not_in_the_policy() -> None:
    text = explained(venue=99)
    assert "  Venue 99, which the order asked for, is not in the policy.\n" in text.replace(
        ". ", ".\n  "
    )
    assert "not in the policy" not in explained(venue=20)


def test_unpaid_fees_that_halt_a_desk_are_money() -> None:
    day = LoggedEngine()
    day.submit(order("A-1"))
    day.submit(fill("F-1", quantity=1, fee=2 * ALPHA_BUDGET))
    day.submit(order("A-2"))
    text = written(Audit("A-2"), day.records)
    assert "desk_reducing" in text
    (detail,) = lines_of(text, "  answer: detail")
    assert detail[1].startswith("used ")
    assert detail[1].count(",") == 2
    assert "." in detail[1]
