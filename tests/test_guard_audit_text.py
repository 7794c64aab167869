"""The report for a terminal: the same tables plain and rich, and nothing that steers a terminal."""

import io
import json

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.formats import printable
from guard.audit.overrides import Overrides
from guard.audit.tables import Table, figures, tables
from guard.audit.text import plain_table, write_report
from guard.config import DeskTerms
from guard.outcomes import DeskResumed
from guard_day_support import trading_day
from guard_support import LoggedEngine, actor

DAY = trading_day().records


def written(audit: Audit | None = None, records: list[bytes] = DAY, rich: bool = False) -> str:
    out = io.StringIO()
    write_report(audited(records, audit), out, rich)
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
    assert "  admit   –       requested_model_maximizes_utility       3  21.4 %\n" in text
    assert "\nConservation, desk by desk\n" in text
    assert "  desk-beta   500,000.00000005  499,000.00000005  1,000.00          0.00  yes" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_rich_tables_say_the_same() -> None:
    text = written(rich=True)
    assert "Conservation, desk by desk" in text
    assert "requested_model_maximizes_utility" in text.replace("\n", "")


def test_what_was_asked_for_stands_alone_and_whole() -> None:
    text = written(Audit("A-2"))
    assert "== Order A-2 of desk-alpha: admitted to venue 10 instead of 20: " in text
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
