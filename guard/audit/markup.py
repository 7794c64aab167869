"""Text and tables as HTML that whatever a log holds cannot break out of. Pure.

Owns the escaping, the form of a table, and the page's content security policy: nothing may be
fetched, and only scripts and styles named by their SHA-256 run.
"""

import base64
import hashlib
import json
from html import escape
from typing import Any, Final

from guard.audit.formats import WHOLE_SHARE, Spark, count, printable, share, shortened
from guard.audit.table import Table

# What a person would look at, and a browser would not choke on; --json has all.
ROWS_MAX: Final = 500

SPARK_HEIGHT: Final = 10  # in units of its own

_CELL_KINDS: Final = {
    "digest": "mono",
    "value": "long",
    **dict.fromkeys(
        ("desk", "order", "symbol", "from, UTC", "at, UTC", "limit", "said by", "used by"), "name"
    ),
}


def content_policy(scripts: list[str], styles: list[str]) -> str:
    """The `Content-Security-Policy` of a page with just these scripts and styles."""

    def hashes(texts: list[str]) -> str:
        digests = (hashlib.sha256(text.encode()).digest() for text in texts)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )


def escaped(text: str) -> str:
    """Text for an element or an attribute; what is not printable is shown escaped."""
    return escape(printable(text), quote=True)


def embedded_json(value: Any) -> str:
    """JSON that cannot end the element it stands in, nor begin a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def table_html(
    table: Table,
    bar_column: int | None = None,
    is_mono: bool = False,
    has_id: bool = False,
    is_exact: bool = False,
) -> str:
    """A table, its heading a caption; `bar_column` holds per cents, and shows them as bars too.

    `has_id`: it may be pointed at by its slug, which then must be the page's only one. `is_exact`:
    amounts are shown with all decimals, not only where the reader asks for them.
    """
    headings = "".join(
        f'<th scope="col"{" class=num" if is_figure else ""}>{escaped(name)}</th>'
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
            text = escaped(cell) if is_exact else _amount(cell)
            cells.append(f"<{tag}{scope}{attribute}>{text}{bar}</{tag}>")
        rows.append(f"<tr>{''.join(cells)}</tr>\n")
    more = len(table.rows) - ROWS_MAX
    notes = [f"{count(more)} more rows are in --json."] if more > 0 else []
    notes += [table.note] if table.note else []
    body = f"<thead><tr>{headings}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>"
    if not table.rows:
        body = ""
        notes = notes or ["None."]
    name = f' id="t-{table.slug}"' if has_id else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(table.title)}">'
        f"<table{name}><caption>{escaped(table.title)}</caption>\n{body}</table></div>"
        + "".join(f'<p class="note">{escaped(note)}</p>' for note in notes)
        + "\n"
    )


def _amount(cell: str) -> str:
    """An amount in two decimals, and exactly for who asks for that (`page.css`); else the text."""
    if isinstance(cell, Spark):
        return _spark(cell)
    short = shortened(cell)
    if short == cell:
        return escaped(cell)
    return f'<span class="short">{escaped(short)}</span><span class="exact">{escaped(cell)}</span>'


def _spark(cell: Spark) -> str:
    """The course as a small picture: its whole is the upper line, what is beyond ends there."""
    heights = [min(point, WHOLE_SHARE) * SPARK_HEIGHT / WHOLE_SHARE for point in cell.points]
    steps = "".join(f"V{SPARK_HEIGHT - height:g}h1" for height in heights)
    words = f"from {_percent(cell.points[0])} to {_percent(cell.points[-1])}, at most "
    words += _percent(max(cell.points))
    return (
        f'<svg class="spark" viewBox="0 -1 {len(heights)} {SPARK_HEIGHT + 1}" '
        f'preserveAspectRatio="none" role="img" aria-label="{escaped(words)}">'
        f'<path class="whole" d="M0 0h{len(heights)}"/>'
        f'<path d="M0 {SPARK_HEIGHT}{steps}V{SPARK_HEIGHT}z"/></svg>'
    )


def _percent(millionths: int) -> str:
    return share(millionths, WHOLE_SHARE)


def _bar(cell: str) -> str:
    share = cell.removesuffix(" %").lstrip("<>").replace(",", "")
    return (
        '<svg class="bar" aria-hidden="true"><rect class="track" width="100%" height="100%"/>'
        f'<rect width="{escaped(share)}%" height="100%"/></svg>'
    )
