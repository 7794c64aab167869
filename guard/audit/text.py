"""The report for a terminal: rich tables where a person looks, plain columns where a file does.

Owns the text forms of tables. Free text out of a log (who, why) may hold anything: what is not
printable is shown escaped, so that no log can steer a terminal.
"""

from collections.abc import Iterator
from typing import Final, TextIO

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table as RichTable
from rich.text import Text

from guard.audit.asked_tables import what_if_tables
from guard.audit.explain_tables import explanation_tables, explanation_title
from guard.audit.formats import count, printable, shortened, time
from guard.audit.table import Document, Table
from guard.audit.tables import tables

# Of the day's tables, which are long where there are many desks; what was asked for is shown whole.
DAY_ROWS_MAX: Final = 20
ASKED_ROWS_MAX: Final = 1_000
# What a column of words needs at least, and what stands between two columns of a terminal's table.
WORD_WIDTH: Final = 12
COLUMN_GAP: Final = 3


def write_report(
    document: Document, out: TextIO, is_for_person: bool, is_exact: bool = False
) -> None:
    """Writes the tables of a report: coloured, as wide as the terminal, or plain.

    The day's, unless an order or other rules were asked about: then these alone. `is_exact`:
    amounts of the day with all decimals, as those of an order always are.
    """
    console = Console(file=out, highlight=False) if is_for_person else None
    is_rounded = False
    _write_range(document, out)
    for heading, rows_max, shown, has_exact in _sections(document):
        if heading:
            _write_heading(heading, out, console)
        is_rounded = is_rounded or not (is_exact or has_exact)
        for table in shown:
            lines = _Lines(table, rows_max, is_exact or has_exact)
            if console is None or lines.width > console.width:
                out.write(lines.plain())
            else:
                console.print(lines.rich())
    if is_rounded:
        out.write("\nAmounts are rounded to two decimals; --exact shows all of them.\n")


def _write_range(document: Document, out: TextIO) -> None:
    """What part of the log the day's tables are about, where it is not all of it."""
    span = document["range"]
    if span["records"] != document["records"]:
        ends = (time(span["first_received_at_ns"]), time(span["last_received_at_ns"]))
        out.write(
            f"\nThe tables are of records {span['first_sequence']} to {span['last_sequence']}, "
            f"{ends[0]} to {ends[1]} UTC; holds, ledger and session are those of the log's end.\n"
        )


def write_sentences(document: Document, out: TextIO) -> None:
    """What was asked about an order, answered before all else."""
    for explanation in document.get("explanations", ()):
        out.write(f"{printable(explanation_title(explanation))}")
        if explanation["sequence"] is not None:
            at = f"{time(explanation['received_at_ns'])} UTC"
            out.write(f" (record {explanation['sequence']}, {at})")
        out.write(f"\n{printable(explanation['sentence'])}\n\n")


def _sections(document: Document) -> Iterator[tuple[str, int, list[Table], bool]]:
    """Heading, rows of a table at most, tables, and whether their amounts are exact anyhow."""
    explanations = document.get("explanations", ())
    if not explanations and "what_if" not in document:
        # What the proof table says stands in the lines above it.
        shown = [table for table in tables(document) if table.rows and table.slug != "proof"]
        yield "", DAY_ROWS_MAX, shown, False
    for explanation in explanations:
        shown = explanation_tables(explanation, document["currency"])
        yield explanation_title(explanation), ASKED_ROWS_MAX, shown, True
    if "what_if" in document:
        shown = what_if_tables(document["what_if"], document["currency"])
        yield "What if", ASKED_ROWS_MAX, shown, False


def _write_heading(heading: str, out: TextIO, console: Console | None) -> None:
    if console is None:
        out.write(f"\n== {printable(heading)} ==\n")
    else:
        console.print()
        console.rule(Text(printable(heading), style="bold"), align="left")


def plain_table(table: Table, rows_max: int, is_exact: bool = True) -> str:
    """A title, columns two spaces apart, notes; every line but the first is indented."""
    return _Lines(table, rows_max, is_exact).plain()


class _Lines:
    """A table as it is shown. `width`: how wide a terminal must be for its figures."""

    def __init__(self, table: Table, rows_max: int, is_exact: bool) -> None:
        self._table = table
        show = str if is_exact else shortened
        self._rows = [tuple(printable(show(cell)) for cell in row) for row in table.rows[:rows_max]]
        more = len(table.rows) - rows_max
        self._notes = [f"{count(more)} more rows: see --json or --html."] if more > 0 else []
        self._notes += [printable(table.note)] if table.note else []

    @property
    def width(self) -> int:
        """Figures are never broken, words may be."""
        lines = [tuple(name for name, _ in self._table.headings), *self._rows]
        figures = [at for at, (_, is_figure) in enumerate(self._table.headings) if is_figure]
        words = len(self._table.headings) - len(figures)
        wide = sum(max(len(line[at]) for line in lines) for at in figures)
        return wide + words * WORD_WIDTH + COLUMN_GAP * len(self._table.headings)

    def plain(self) -> str:
        """The text."""
        headings = self._table.headings
        names = tuple(name for name, _ in headings)
        lines = [names, *self._rows] if self._rows else []
        widths = [max(len(line[at]) for line in lines) for at in range(len(names))] if lines else []
        text = [f"\n{printable(self._table.title)}"]
        for line in lines:
            cells = [
                cell.rjust(width) if is_figure else cell.ljust(width)
                for cell, width, (_, is_figure) in zip(line, widths, headings, strict=True)
            ]
            text.append(f"  {'  '.join(cells)}".rstrip())
        text += [f"  {note}" for note in self._notes]
        return "\n".join(text) + "\n"

    def rich(self) -> RichTable:
        """The table for a terminal."""
        shown = RichTable(
            title=Text(printable(self._table.title), style="bold"),
            title_justify="left",
            caption=Text(" ".join(self._notes), style="dim") if self._notes else None,
            caption_justify="left",
            box=box.SIMPLE_HEAD,
        )
        for name, is_figure in self._table.headings:
            justify: JustifyMethod = "right" if is_figure else "left"
            shown.add_column(Text(name), justify=justify, no_wrap=is_figure, overflow="fold")
        for row in self._rows:
            shown.add_row(*(Text(cell) for cell in row))
        return shown
