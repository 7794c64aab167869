"""The report as one page that stands on its own: figures first, then charts with tables behind.

Owns the page's order, its words and its safety. All text out of a log is escaped; what the charts
draw is embedded as JSON that cannot end its element; and the page's policy (a `meta`, since there
is no server to say it) lets nothing be fetched from anywhere and runs the page's own scripts and
styles alone, named by their SHA-256: whatever slipped through would not run.

How it works: figures and tables are in the page as they are, for screen readers, paper and readers
without scripts; `assets/page.js` draws pictures beside them, with the library that
`assets/README.md` gives origin and licence of. Amounts in tables are exact; pictures round.

How it fails: it does not; a document of `guard.audit.report` has all that it asks for.
"""

import base64
import hashlib
import json
from html import escape
from importlib import resources
from typing import Any, Final

from guard import __version__
from guard.audit.formats import count, time
from guard.audit.tables import Document, Table, figures, tables
from guard.audit.tables_more import explanation_tables, explanation_title, what_if_tables
from guard.audit.text import printable
from guard.audit.timegrid import WIDTHS_NS

# What a person would look at, and a browser would not choke on; --json has all.
ROWS_MAX: Final = 500
BARS_MAX: Final = 240
CHARTS_SHOWN_MAX: Final = 6
CHARTS_CHOSEN_MAX: Final = 200

_CELL_KINDS: Final = {
    "digest": "mono",
    **dict.fromkeys(("desk", "order", "symbol", "from, UTC", "at, UTC"), "name"),
}

_ASSETS: Final = resources.files("guard.audit") / "assets"


def render_page(document: Document, source: str) -> str:
    """The page's HTML, whole. `source` is what the log is called."""
    licence = _asset("uPlot.LICENSE.txt").strip()
    scripts = [f"/*!\n{licence}\n*/\n{_asset('uPlot.iife.min.js')}", _asset("page.js")]
    styles = [_asset("uPlot.min.css"), _asset("page.css")]
    title = f"Replay of {document['log_id']}, records 1 to {document['head_sequence']}"
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts, styles)}">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        '<meta name="color-scheme" content="light dark">\n',
        f"<title>{_text(title)}</title>\n",
        *(f"<style>{style}</style>\n" for style in styles),
        "</head>\n<body>\n",
        *_body(document, source),
        f'<script type="application/json" id="data">{_json(_chart_data(document))}</script>\n',
        *(f"<script>{script}</script>\n" for script in scripts),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")


def _policy(scripts: list[str], styles: list[str]) -> str:
    def hashes(texts: list[str]) -> str:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _text(text: str) -> str:
    """Text for an element or an attribute; what is not printable is shown escaped."""
    return escape(printable(text), quote=True)


def _json(value: Any) -> str:
    """JSON that cannot end the element it stands in, nor begin a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _chart_desks(document: Document) -> list[str]:
    """The desks with charts: those that used most, in the order of their names where all do."""
    lines = document["exposure"]["desks"]
    desks = sorted(lines, key=lambda desk: (-lines[desk]["used_peak_microcents"], desk))
    return sorted(desks) if len(desks) <= CHARTS_SHOWN_MAX else desks[:CHARTS_CHOSEN_MAX]


def _timeline(document: Document) -> tuple[int, list[list[int]]]:
    """The document's timeline in bars few enough to be told apart: their width in ns, and rows."""
    width_ns: int = document["timeline"]["bucket_width_ns"]
    rows: list[list[int]] = document["timeline"]["rows"]
    span_ns = rows[-1][0] - rows[0][0] if rows else 0
    wider_ns = width_ns
    while span_ns // wider_ns >= BARS_MAX:
        wider_ns = next((width for width in WIDTHS_NS if width > wider_ns), 2 * wider_ns)
    merged: dict[int, list[int]] = {}
    for start_ns, *counts in rows:
        start_ns -= start_ns % wider_ns
        into = merged.setdefault(start_ns, [0] * len(counts))
        into[:] = [left + right for left, right in zip(into, counts, strict=True)]
    return wider_ns, [[start_ns, *merged[start_ns]] for start_ns in sorted(merged)]


def _chart_data(document: Document) -> dict[str, Any]:
    desks = _chart_desks(document)
    exposure = document["exposure"]
    width_ns, rows = _timeline(document)
    data: dict[str, Any] = {
        "currency": document["currency"],
        "end_ns": document["range"]["last_received_at_ns"],
        "timeline": {"bucket_width_ns": width_ns, "rows": rows},
        "exposure": {
            "bucket_width_ns": exposure["bucket_width_ns"],
            "desks": {desk: exposure["desks"][desk]["rows"] for desk in desks},
        },
        "orders": document["latency"]["orders"]["histogram"],
        "fills": document["latency"]["fills"]["histogram"],
        "batches": document["batches"]["histogram"],
    }
    if "what_if" in document:
        after = document["what_if"]["exposure_after"]
        data["what_if"] = {
            "bucket_width_ns": after["bucket_width_ns"],
            "desks": {d: after["desks"][d]["rows"] for d in desks if d in after["desks"]},
        }
    return data


def _body(document: Document, source: str) -> list[str]:
    named = {table.slug: table for table in tables(document)}
    sections = [("figures", "Figures", _figures(document))]
    for number, explanation in enumerate(document.get("explanations", ()), 1):
        account = _side_by_side([_table(table) for table in explanation_tables(explanation)])
        title = explanation_title(explanation)
        html = f'<div class="account"><h3>{_text(title)}</h3>{account}</div>'
        sections.append((f"order-{number}", "The order", html))
    if "what_if" in document:
        shown = what_if_tables(document["what_if"], document["currency"])
        html = _side_by_side([_table(table) for table in shown])
        sections.append(("what-if", "What if", html))
    sections += [
        ("decisions", "Decisions", _decisions(document, named)),
        ("exposure", "Exposure", _exposure(document, named)),
        ("ledger", "Conservation", _table(named["conservation"])),
        ("where", "Desks, symbols, venues", "".join(
            _table(named[slug]) for slug in ("by-desk", "by-symbol", "by-venue", "executions")
        )),
        ("latency", "Latency and batches", _latency(document, named)),
        ("rules", "Policies", _table(named["policies"]) + _table(named["policy-venues"])),
        ("events", "Sessions, halts and changes", _table(named["administrative"])),
        ("proof", "Proof", _proof(document, named)),
    ]  # fmt: skip
    links = "".join(f'<li><a href="#{slug}">{_text(name)}</a></li>' for slug, name, _ in sections)
    return [
        '<a class="skip" href="#figures">To the figures</a>\n',
        _header(document, source),
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n',
        *(
            f'<section id="{slug}" aria-labelledby="{slug}-h"><h2 id="{slug}-h">{_text(name)}</h2>'
            f"\n{html}</section>\n"
            for slug, name, html in sections
        ),
        "</main>\n",
        f"<footer><p>Made by pretrade-guard {_text(__version__)} from the log alone. This page "
        "fetches nothing. Charts: uPlot, MIT licence (in the source of this page). Amounts in "
        "tables are exact; charts round.</p></footer>\n",
    ]


def _side_by_side(shown: list[str]) -> str:
    """The first two next to each other where there is room, the others below."""
    return f'<div class="pair"><div>{"</div><div>".join(shown[:2])}</div></div>{"".join(shown[2:])}'


def _header(document: Document, source: str) -> str:
    span = document["range"]
    return (
        "<header><h1>Pretrade Guard: replay of a day</h1>\n"
        f'<p class="soft"><span class="mono">{_text(source)}</span>, '
        f"{time(span['first_received_at_ns'])} to {time(span['last_received_at_ns'])} UTC</p>\n"
        '<p><span class="verdict">Proved.</span> '
        f"All {count(document['records'])} records chain, all {count(document['decisions'])} "
        "decisions were made again and came out byte for byte the same, and every desk's ledger "
        "adds up after every record.</p></header>\n"
    )


def _figures(document: Document) -> str:
    cards = "".join(
        f'<div><dt>{_text(name)}</dt><dd class="value'
        f'{" good" if value in ("proved", "balanced") else ""}">{_text(value)}</dd>'
        f'<dd class="beside">{_text(beside)}</dd></div>\n'
        for name, value, beside in figures(document)
    )
    return f'<dl class="figures">{cards}</dl>\n'


def _chart(title: str, soft: str, table: str, **data: str) -> str:
    """A picture with its title, and the table that says the same behind it."""
    fields = " ".join(f'data-{name}="{_text(value)}"' for name, value in data.items())
    beside = f' <span class="soft">{_text(soft)}</span>' if soft else ""
    return (
        f"<figure><figcaption>{_text(title)}{beside}</figcaption>\n"
        f'<div class="plot" role="img" aria-label="{_text(f"Chart: {title}. {soft}")}" {fields}>'
        f"</div>\n{table}</figure>\n"
    )


def _behind(table: Table, words: str = "As a table") -> str:
    return f"<details><summary>{_text(words)}</summary>\n{_table(table)}</details>\n"


def _decisions(document: Document, named: dict[str, Table]) -> str:
    width_ns, bars = _timeline(document)
    names = document["timeline"]["columns"][1:]
    columns = ("from, UTC", *(f"#{name.replace('_', ': ')}" for name in names))
    rows = [(time(start_ns), *map(count, counts)) for start_ns, *counts in bars]
    table = Table("timeline", "Decisions over time", columns, rows)
    chart = ""
    if rows:
        width = f"a bar is {_width(width_ns)}"
        chart = _chart("Decisions over time", width, _behind(table), chart="timeline")
    return chart + _table(named["reasons"], bar_column=4)


def _width(width_ns: int) -> str:
    for unit_ns, unit in ((3_600_000_000_000, "h"), (60_000_000_000, "min"), (10**9, "s")):
        if width_ns >= unit_ns:
            return f"{width_ns // unit_ns} {unit}"
    return f"{width_ns // 1_000_000} ms"


def _exposure(document: Document, named: dict[str, Table]) -> str:
    desks = _chart_desks(document)
    all_count = len(document["exposure"]["desks"])
    charts = "".join(
        _chart(desk, "", "", chart="exposure", desk=desk) for desk in desks[:CHARTS_SHOWN_MAX]
    )
    chosen = ""
    if len(desks) > CHARTS_SHOWN_MAX:
        options = "".join(f"<option>{_text(desk)}</option>" for desk in sorted(desks))
        chosen = (
            f'<p class="choose"><label for="desk">Another desk</label><select id="desk">{options}'
            f"</select></p>\n{_chart('The desk chosen', '', '', chart='chosen')}"
        )
    shown = f"the {len(desks)} of {count(all_count)} desks that used most have a chart; "
    note = (
        f'<p class="note">In {_text(document["currency"])}: '
        f"{shown if len(desks) < all_count else ''}"
        "held at its peak in each "
        f"{_width(document['exposure']['bucket_width_ns'])}, and held and spent together, against "
        "cap and budget where these are near.</p>\n"
    )
    return f'{note}<div class="charts">{charts}</div>\n{chosen}' + _table(named["exposure"])


def _latency(document: Document, named: dict[str, Table]) -> str:
    latency = document["latency"]
    charts = ""
    for kind, title, what, fields in (
        ("orders", "Sent to received", "orders", latency["orders"]),
        ("fills", "Executed to received", "fills", latency["fills"]),
        ("batches", "Records in a batch", "batches", document["batches"]),
    ):
        if fields["count"]:
            of = f"{count(fields['count'])} {what}"
            charts += _chart(title, of, "", chart=kind, name=what)
    return f'<div class="charts">{charts}</div>\n{_table(named["latency"])}'


def _proof(document: Document, named: dict[str, Table]) -> str:
    return (
        _table(named["proof"], is_mono=True)
        + '<p class="note">Compare the head with an anchor kept elsewhere. The same log gives the '
        "same report on any machine: pretrade-guard replay LOG_DIR --key-file FILE --json has all "
        "of it.</p>\n"
    )


def _table(table: Table, bar_column: int | None = None, is_mono: bool = False) -> str:
    """A table, its heading a caption; `bar_column` holds per cents, and shows them as bars too."""
    headings = "".join(
        f'<th scope="col"{" class=num" if is_figure else ""}>{_text(name)}</th>'
        for name, is_figure in table.headings
    )
    rows = []
    for row in table.rows[:ROWS_MAX]:
        cells = []
        for at, (cell, (name, is_figure)) in enumerate(zip(row, table.headings, strict=True)):
            kind = "num" if is_figure else "mono" if is_mono else _CELL_KINDS.get(name, "")
            attribute = f' class="{kind}"' if kind and at else ""
            bar = _bar(cell) if at == bar_column else ""
            tag, scope = ("th", ' scope="row"') if at == 0 else ("td", "")
            cells.append(f"<{tag}{scope}{attribute}>{_text(cell)}{bar}</{tag}>")
        rows.append(f"<tr>{''.join(cells)}</tr>\n")
    more = len(table.rows) - ROWS_MAX
    notes = [f"{count(more)} more rows are in --json."] if more > 0 else []
    notes += [table.note] if table.note else []
    body = f"<thead><tr>{headings}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>"
    if not table.rows:
        body = ""
        notes = notes or ["None."]
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(table.title)}">'
        f'<table id="t-{table.slug}"><caption>{_text(table.title)}</caption>\n{body}</table></div>'
        + "".join(f'<p class="note">{_text(note)}</p>' for note in notes)
        + "\n"
    )


def _bar(cell: str) -> str:
    share = cell.removesuffix(" %")
    return (
        '<svg class="bar" aria-hidden="true"><rect class="track" width="100%" height="100%"/>'
        f'<rect width="{_text(share)}%" height="100%"/></svg>'
    )
