"""Who may look: addresses to listen on, hosts that browsers name, pages of others."""

import socket
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra observe")

from starlette.responses import PlainTextResponse

from asgi_support import ask
from guard.observe.door import DoorError, Doorkeeper, is_own_host, open_door, parse_listen


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:9477", ("127.0.0.1", 9477)),
        ("127.8.8.8:0", ("127.8.8.8", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_it_listens_on_loopback(text: str, parsed: tuple[str, int]) -> None:
    assert parse_listen(text) == parsed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not allowed; allowed: a loopback ADDRESS:PORT"),
        ("9477", "'9477' is not allowed"),
        ("localhost:9477", "'localhost:9477' is not allowed"),
        ("::1:9477", "'::1:9477' is not allowed"),
        ("127.0.0.1:65536", "port 65536 is not allowed; allowed: 0 to 65535"),
        ("127.0.0.256:1", "is no address"),
        ("0.0.0.0:9477", "is not a loopback address: whoever reaches it reads balances"),
        ("[::]:9477", "is not a loopback address"),
        ("10.0.0.1:9477", "or any with --allow-network"),
    ],
)
def test_it_listens_nowhere_else(text: str, said: str) -> None:
    with pytest.raises(DoorError) as caught:
        parse_listen(text)
    assert said in str(caught.value)


def test_another_address_has_to_be_asked_for() -> None:
    assert parse_listen("0.0.0.0:9477", allows_network=True) == ("0.0.0.0", 9477)


def test_an_address_that_is_taken_is_named() -> None:
    with open_door("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(DoorError, match=rf"127.0.0.1 port {port}: Address already in use"):
            open_door("127.0.0.1", port)
        assert first.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:9477", True),
        ("localhost:1234", True),  # through a tunnel
        ("LocalHost", True),
        ("[::1]:9477", True),
        ("10.1.2.3:9477", True),  # no name, so nobody's to rebind
        ("risk-1:9477", True),
        ("evil.example", False),
        ("evil.example:9477", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:9477", False),
        ("", False),
        ("[::1", False),
        ("127.0.0.1:9477, evil.example", False),
    ],
)
def test_a_host_is_an_address_or_a_name_of_ours(host: str, is_own: bool) -> None:
    assert is_own_host(host, ["risk-1"]) is is_own


@pytest.fixture
def door() -> Doorkeeper:
    return Doorkeeper(PlainTextResponse("in"), (), {"X-Ours": "yes"})


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("HEAD", "/", {}, 200),
        ("POST", "/", {}, 405),
        ("DELETE", "/data/now", {}, 405),
        ("GET", "/", {"host": "evil.example"}, 421),
        ("GET", "/data/now", {"sec_fetch_site": "same-origin"}, 200),
        ("GET", "/data/now", {"sec_fetch_site": "none"}, 200),
        ("GET", "/data/now", {"sec_fetch_site": "cross-site"}, 403),
        ("GET", "/data/now", {"sec_fetch_site": "same-site"}, 403),
        ("GET", "/", {"sec_fetch_site": "cross-site"}, 403),
        ("GET", "/", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200),
        ("GET", "/events", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 403),
    ],
)
async def test_only_readers_of_our_own_page_come_in(
    door: Doorkeeper, method: str, path: str, headers: dict[str, Any], status: int
) -> None:
    answer = await ask(door, path, method, **headers)
    assert (answer.status, answer.headers["x-ours"]) == (status, "yes")
