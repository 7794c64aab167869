"""What the observer answers over HTTP: the page, its data, metrics, health. Reads only.

Owns the paths, and what each look at the daemon tells the browsers. What is told to many is encoded
once.

| path | what |
|---|---|
| `/` | the page |
| `/events` | server-sent events: `now` every second, `desks` when they moved |
| `/data/now`, `/data/desks`, `/data/series?by=second` | JSON of the picture |
| `/data/exposure?desk=NAME` | a desk's day |
| `/data/open-orders?desk=NAME`, `/data/positions?desk=NAME` | some of them, asked for then |
| `/metrics` | for Prometheus |
| `/healthz`, `/readyz` | 200 or 503, and why |

How it fails: a question about what is not there is a 404, one that is wrong a 400, one too many a
503; all of them in words.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from guard.client.admin import AdminRefusedError, AdminTimeoutError
from guard.observe.door import Doorkeeper
from guard.observe.metrics import Metrics
from guard.observe.page import render
from guard.observe.pages import Busy, Pages
from guard.observe.picture import SERIES_COLUMNS, Picture
from guard.observe.series import SECOND_NS
from guard.observe.stream import STREAMS_MAX, Broadcast

# With each look: records may come a little late, and a look may be missed.
SECONDS_TOLD: Final = 5
_encode: Final = msgspec.json.encode
_LATER: Final = {"Retry-After": "2"}


class Web:
    """The paths, over one picture."""

    def __init__(
        self,
        picture: Picture,
        pages: dict[str, Pages],
        broadcast: Broadcast,
        wall_ns: Callable[[], int],
    ) -> None:
        """`pages`: what is asked of the daemon for who looks, by the last part of its path."""
        self._picture = picture
        self._pages = pages
        self._broadcast = broadcast
        self._wall_ns = wall_ns
        self._metrics = Metrics(picture, wall_ns)
        self._html, self._headers = render()
        self._desks_told = b""

    def app(self, names: tuple[str, ...]) -> Doorkeeper:
        """The application; `names`: of this machine, that a `Host` may be."""
        routes = {
            "/": self._page,
            "/favicon.ico": self._nothing,
            "/events": self._events,
            "/data/now": self._now,
            "/data/desks": self._desks,
            "/data/series": self._series,
            "/data/exposure": self._exposure,
            **{f"/data/{name}": self._listed for name in self._pages},
            "/metrics": self._metrics_page,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }
        app = Starlette(routes=[Route(path, answer) for path, answer in routes.items()])
        return Doorkeeper(app, names, self._headers)

    def tell(self) -> None:
        """Tells the browsers what is new, behind a look at the daemon."""
        if not self._broadcast.streams:
            self._broadcast.forget()
            self._desks_told = b""
            return
        now_ns = self._wall_ns()
        told = self._picture.now(now_ns)
        told["seconds"] = self._picture.seconds(now_ns, SECONDS_TOLD)
        self._broadcast.tell("now", _encode(told))
        desks = _encode(self._picture.desks())
        if desks != self._desks_told:
            self._desks_told = desks
            self._broadcast.tell("desks", desks)

    # -- the page and its data -------------------------------------------------------------------

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(self._html)

    async def _nothing(self, _request: Request) -> Response:
        return Response(status_code=204)

    async def _events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self._broadcast.streams >= STREAMS_MAX:
            text = f"{STREAMS_MAX} pages are open already\n"
            return PlainTextResponse(text, 503, headers=_LATER)
        return StreamingResponse(self._broadcast.stream(), media_type="text/event-stream")

    async def _now(self, _request: Request) -> Response:
        return _json(self._picture.now(self._wall_ns()))

    async def _desks(self, _request: Request) -> Response:
        return _json(self._picture.desks())

    async def _series(self, request: Request) -> Response:
        by = request.query_params.get("by", "second")
        now_ns = self._wall_ns()
        if by == "second":
            width_ns, rows = SECOND_NS, self._picture.seconds(now_ns)
        elif by == "minute":
            width_ns, rows = 60 * SECOND_NS, self._picture.minutes(now_ns)
        else:
            return PlainTextResponse(f"by: {by!r} is not allowed; allowed: second, minute\n", 400)
        return _json({"columns": SERIES_COLUMNS, "bucket_width_ns": width_ns, "rows": rows})

    async def _exposure(self, request: Request) -> Response:
        desk = request.query_params.get("desk", "")
        now_ns = self._wall_ns()
        found = self._picture.exposure(desk, now_ns)
        if not found["rows"]:
            return PlainTextResponse(f"desk: {desk!r} is not there\n", 404)
        return _json({**found, "end_ns": now_ns, "currency": self._picture.currency})

    async def _listed(self, request: Request) -> Response:
        desk = request.query_params.get("desk") or None
        pages = self._pages[request.url.path.rpartition("/")[2]]
        try:
            return _json(await pages.page(desk, self._picture.instruments))
        except AdminRefusedError as error:
            return PlainTextResponse(f"{error}\n", 404)
        except (AdminTimeoutError, Busy, OSError) as error:
            return PlainTextResponse(f"{error}\n", 503, headers=_LATER)

    # -- for machines ----------------------------------------------------------------------------

    async def _metrics_page(self, request: Request) -> Response:
        body, content_type = self._metrics.page(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def _healthz(self, _request: Request) -> Response:
        """Is the observer there (else nobody answers), and does the daemon answer it?"""
        unready = self._picture.unready(self._wall_ns())
        return _verdict({word: text for word, text in unready.items() if word == "silent"})

    async def _readyz(self, _request: Request) -> Response:
        """Is the daemon ready for orders?"""
        return _verdict(self._picture.unready(self._wall_ns()))


def _json(data: Any) -> Response:
    return Response(_encode(data), media_type="application/json")


def _verdict(reasons: dict[str, str]) -> Response:
    if not reasons:
        return PlainTextResponse("ok\n")
    return PlainTextResponse("".join(f"{word}: {text}\n" for word, text in reasons.items()), 503)
