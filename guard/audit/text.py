"""The report for a terminal: rich tables where a person looks, plain columns where a file does.

Owns the text forms of tables. Free text out of a log (who, why) may hold anything: what is not
printable is shown escaped, so that no log can steer a terminal.
"""

from collections.abc import Iterator
from typing import Final, TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from guard.audit.asked_tables import what_if_tables
from guard.audit.explain_tables import explanation_tables, explanation_title
from guard.audit.formats import count, printable, time
from guard.audit.tables import Document, Table, tables

# Of the day's tables, which are long where there are many desks; what was asked for is shown whole.
DAY_ROWS_MAX: Final = 20
ASKED_ROWS_MAX: Final = 1_000


def write_report(document: Document, out: TextIO, is_for_person: bool) -> None:
    """Writes the tables of a report: coloured, as wide as the terminal, or plain.

    The day's, unless an order or other rules were asked about: then these alone.
    """
    console = Console(file=out, highlight=False) if is_for_person else None
    for heading, rows_max, shown in _sections(document):
        if heading:
            _write_heading(heading, out, console)
        for table in shown:
            if console is None:
                out.write(plain_table(table, rows_max))
            else:
                console.print(_rich_table(table, rows_max))


def write_sentences(document: Document, out: TextIO) -> None:
    """What was asked about an order, answered before all else."""
    for explanation in document.get("explanations", ()):
        out.write(f"{printable(explanation_title(explanation))}")
        if explanation["sequence"] is not None:
            at = f"{time(explanation['received_at_ns'])} UTC"
            out.write(f" (record {explanation['sequence']}, {at})")
        out.write(f"\n{printable(explanation['sentence'])}\n\n")


def _sections(document: Document) -> Iterator[tuple[str, int, list[Table]]]:
    explanations = document.get("explanations", ())
    if not explanations and "what_if" not in document:
        # What the proof table says stands in the lines above it.
        shown = [table for table in tables(document) if table.rows and table.slug != "proof"]
        yield "", DAY_ROWS_MAX, shown
    for explanation in explanations:
        shown = explanation_tables(explanation, document["currency"])
        yield explanation_title(explanation), ASKED_ROWS_MAX, shown
    if "what_if" in document:
        shown = what_if_tables(document["what_if"], document["currency"])
        yield "What if", ASKED_ROWS_MAX, shown


def _write_heading(heading: str, out: TextIO, console: Console | None) -> None:
    if console is None:
        out.write(f"\n== {printable(heading)} ==\n")
    else:
        console.print()
        console.rule(Text(printable(heading), style="bold"), align="left")


def _shown_rows(table: Table, rows_max: int) -> list[tuple[str, ...]]:
    return [tuple(printable(cell) for cell in row) for row in table.rows[:rows_max]]


def _notes(table: Table, rows_max: int) -> list[str]:
    more = len(table.rows) - rows_max
    notes = [f"{count(more)} more rows: see --json or --html."] if more > 0 else []
    return [*notes, printable(table.note)] if table.note else notes


def plain_table(table: Table, rows_max: int) -> str:
    """A title, columns two spaces apart, notes; every line but the first is indented."""
    names = [name for name, _ in table.headings]
    lines = [tuple(names), *_shown_rows(table, rows_max)] if table.rows else []
    widths = [max(len(line[at]) for line in lines) for at in range(len(names))] if lines else []
    text = [f"\n{printable(table.title)}"]
    for line in lines:
        cells = [
            cell.rjust(width) if is_figure else cell.ljust(width)
            for cell, width, (_, is_figure) in zip(line, widths, table.headings, strict=True)
        ]
        text.append(f"  {'  '.join(cells)}".rstrip())
    text += [f"  {note}" for note in _notes(table, rows_max)]
    return "\n".join(text) + "\n"


def _rich_table(table: Table, rows_max: int) -> RichTable:
    notes = _notes(table, rows_max)
    shown = RichTable(
        title=Text(printable(table.title), style="bold"),
        title_justify="left",
        caption=Text(" ".join(notes), style="dim") if notes else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name, is_figure in table.headings:
        shown.add_column(Text(name), justify="right" if is_figure else "left", overflow="fold")
    for row in _shown_rows(table, rows_max):
        shown.add_row(*(Text(cell) for cell in row))
    return shown
