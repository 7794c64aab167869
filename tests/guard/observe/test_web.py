"""What is answered over HTTP: the page, its data, health; what is asked wrongly, and too often."""

import asyncio
import re
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra observe")

from asgi_support import ask
from guard.admin import queries
from guard.admin.messages import AdminError, Configuration, ListDesks, Refused
from guard.client.admin import AdminRefusedError, AdminTimeoutError
from guard.observe.pages import WAITING_MAX, pages_of
from guard.observe.picture import SERIES_COLUMNS, Picture
from guard.observe.stream import STREAMS_MAX, Broadcast
from guard.observe.web import Web
from guard_support import SECOND_NS, T0, LoggedEngine, order
from health_support import health
from record_line_support import lines_of


class StateAsker:
    """Answers from a state, as the daemon would; counts the questions."""

    def __init__(self, day: LoggedEngine) -> None:
        self.day = day
        self.asked: list[Any] = []
        self.error: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def ask(self, query: Any) -> Any:
        self.asked.append(query)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        try:
            return queries.answer(self.day.state, query, T0)
        except AdminError as error:
            raise AdminRefusedError(Refused(error.code, error.field, str(error))) from error


class Observed:
    """The paths over a picture, with everything that a test turns."""

    def __init__(self) -> None:
        day = LoggedEngine()
        day.submit(order("A-1", sent_at_ns=T0 - 5))
        day.submit(order("</script>", symbol="none"))
        self.now_ns = T0 + SECOND_NS
        self.asker = StateAsker(day)
        self.picture, self.broadcast = Picture(T0), Broadcast()
        self.picture.take_lines(lines_of(day), T0)
        self.picture.take_health(health(), T0)
        self.picture.take_configuration(queries.answer(day.state, Configuration(), T0))
        self.picture.take_desks(queries.answer(day.state, ListDesks(), T0).desks, T0)
        asker: Any = self.asker
        self.pages = pages_of(asker, lambda: self.now_ns)
        self.web = Web(self.picture, self.pages, self.broadcast, lambda: self.now_ns)
        self.app = self.web.app(())


async def test_the_page_runs_its_own_scripts_alone_and_fetches_from_here_alone() -> None:
    answer = await ask(Observed().app, "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    html = answer.text
    assert html.count("<script>") == len(re.findall(r"'sha256-", policy.split(";")[1])) == 3
    assert not re.search(r"(src|href)=\"(?!#)", html)  # nothing to load
    assert not re.search(r" (style|on[a-z]+)=", html)
    assert "<!--" not in html


async def test_data_is_the_picture() -> None:
    here = Observed()
    now = (await ask(here.app, "/data/now")).json()
    assert now == here.picture.now(here.now_ns)
    desks = (await ask(here.app, "/data/desks")).json()
    assert [desk["desk"] for desk in desks] == ["desk-alpha", "desk-beta"]
    series = (await ask(here.app, "/data/series")).json()
    assert series["columns"] == list(SERIES_COLUMNS)
    assert series["bucket_width_ns"] == SECOND_NS
    assert [row[1:3] for row in series["rows"]] == [[1, 1]]
    minutes = (await ask(here.app, "/data/series?by=minute")).json()
    assert [row[1:3] for row in minutes["rows"]] == [[1, 1]]
    day = (await ask(here.app, "/data/exposure?desk=desk-alpha")).json()
    assert (day["currency"], day["end_ns"], len(day["rows"])) == ("USD", here.now_ns, 1)


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("/data/series?by=year", 400, "by: 'year' is not allowed; allowed: second, minute\n"),
        ("/data/exposure", 404, "desk: '' is not there\n"),
        ("/data/exposure?desk=nobody", 404, "desk: 'nobody' is not there\n"),
        ("/data/open-orders?desk=nobody", 404, "there is no desk 'nobody'\n"),
        ("/nothing", 404, "Not Found"),
        ("/assets/../../etc/passwd", 404, "Not Found"),
    ],
)
async def test_what_is_asked_wrongly_is_said_so(target: str, status: int, said: str) -> None:
    answer = await ask(Observed().app, target)
    assert (answer.status, answer.text) == (status, said)


async def test_health_says_whether_the_daemon_answers_and_ready_whether_it_takes_orders() -> None:
    here = Observed()
    for path in ("/healthz", "/readyz"):
        answer = await ask(here.app, path)
        assert (answer.status, answer.text) == (200, "ok\n")
    here.picture.take_health(health(entries_halted="disk_low"), here.now_ns)
    assert (await ask(here.app, "/healthz")).status == 200
    answer = await ask(here.app, "/readyz")
    expected = "entries_halted: entries of all desks are halted (disk_low)\n"
    assert (answer.status, answer.text) == (503, expected)
    here.picture.take_health(health(), here.now_ns)
    here.now_ns += 2 * SECOND_NS - 1
    assert (await ask(here.app, "/readyz")).status == 200
    here.now_ns += 1
    assert (await ask(here.app, "/healthz")).status == 200
    answer = await ask(here.app, "/readyz")
    assert (answer.status, answer.text) == (503, "late: the daemon has not answered for 2.0 s\n")
    here.now_ns += 58 * SECOND_NS
    for path in ("/healthz", "/readyz"):
        answer = await ask(here.app, path)
        assert answer.status == 503
        assert answer.text.startswith("silent: the daemon has not answered for 60 s")


async def test_open_orders_are_asked_for_once_however_many_ask() -> None:
    here = Observed()
    first = (await ask(here.app, "/data/open-orders")).json()
    assert [row["client_order_id"] for row in first["orders"]] == ["A-1"]
    assert first["orders"][0]["asked"] == "buy 100 AAPL at 190.00"
    assert first["has_more"] is False
    for _ in range(5):
        assert (await ask(here.app, "/data/open-orders")).json() == first
    assert len(here.asker.asked) == 1
    here.now_ns += 3 * SECOND_NS
    await ask(here.app, "/data/open-orders")
    assert len(here.asker.asked) == 2
    assert (await ask(here.app, "/data/open-orders?desk=desk-beta")).json()["orders"] == []


async def test_positions_are_listed_in_the_instrument_s_units() -> None:
    here = Observed()
    (line,) = (await ask(here.app, "/data/positions")).json()["positions"]
    shown = {name: line[name] for name in ("desk", "symbol", "position", "buying", "selling")}
    assert shown == {
        "desk": "desk-alpha", "symbol": "AAPL", "position": "0", "buying": "100", "selling": "0",
    }  # fmt: skip
    assert (line["price"], line["unrealised_microcents"]) == (None, 0)
    assert (await ask(here.app, "/data/positions?desk=desk-beta")).json()["positions"] == []
    unknown = await ask(here.app, "/data/positions?desk=nobody")
    assert (unknown.status, unknown.text) == (404, "there is no desk 'nobody'\n")


async def test_where_too_many_wait_for_open_orders_they_are_told_to_come_again() -> None:
    here = Observed()
    here.asker.gate = asyncio.Event()
    asks = [
        asyncio.ensure_future(ask(here.app, f"/data/open-orders?desk=d-{number}"))
        for number in range(WAITING_MAX)
    ]
    while not here.asker.asked:
        await asyncio.sleep(0)
    refused = await ask(here.app, "/data/open-orders")
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    here.asker.gate.set()
    assert {answer.status for answer in await asyncio.gather(*asks)} == {404}
    here.asker.error = AdminTimeoutError("no answer within 2 s")
    late = await ask(here.app, "/data/open-orders")
    assert (late.status, late.text) == (503, "no answer within 2 s\n")


async def test_asking_for_the_events_heads_holds_no_stream() -> None:
    here = Observed()
    answer = await ask(here.app, "/events", "HEAD")
    assert (answer.status, answer.body, here.broadcast.streams) == (200, b"", 0)


async def test_more_pages_than_there_may_be_are_refused() -> None:
    here = Observed()
    here.broadcast.streams = STREAMS_MAX
    answer = await ask(here.app, "/events")
    assert (answer.status, answer.text) == (503, f"{STREAMS_MAX} pages are open already\n")


async def test_browsers_are_told_of_each_look_and_of_desks_that_moved() -> None:
    here = Observed()
    here.web.tell()  # to nobody
    heard = here.broadcast.stream()
    await anext(heard)
    here.web.tell()
    first = await anext(heard)
    assert first.count(b"event: now\n") == first.count(b"event: desks\n") == 1
    assert b'"seconds":[[' in first
    here.web.tell()
    assert b"event: desks" not in await anext(heard)
    await heard.aclose()
