"""The page in a real browser, headless Chromium: its charts are drawn, nothing else runs.

Skipped where no browser is installed (`apt-get install chromium`, or name one in
PRETRADE_GUARD_BROWSER): the browser is a tool of whoever works on the page, not of the product.
"""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from audit_support import audited
from guard.audit import chart_data, page
from guard.audit.page import render_page
from guard_day_support import trading_day
from page_support import HOSTILE, everything

BROWSER = os.environ.get("PRETRADE_GUARD_BROWSER") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser: install chromium to test the page"),
]
BROWSER_TIMEOUT_S = 90


def browse(tmp_path: Path, html: str, *options: str) -> str:
    """The page's document once its scripts have run."""
    file = tmp_path / "page.html"
    file.write_text(html, "utf-8")
    assert BROWSER is not None
    # No sandbox: tests may run as root, where Chromium's cannot be had. No way out but loopback.
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--proxy-server=127.0.0.1:9", "--virtual-time-budget=5000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", *options, file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=BROWSER_TIMEOUT_S,
        check=True,
    )
    return done.stdout


def root_of(dom: str) -> dict[str, str]:
    found = re.search(r"<html ([^>]*)>", dom)
    assert found is not None, dom[:200]
    return dict(re.findall(r'data-(\w+)="([^"]*)"', found.group(1)))


def test_every_chart_of_the_golden_day_is_drawn(tmp_path: Path) -> None:
    html = render_page(audited(trading_day().records), "log")
    dom = browse(tmp_path, html, "--dump-dom")
    drawn = html.count('class="plot"')
    assert drawn == 7  # over time, three desks, orders' and fills' latencies, batches
    assert root_of(dom) == {"charts": str(drawn), "errors": "0", "violations": "0"}
    assert dom.count("<canvas") == drawn


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    dom = browse(tmp_path, render_page(everything(), HOSTILE), "--dump-dom")
    assert "hacked" not in root_of(dom)
    assert root_of(dom)["violations"] == "0"
    assert "<title>hacked" not in dom
    assert "<img" not in dom


def test_a_script_that_slipped_through_would_not_run(tmp_path: Path) -> None:
    """The policy is real: put past the escaping by hand, a script is stopped and noticed."""
    html = render_page(everything(), "log")
    script = (
        "<script>document.documentElement.dataset.hacked=1</script><img src='http://x/'></main>"
    )
    dom = browse(tmp_path, html.replace("</main>", script), "--dump-dom")
    assert "hacked" not in root_of(dom)
    without = re.sub(r"<meta http-equiv=[^>]*>", "", html.replace("</main>", script))
    assert root_of(browse(tmp_path, without, "--dump-dom"))["hacked"] == "1"  # it does run there


def test_desks_to_choose_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "CHARTS_SHOWN_MAX", 1)
    monkeypatch.setattr(chart_data, "CHARTS_SHOWN_MAX", 1)
    dom = browse(tmp_path, render_page(audited(trading_day().records), "log"), "--dump-dom")
    assert root_of(dom) == {"charts": "6", "errors": "0", "violations": "0"}
    assert 'id="desk"' in dom


def test_the_line_of_a_lifted_cap_goes_up_to_where_it_was_lifted(tmp_path: Path) -> None:
    script = Path(page.__file__).with_name("assets").joinpath("charts.js").read_text()
    found = re.search(r"\n  function limitOf.*?\n  }\n", script, re.DOTALL)
    assert found is not None
    # Bucket start in ns, then the cap at 1: 5 units until it is lifted at 9 s, 7 from 12 s on.
    rows = "[[2e9, 5e8], [3e9, 5e8], [9e9, null], [10e9, null], [12e9, 7e8]]"
    call = f"document.documentElement.dataset.line = JSON.stringify(limitOf({rows}, 1e9, 12e9, 1))"
    dom = browse(tmp_path, f"<script>const UNIT = 1e8;{found[0]}{call}</script>", "--dump-dom")
    assert json.loads(unescape(root_of(dom)["line"])) == [
        [2, 3, 9 - 1e-6, 9, 10, 12, 13],
        [5, 5, 5, None, None, 7, 7],
    ]


IN_FRAME = ("--dump-dom", "--hide-scrollbars", "--allow-file-access-from-files")
MEASURE = """
const page = document.querySelector("iframe").contentDocument;
const out = { wide: page.documentElement.scrollWidth, hidden: [], broken: [] };
for (const cell of page.querySelectorAll("td.num")) {
  const range = page.createRange();
  range.selectNodeContents(cell);
  const tops = [...range.getClientRects()].filter((box) => box.width).map((box) => box.top);
  if (!cell.querySelector("svg") && new Set(tops.map(Math.round)).size > 1) {
    out.broken.push(cell.textContent);
  }
}
for (const id of ["t-reasons", "t-admits", "t-stages", "t-by-desk"]) {
  const cell = page.querySelector(`#${id} td.num`);
  if (cell.getBoundingClientRect().right > page.defaultView.innerWidth) out.hidden.push(id);
}
document.documentElement.dataset.measured = JSON.stringify(out);
"""


@pytest.mark.parametrize("width", [400, 700, 1200])
def test_numbers_are_whole_and_counts_are_seen_on_a_narrow_screen(
    tmp_path: Path, width: int
) -> None:
    (tmp_path / "framed.html").write_text(render_page(audited(trading_day().records), "log"))
    frame = f'<iframe src="framed.html" width="{width}" height="4000"></iframe>'
    script = f"<script>onload = () => {{ {MEASURE} }}</script>"
    dom = browse(tmp_path, frame + script, *IN_FRAME)
    measured = json.loads(unescape(root_of(dom)["measured"]))
    assert measured == {"wide": width, "hidden": [], "broken": []}


def test_exact_amounts_are_shown_where_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "framed.html").write_text(render_page(audited(trading_day().records), "log"))
    script = """<script>onload = () => {
      const page = document.querySelector("iframe").contentDocument;
      const cell = page.querySelector("#t-conservation tbody tr:nth-child(2) td.num");
      const before = cell.innerText;
      page.getElementById("exact").click();
      document.documentElement.dataset.measured = JSON.stringify([before, cell.innerText]);
    }</script>"""
    frame = '<iframe src="framed.html" width="1200" height="4000"></iframe>'
    dom = browse(tmp_path, frame + script, "--dump-dom", "--allow-file-access-from-files")
    assert json.loads(unescape(root_of(dom)["measured"])) == ["500,000.00", "500,000.00000005"]


def test_a_busy_day_prints_on_a_few_sheets(tmp_path: Path) -> None:
    document = audited(trading_day().records)
    rows = [[at * 10**9, 10**12, 10**12, 10**12, 0, 10**15, None] for at in range(1_400)]
    for line in document["exposure"]["desks"].values():
        line["rows"] = rows  # what stands behind a chart
    html = render_page(document, "log")
    browse(tmp_path, html, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    pages = len(re.findall(rb"/Type\s*/Page[^s]", (tmp_path / "page.pdf").read_bytes()))
    assert 2 <= pages <= 9  # with its rows it is above fifty


def test_pictures_light_and_dark_and_paper(tmp_path: Path) -> None:
    html = render_page(audited(trading_day().records), "log")
    pictures: dict[str, Any] = {}
    for name, options in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        picture = tmp_path / f"{name}.png"
        browse(tmp_path, html, f"--screenshot={picture}", "--window-size=1000,1400", *options)
        pictures[name] = picture.read_bytes()
        assert pictures[name].startswith(b"\x89PNG")
    assert pictures["light"] != pictures["dark"]
    browse(tmp_path, html, f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
