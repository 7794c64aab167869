"""The report as one page that stands on its own: figures first, then charts with tables behind.

Owns the page's order, its words and its safety. All text out of a log is escaped; what the charts
draw is embedded as JSON that cannot end its element; and the page's policy (a `meta`, since there
is no server to say it) lets nothing be fetched from anywhere and runs the page's own scripts and
styles alone, named by their SHA-256: whatever slipped through would not run.

How it works: figures and tables are in the page as they are, for screen readers, paper and readers
without scripts; `assets/page.js` has `charts.js` draw pictures beside them, with the library that
`assets/README.md` gives origin and licence of. Amounts in tables are exact; pictures round.

A document of `guard.audit.report` has all that it asks for.
"""

from importlib import resources
from typing import Final

from guard import __version__
from guard.audit.asked_tables import what_if_tables
from guard.audit.chart_data import (
    CHARTS_SHOWN_MAX,
    bars_of,
    chart_data,
    chart_desks,
    chart_limits,
    chart_positions,
)
from guard.audit.explain_tables import explanation_tables, explanation_title
from guard.audit.formats import count, time
from guard.audit.limit_tables import limit_course, limit_title
from guard.audit.markup import content_policy, embedded_json, escaped, table_html
from guard.audit.table import Document, Table
from guard.audit.tables import (
    desk_exposure,
    figures,
    position_course,
    tables,
)

PLACES: Final = ("by-desk", "by-symbol", "by-venue", "executions")

_ASSETS: Final = resources.files("guard.audit") / "assets"


def render_page(document: Document, source: str) -> str:
    """The page's HTML, whole. `source` is what the log is called."""
    scripts = [*chart_scripts(), asset("page.js")]
    styles = page_styles()
    title = f"Replay of {document['log_id']}, head {document['head_sequence']}"
    policy = content_policy(scripts, styles)
    data = embedded_json(chart_data(document))
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        '<meta name="color-scheme" content="light dark">\n',
        f"<title>{escaped(title)}</title>\n",
        *(f"<style>{style}</style>\n" for style in styles),
        "</head>\n<body>\n",
        *_body(document, source),
        f'<script type="application/json" id="data">{data}</script>\n',
        *(f"<script>{script}</script>\n" for script in scripts),
        "</body>\n</html>\n",
    ]
    return "".join(parts)


def asset(name: str) -> str:
    """A file of those that pages are made of."""
    return (_ASSETS / name).read_text("utf-8")


def chart_scripts() -> list[str]:
    """What draws the charts of a page: the library with its licence, and ours upon it."""
    licence = asset("uPlot.LICENSE.txt").strip()
    return [f"/*!\n{licence}\n*/\n{asset('uPlot.iife.min.js')}", asset("charts.js")]


def page_styles() -> list[str]:
    """How a page looks."""
    return [asset("uPlot.min.css"), asset("page.css")]


def _body(document: Document, source: str) -> list[str]:
    named = {table.slug: table for table in tables(document)}
    sections = [("figures", "Figures", _figures(document))]
    for number, explanation in enumerate(document.get("explanations", ()), 1):
        shown = explanation_tables(explanation, document["currency"])
        made = [table_html(table, is_exact=True) for table in shown]
        above = made[:1] if explanation.get("remedies") else []  # as wide as its sentences
        account = "".join(above) + _side_by_side(made[len(above) :])
        title, sentence = explanation_title(explanation), explanation["sentence"]
        html = (
            f'<div class="account"><h3>{escaped(title)}</h3>'
            f'<p class="sentence">{escaped(sentence)}</p>{account}</div>'
        )
        sections.append((f"order-{number}", "The order", html))
    if "what_if" in document:
        shown = what_if_tables(document["what_if"], document["currency"])
        html = _side_by_side([table_html(table) for table in shown])
        sections.append(("what-if", "What if", html))
    sections += [
        ("decisions", "Decisions", _decisions(document, named)),
        ("exposure", "Exposure", _exposure(document, named)),
        ("positions", "Positions", _positions(document, named)),
        ("limits", "Limits", _limits(document, named)),
        ("breaches", "Breaches", _shown(named, "breaches", "suspects")),
        ("ledger", "Conservation", _shown(named, "conservation")),
        ("where", "Desks, symbols, venues", _shown(named, *PLACES)),
        ("latency", "Latency and batches", _latency(document, named)),
        ("rules", "Policies", _shown(named, "policies", "policy-venues")),
        ("events", "Sessions, halts and changes", _shown(named, "administrative")),
        ("proof", "Proof", _proof(document, named)),
    ]  # fmt: skip
    links = "".join(f'<li><a href="#{slug}">{escaped(name)}</a></li>' for slug, name, _ in sections)
    return [
        '<a class="skip" href="#figures">To the figures</a>\n',
        _header(document, source),
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n',
        '<input type="checkbox" id="exact">'
        '<label for="exact" class="choose">Exact amounts</label>\n',
        "<main>\n",
        *(
            f'<section id="{slug}" aria-labelledby="{slug}-h">'
            f'<h2 id="{slug}-h">{escaped(name)}</h2>\n{html}</section>\n'
            for slug, name, html in sections
        ),
        "</main>\n",
        f"<footer><p>Made by pretrade-guard {escaped(__version__)} from the log alone. This page "
        "fetches nothing. Charts: uPlot, MIT licence (in the source of this page). Amounts in "
        "tables are rounded to two decimals, and exact where that is asked for at the top; charts "
        "round.</p></footer>\n",
    ]


def _shown(named: dict[str, Table], *slugs: str) -> str:
    return "".join(table_html(named[slug], has_id=True) for slug in slugs)


def _side_by_side(shown: list[str]) -> str:
    """The first two next to each other where there is room, the others below."""
    return f'<div class="pair"><div>{"</div><div>".join(shown[:2])}</div></div>{"".join(shown[2:])}'


def _width(width_ns: int) -> str:
    for unit_ns, unit in ((3_600_000_000_000, "h"), (60_000_000_000, "min"), (10**9, "s")):
        if width_ns >= unit_ns:
            return f"{width_ns // unit_ns} {unit}"
    return f"{width_ns // 1_000_000} ms"


def _header(document: Document, source: str) -> str:
    span = document["range"]
    begins_after = document["begins_after_sequence"]
    behind = (
        f" behind the checkpoint of record {count(begins_after)}, whose state is taken as it is,"
        if begins_after
        else ""
    )
    return (
        "<header><h1>Pretrade Guard: replay of a day</h1>\n"
        f'<p class="soft"><span class="mono">{escaped(source)}</span>, '
        f"{time(span['first_received_at_ns'])} to {time(span['last_received_at_ns'])} UTC</p>\n"
        '<p><span class="verdict">Proved.</span> '
        f"All {count(document['records'])} records{behind} chain, "
        f"all {count(document['decisions'])} decisions were made again and came out byte for byte "
        "the same, and every desk's ledger adds up after every record.</p></header>\n"
    )


def _figures(document: Document) -> str:
    cards = "".join(
        f'<div><dt>{escaped(name)}</dt><dd class="value'
        f'{" good" if value in ("proved", "balanced") else ""}">{escaped(value)}</dd>'
        f'<dd class="beside">{escaped(beside)}</dd></div>\n'
        for name, value, beside in figures(document)
    )
    return f'<dl class="figures">{cards}</dl>\n'


def _chart(title: str, soft: str, table: str, **data: str) -> str:
    """A picture with its title, and the table that says the same behind it."""
    fields = " ".join(f'data-{name}="{escaped(value)}"' for name, value in data.items())
    beside = f' <span class="soft">{escaped(soft)}</span>' if soft else ""
    return (
        f"<figure><figcaption>{escaped(title)}{beside}</figcaption>\n"
        f'<div class="plot" role="img" aria-label="{escaped(f"Chart: {title}. {soft}")}" {fields}>'
        f"</div>\n{table}</figure>\n"
    )


def _behind(table: Table, words: str = "As a table") -> str:
    return f"<details><summary>{escaped(words)}</summary>\n{table_html(table)}</details>\n"


def _decisions(document: Document, named: dict[str, Table]) -> str:
    width_ns, bars = bars_of(document)
    names = document["timeline"]["columns"][1:]
    columns = ("from, UTC", *(f"#{name.replace('_', ': ')}" for name in names))
    rows = [(time(start_ns), *map(count, counts)) for start_ns, *counts in bars]
    table = Table("timeline", "Decisions over time", columns, rows)
    chart = ""
    if rows:
        width = f"a bar is {_width(width_ns)}"
        chart = _chart("Decisions over time", width, _behind(table), chart="timeline")
    beside = [
        table_html(named["admits"], bar_column=2, has_id=True),
        table_html(named["stages"], bar_column=2, has_id=True),
    ]
    return chart + table_html(named["reasons"], bar_column=2, has_id=True) + _side_by_side(beside)


def _exposure(document: Document, named: dict[str, Table]) -> str:
    desks = chart_desks(document)
    all_count = len(document["exposure"]["desks"])
    charts = "".join(
        _chart(desk, "", _behind(desk_exposure(document, desk)), chart="exposure", desk=desk)
        for desk in desks[:CHARTS_SHOWN_MAX]
    )
    chosen = ""
    if len(desks) > CHARTS_SHOWN_MAX:
        options = "".join(f"<option>{escaped(desk)}</option>" for desk in sorted(desks))
        chosen = (
            f'<p class="choose"><label for="desk">Another desk</label><select id="desk">{options}'
            f"</select></p>\n{_chart('The desk chosen', '', '', chart='chosen')}"
        )
    shown = f"the {len(desks)} of {count(all_count)} desks that used most have a chart; "
    note = (
        f'<p class="note">In {escaped(document["currency"])}: '
        f"{shown if len(desks) < all_count else ''}"
        "held at its peak in each "
        f"{_width(document['exposure']['bucket_width_ns'])}, and held and spent together, against "
        "cap and budget where these are near.</p>\n"
    )
    return f'{note}<div class="charts">{charts}</div>\n{chosen}' + table_html(
        named["exposure"], has_id=True
    )


def _positions(document: Document, named: dict[str, Table]) -> str:
    """The positions at the end, and the course of the most telling."""
    table = named["positions"]
    if not table.rows:
        return '<p class="note">Nothing was filled that counts in a position.</p>\n'
    charts = "".join(
        _chart(
            f"{line['desk']} in {line['symbol']}",
            "position, and its profit",
            _behind(position_course(line)),
            chart="position",
            course=str(number),
        )
        for number, line in enumerate(chart_positions(document))
    )
    return f'<div class="charts">{charts}</div>\n{table_html(table, has_id=True)}'


def _limits(document: Document, named: dict[str, Table]) -> str:
    """The use of each limit, and the course of those of which the most was used."""
    charts = "".join(
        _chart(
            limit_title(line),
            "used, of its bound",
            _behind(limit_course(line)),
            chart="limit",
            course=str(number),
        )
        for number, line in enumerate(chart_limits(document))
    )
    shown = _shown(named, "limit-uses", "limit-changes")
    return f'<div class="charts">{charts}</div>\n{shown}'


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
    return f'<div class="charts">{charts}</div>\n{_shown(named, "latency")}'


def _proof(document: Document, named: dict[str, Table]) -> str:
    return (
        table_html(named["proof"], is_mono=True, has_id=True)
        + '<p class="note">Compare the head with an anchor kept elsewhere. The same log gives the '
        "same report on any machine: pretrade-guard replay LOG_DIR --key-file FILE --json has all "
        "of it.</p>\n"
    )
