"""`hello`: what it says, its pages, and that it shows nothing that is not durable."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon_support import Site, config_text
from guard.client import GuardClient
from guard.server.hello import LISTED_MAX, Greeter
from guard_support import LoggedEngine
from protocol_client import ProtocolClient

PROTOCOL = (Path(__file__).resolve().parents[3] / "guard" / "PROTOCOL.md").read_text()
HELLO = {"type": "hello"}


def test_the_page_names_every_limit() -> None:
    section = PROTOCOL.split("### 7.3 `hello`", 1)[1].split("\n## ", 1)[0]
    limits = Greeter(LoggedEngine().state).answer("", "", 0).limits
    assert all(f"`{name}`" in section for name in limits)
    assert (limits["body_bytes_max"], limits["message_bytes_max"]) == (262_144, 4_194_304)


def test_a_thousand_desks_and_instruments_come_in_pages(tmp_path: Path) -> None:
    desks = {f"desk-{number:04}": ("1.00", "none") for number in range(1_000)}
    instruments = {f"SYM-{number:04}": ("0.05", "10") for number in range(1_000)}
    site = Site(tmp_path, config_text(desks=desks, instruments=instruments))
    found: dict[str, list[Any]] = {"desks": [], "instruments": [], "venues": []}
    asked: dict[str, Any] = {}
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for _ in range(1_000 // LISTED_MAX):
            reply = client.ask({**HELLO, **asked})
            assert len(msgspec.json.encode(reply)) < 40_000
            for name, items in found.items():
                items += reply[name]
            asked = {
                f"from_{name}": reply[f"next_{name}"]
                for name in ("desk", "symbol", "venue")
                if reply[f"next_{name}"] is not None
            }
        assert daemon.stop() == 0
    assert asked == {}
    assert found["desks"] == sorted(desks)
    assert found["instruments"][:1] == [
        {"symbol": "SYM-0000", "tick_size": "0.05", "lot_size": "10", "multiplier": "1"}
    ]
    assert [each["symbol"] for each in found["instruments"]] == sorted(instruments)
    assert found["venues"][:2] == [
        {"venue": 10, "provider": 0, "enabled": True},
        {"venue": 20, "provider": 1, "enabled": True},
    ]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_what_a_client_asks_first(tmp_path: Path, encoding: str) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint, encoding=encoding) as client:
        pong = client.ask({"type": "ping"})
        reply = client.ask({**HELLO, "request_id": "h"})
        assert (reply["type"], reply["version"], reply["request_id"]) == ("hello", 1, "h")
        assert (reply["log_id"], reply["currency"]) == (pong["log_id"], "USD")
        assert reply["requests"]["cancel"] == ["desk", "client_order_id", "request_id"]
        assert reply["desks"] == ["desk-alpha", "desk-beta"]
        assert [reply[f"next_{name}"] for name in ("symbol", "desk", "venue")] == [None] * 3
        several = client.ask([HELLO, {"type": "ping"}, {**HELLO, "from_desk": "desk-b"}])
        assert [each["type"] for each in several] == ["hello", "pong", "hello"]
        assert several[2]["desks"] == ["desk-beta"]
        for name, bad in (("from_desk", "a b"), ("from_symbol", ""), ("from_venue", 0)):
            error = client.ask({**HELLO, name: bad})
            assert error["type"] == "error"
            assert (error["code"], error["field"]) == ("invalid_field", name)
        assert client.ask({**HELLO, "desk": "d"})["code"] == "unknown_field"
        assert client.ask({**HELLO, "from_venue": None, "from_desk": None}) == {
            name: value for name, value in reply.items() if name != "request_id"
        }
        # Nothing of it is a record or a reject; the four errors are errors.
        counters = client.ask({"type": "stats"})["counters"]
        assert (counters["request_errors"], counters["records"]) == (4, 0)
        assert daemon.stop() == 0


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_the_python_client_asks_for_it(tmp_path: Path, encoding: Any) -> None:
    with Site(tmp_path).running() as daemon:
        with GuardClient(daemon.endpoint, encoding=encoding) as client:
            everything, rest = client.hello(), client.hello(from_venue=11, from_desk="desk-b")
        assert daemon.stop() == 0
    assert [each.symbol for each in everything.instruments] == ["AAPL", "BTC-USD"]
    assert [each.venue for each in everything.venues] == [10, 20]
    assert ([each.venue for each in rest.venues], rest.desks) == ([20], ["desk-beta"])


def test_names_that_are_new_are_listed() -> None:
    """The order of the names is kept, and made anew where there are more."""
    engine = LoggedEngine()
    greeter = Greeter(engine.state)
    before = greeter.answer("", "", 0)
    engine.state.desks["a-new-one"] = engine.state.desks[before.desks[0]]
    assert greeter.answer("", "", 0).desks == ["a-new-one", *before.desks]
    assert greeter.answer("", "b", 0).desks == before.desks
    assert greeter.answer("ZZZ", "zzz", 2**32 - 1).instruments == []
