"""The page: on its own, escaped whatever the log holds, and allowed to run nothing but its own."""

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pytest

from audit_support import audited
from guard.audit import chart_data, markup, page
from guard.audit.audit import Audit
from guard.audit.chart_data import bars_of
from guard.audit.markup import embedded_json
from guard.audit.overrides import Overrides
from guard.audit.page import render_page
from guard.audit.tables import figures, tables
from guard.config.file import DeskTerms
from guard_day_support import trading_day
from guard_support import LoggedEngine
from page_support import HOSTILE, everything

DAY = trading_day().records
ASSETS = resources.files("guard.audit") / "assets"
VOID = {"meta", "rect", "link", "img", "br", "input"}


class Page(HTMLParser):
    """The elements of a page, and the text of scripts and styles; tags must close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data


def test_the_page_is_well_formed_and_escapes_all_text() -> None:
    html = render_page(everything(), HOSTILE)
    parsed = Page(html)
    tags = [tag for tag, _ in parsed.elements]
    assert tags.count("script") == 4
    assert not {"img", "b", "a:b", "iframe", "object", "link", "base"} & set(tags)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert not any(name.startswith("on") for _, attrs in parsed.elements for name in attrs)
    assert not any("style" in attrs for _, attrs in parsed.elements)
    _check_ids(parsed)


def _check_ids(parsed: Page) -> None:
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    targets = {attrs["href"] for tag, attrs in parsed.elements if tag == "a"}
    assert targets <= {f"#{name}" for name in ids}


def test_an_id_that_was_used_again_is_explained_twice_under_names_of_their_own() -> None:
    html = render_page(audited(DAY, Audit("A-1", "desk-alpha")), "log")
    _check_ids(Page(html))
    assert html.count("<h3>Order A-1 of desk-alpha</h3>") == 2


def test_nothing_is_fetched_and_only_its_own_runs() -> None:
    html = render_page(everything(), "log")
    parsed = Page(html)
    assert not any({"src", "srcset", "data"} & attrs.keys() for _, attrs in parsed.elements)
    (policy,) = [
        attrs["content"] or ""
        for tag, attrs in parsed.elements
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert (rules["base-uri"], rules["form-action"]) == ("'none'", "'none'")

    def hashed(texts: list[str]) -> list[str]:
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    data, *scripts = parsed.texts["script"]
    assert rules["script-src"].split() == hashed(scripts)
    assert rules["style-src"].split() == hashed(parsed.texts["style"])
    assert "unsafe" not in policy
    assert json.loads(data)["currency"] == "USD"


def test_the_data_of_the_charts_cannot_end_their_element() -> None:
    hostile = {"</script>": ["<!--", "&", "]]>", "\u2028"]}
    text = embedded_json(hostile)
    assert not set(text) & set("<>&\u2028")
    assert json.loads(text) == hostile


def test_every_figure_and_table_is_in_the_page() -> None:
    document = audited(DAY)
    html = render_page(document, "log")
    for name, value, _ in figures(document):
        assert f"<dt>{name}</dt>" in html
        assert f">{value}</dd>" in html
    for table in tables(document):
        assert html.count(f'<table id="t-{table.slug}">') == 1
    assert document["head_hash"] in html
    assert html.index('id="figures"') < html.index('id="decisions"') < html.index('id="proof"')


def test_many_desks_and_bars_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "CHARTS_SHOWN_MAX", 1)
    monkeypatch.setattr(chart_data, "CHARTS_SHOWN_MAX", 1)
    monkeypatch.setattr(chart_data, "CHARTS_CHOSEN_MAX", 2)
    monkeypatch.setattr(markup, "ROWS_MAX", 2)
    document = audited(DAY)
    html = render_page(document, "log")
    parsed = Page(html)
    data = json.loads(parsed.texts["script"][0])
    assert list(data["exposure"]["desks"]) == ["desk-alpha", "desk-beta"]
    assert html.count('data-chart="exposure"') == 1
    assert html.count("<option>") == 2
    assert "the 2 of 3 desks that used most have a chart" in html
    assert "1 more rows are in --json." in html
    document["timeline"]["rows"] = [[at * 60 * 10**9, 1, 2, 0, 0, 3, 0] for at in range(1_440)]
    document["timeline"]["bucket_width_ns"] = 60 * 10**9
    width_ns, rows = bars_of(document)
    assert (width_ns, len(rows)) == (900 * 10**9, 96)
    assert rows[1] == [900 * 10**9, 15, 30, 0, 0, 45, 0]


def test_the_desks_that_other_rules_move_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_data, "CHARTS_SHOWN_MAX", 1)
    document = audited(DAY)
    assert chart_data.chart_desks(document) == ["desk-alpha", "desk-beta", "desk-gamma"]
    overrides = Overrides(desks={"desk-beta": DeskTerms("desk-beta", 1, None)})
    document = audited(DAY, Audit(overrides=overrides))
    assert chart_data.chart_desks(document) == ["desk-beta", "desk-alpha", "desk-gamma"]


def test_a_day_without_orders_has_a_page() -> None:
    html = render_page(audited(LoggedEngine().records), "log")
    Page(html)
    assert 'data-chart="timeline"' not in html


PINNED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.mark.parametrize("name", PINNED)
def test_the_library_is_the_released_one(name: str) -> None:
    text = (ASSETS / name).read_bytes()
    assert hashlib.sha256(text).hexdigest() == PINNED[name]
    assert PINNED[name] in (ASSETS / "README.md").read_text("utf-8")


def test_the_library_goes_with_its_licence() -> None:
    licence = (ASSETS / "uPlot.LICENSE.txt").read_text("utf-8")
    assert licence.startswith("The MIT License (MIT)")
    assert licence.strip() in render_page(audited(DAY), "log")


def test_a_page_of_ten_thousand_desks_is_bounded() -> None:
    document = audited(DAY)
    line = document["ledger"]["desks"][0]
    curve = document["exposure"]["desks"]["desk-alpha"] | {"rows": [[0, 1, 1, 1, 0, 9, 9]] * 400}
    names = [f"desk-{number}" for number in range(10_000)]
    document["ledger"]["desks"] = [line | {"desk": name} for name in names]
    document["exposure"]["desks"] = dict.fromkeys(names, curve)
    started_ns = time.process_time_ns()
    html = render_page(document, "log")
    print(f"{len(html):,} bytes in {(time.process_time_ns() - started_ns) / 1e6:.0f} ms")
    assert len(html) < 4_000_000


def test_scripts_and_styles_hold_nothing_that_ends_them() -> None:
    for file in ("page.js", "charts.js", "uPlot.iife.min.js", "page.css", "uPlot.min.css"):
        text = (ASSETS / file).read_text("utf-8")
        assert not re.search(r"</(script|style)|<!--", text, re.IGNORECASE)
        assert "\r" not in text
    for ours in ("page.js", "charts.js"):
        assert not re.search(r"https?://", (ASSETS / ours).read_text("utf-8"))
    assert Path(str(ASSETS)).is_dir()
