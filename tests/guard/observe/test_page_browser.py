"""The page of a running guard in a real browser: it lives, it is safe, it fits, it can be read.

Skipped where no browser is installed, as the tests of the report's page are.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra observe")

from browser_support import BROWSER, Browser, Tab
from daemon_support import Site, config_text
from guard.admin.messages import Halt
from guard.client.admin import AdminClient
from observe_support import Observer, observing
from protocol_client import ProtocolClient, order

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser: install chromium to test the page"),
]
HOSTILE = "<img/src=x/onerror=document.title='hacked'>"
DESKS = {
    "desk-alpha": ("20000.00", "none"),
    "desk-beta": ("500000.00", "19001.00"),
    **{f"desk-{number:03}": ("1000.00", "none") for number in range(60)},
}
LIMITS = (
    '[limits]\nquantity_max = "none"\nvalue_max = "none"\nprice_collar_bps = "none"\n'
    "open_orders_max = 40\n[limits.desk.desk-beta]\nopen_orders_max = 4\n\n"
)
READY = "document.documentElement.dataset.looks > 1 && document.querySelector('#exposures canvas')"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Observer, Any]]:
    """A daemon that has traded, with 62 desks, and its observer."""
    config = config_text(desks=DESKS).replace("[settings]", f"{LIMITS}[settings]")
    site = Site(tmp_path_factory.mktemp("watched"), config)
    with (
        site.running() as daemon,
        observing(site.log) as observer,
        ProtocolClient(daemon.endpoint) as client,
    ):
        observer.wait_until(lambda: observer.data("/data/desks"))
        client.ask(order("A-1"))
        client.ask(order("A-2"))
        client.ask(order("B-1", desk="desk-beta"))
        client.ask(order("B-2", desk="desk-beta"))
        client.ask(order(HOSTILE, symbol="none"))
        observer.wait_until(lambda: observer.data("/data/desks")[0]["desk"] == "desk-beta")
        observer.wait_until(lambda: len(observer.data("/data/now")["rejects"]) == 3)
        yield site, observer, client


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def opened(browser: Browser, observer: Observer, width: int = 1_200) -> Tab:
    tab = browser.open(observer.address, width)
    tab.wait_for(READY)
    return tab


def is_clean(tab: Tab) -> bool:
    found = json.loads(tab.ask("JSON.stringify(document.documentElement.dataset)"))
    return (found["errors"], found["violations"]) == ("0", "0")


def texts(tab: Tab, selector: str) -> list[str]:
    found: list[str] = tab.ask(
        f"[...document.querySelectorAll({selector!r})].map((one) => one.textContent)"
    )
    return found


def test_the_page_shows_what_there_is_and_goes_on(
    browser: Browser, watched: tuple[Site, Observer, Any]
) -> None:
    _site, observer, client = watched
    tab = opened(browser, observer)
    assert tab.ask("document.getElementById('state').textContent") == "ready"
    assert tab.ask("document.title") == "Pretrade Guard"
    assert texts(tab, "#troubles li") == ["All is well."]
    heads = texts(tab, "#desk-table tbody th")
    assert heads[:2] == ["desk-beta", "desk-alpha"]  # of its cap, of its budget: who uses most
    assert len(heads) == 40
    why_not = texts(tab, "#reject-table tbody td:nth-child(3)")
    assert why_not[:2] == [
        "no such symbol",
        "above the desk's exposure cap: 19,000.00 asked, 1.00 left",
    ]
    tab.wait_for("document.querySelector('#limit-table tbody').textContent.includes('25.0 %')")
    row = texts(tab, "#limit-table tbody tr > *")
    assert row == ["open orders max", "desk desk-beta", "–", "25.0 %", "1", "4"]
    tab.wait_for("document.querySelectorAll('#open-table tbody tr').length === 2")
    client.ask(order("A-3", symbol="none"))
    tab.wait_for("document.querySelector('#reject-table tbody').textContent.includes('A-3')")
    assert is_clean(tab)
    tab.close()


def test_hostile_text_stays_text(browser: Browser, watched: tuple[Site, Observer, Any]) -> None:
    tab = opened(browser, watched[1])
    tab.wait_for("document.querySelector('#reject-table tbody').textContent.includes('onerror')")
    assert tab.ask("document.querySelectorAll('img').length") == 0
    assert "hacked" not in tab.ask("document.title")
    script = "Object.assign(document.createElement('script'), {textContent: 'window.hacked = 1'})"
    tab.ask(f"document.body.append({script})")  # what slipped through would not run
    assert tab.ask("window.hacked") is None
    assert tab.ask("document.documentElement.dataset.violations") == "1"
    tab.close()


def test_desks_are_found_by_name_and_one_is_chosen(
    browser: Browser, watched: tuple[Site, Observer, Any]
) -> None:
    tab = opened(browser, watched[1])
    typed = "const box = document.getElementById('filter'); box.value = 'desk-05';"
    tab.ask(f"{{ {typed} box.dispatchEvent(new Event('input')); }}")
    assert texts(tab, "#desk-table tbody th") == [f"desk-05{digit}" for digit in range(10)]
    assert texts(tab, "#desk-count") == ["10 of 62 desks"]
    chosen = "const list = document.getElementById('desk'); list.value = 'desk-059';"
    tab.ask(f"{{ {chosen} list.dispatchEvent(new Event('change')); }}")
    tab.wait_for("document.querySelector('#chosen-plot canvas')")
    minute = "document.querySelector('input[value=minute]').click()"
    tab.ask(minute)
    tab.wait_for("document.getElementById('flow-soft').textContent === 'a minute'")
    assert is_clean(tab)
    tab.close()


@pytest.mark.parametrize("width", [400, 700, 1_200])
def test_it_fits_and_is_another_picture_in_the_dark(
    browser: Browser, watched: tuple[Site, Observer, Any], tmp_path: Path, width: int
) -> None:
    tab = opened(browser, watched[1], width)
    assert tab.ask("document.documentElement.scrollWidth") == width
    light = tab.picture(tmp_path / "light.png", is_whole=False)
    tab.be_dark()
    tab.wait_for("getComputedStyle(document.body).backgroundColor === 'rgb(18, 24, 31)'")
    assert tab.picture(tmp_path / "dark.png", is_whole=False) != light
    assert is_clean(tab)
    tab.close()


def test_a_halt_is_an_alarm_with_what_to_do_and_a_dead_observer_is_said(
    browser: Browser, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    with site.running():
        with observing(site.log) as observer, AdminClient(f"ipc://{site.log}.admin") as admin:
            observer.wait_until(lambda: observer.data("/data/desks"))
            tab = opened(browser, observer)
            admin.ask(Halt(scope="desk", name="desk-beta", action_id="h", why="it loops"))
            tab.wait_for("document.getElementById('state').textContent === 'ready, with alarms'")
            [said] = texts(tab, "#troubles li")
            assert "desk-beta" in said
            assert "admin resume" in said
            tab.wait_for(
                "document.querySelector('#halt-table tbody').textContent.includes('loops')"
            )
            row = texts(tab, "#halt-table tbody td")
            assert row[:2] == ["entries stopped", "desk desk-beta"]
            assert row[3] == "it loops"
        state = "document.getElementById('state').textContent"
        tab.wait_for(f"{state} === 'the observer does not answer'")
        tab.close()
