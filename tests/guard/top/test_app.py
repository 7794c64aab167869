"""The terminal application, driven by its own pilot, beside a real daemon."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("textual", reason="needs textual (the extra top)")

from textual.widgets import DataTable, Input, Static

from daemon_support import Daemon, Site, config_text
from guard import clock
from guard.client.admin import AdminClient
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from guard.observe.asking import Asker
from guard.observe.log_files import LogFiles
from guard.top.app import Reason, Top
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, order

SIZE = (80, 30)
MANY = {f"desk-{number:03}": ("1000.00", "none") for number in range(40)}


def top_of(site: Site) -> tuple[Top, Asker]:
    endpoint = admin_endpoint(BESIDE_LOG, str(site.log)) or ""
    asker = Asker(AdminClient(endpoint, timeout_s=2.0))
    return Top(asker, LogFiles(), clock.system_ns, endpoint), asker


def text_of(app: Top, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).render())


def names_of(app: Top) -> list[str]:
    table = app.query_one(DataTable)
    return [str(table.get_row_at(at)[0]) for at in range(table.row_count)]


async def until(pilot: Any, app: Top, holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, app.picture.now(clock.system_ns())
        await pilot.pause(0.02)
        app.refresh_picture()


async def test_a_desk_is_watched_filtered_halted_and_resumed(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(desks={**MANY, "desk-alpha": ("2000000.00", "none")}))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        client.ask(order("A-2", symbol="NONE"))
        app, asker = top_of(site)
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, app, lambda: names_of(app) and "A-2" in text_of(app, "rejects"))
            assert "serving" in text_of(app, "title")
            await until(pilot, app, lambda: "orders/s" in text_of(app, "figures"))
            assert (names_of(app)[0], len(names_of(app))) == ("desk-alpha", 41)
            await pilot.press("slash", *"k-01")
            await until(pilot, app, lambda: len(names_of(app)) == 10)
            await pilot.press("escape")
            await until(pilot, app, lambda: len(names_of(app)) == 41)
            app.query_one(DataTable).move_cursor(row=0)
            await halt_desk(app, pilot, client)
            await pilot.press("r", *"ok", "enter")
            await until(pilot, app, lambda: "halted -> active" in text_of(app, "said"))
            assert client.ask(order("A-4"))["type"] == "admit"
            await leave_and_lose(app, pilot, daemon)
        asker.close()
    halted, resumed = site.events()[-3], site.events()[-2]
    assert (halted, resumed) == ("trading_resumed", "order")


async def halt_desk(app: Top, pilot: Any, client: ProtocolClient) -> None:
    await pilot.press("h")
    assert isinstance(app.screen, Reason)
    await pilot.press("enter")  # without a reason nothing is done
    assert isinstance(app.screen, Reason)
    await pilot.press("escape")
    assert text_of(app, "said") == "nothing was done"
    assert client.ask(order("A-3"))["type"] == "admit"
    await pilot.press("h", *"why", "enter")
    await until(pilot, app, lambda: "active -> halted" in text_of(app, "said"))
    await until(pilot, app, lambda: "desk-alpha" in text_of(app, "alarms"))
    row = app.query_one(DataTable).get_row_at(0)
    assert [str(cell) for cell in row][:2] == ["desk-alpha", "halted"]
    assert client.ask(order("A-5"))["reason"] == "desk_halted"


async def leave_and_lose(app: Top, pilot: Any, daemon: Daemon) -> None:
    assert await asyncio.to_thread(daemon.stop) == 0
    await until(pilot, app, lambda: "no answer within" in text_of(app, "alarms"))
    await pilot.press("h", *"gone", "enter")
    await until(pilot, app, lambda: "is not known" in text_of(app, "said"))
    assert app.query_one("#filter", Input).value == ""
    await pilot.press("q")
