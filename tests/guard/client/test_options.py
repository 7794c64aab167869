"""What a client is made with: each bad option is named, with its value and what is allowed."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import zmq

from guard.admin.messages import Health
from guard.client import CurveKeys, GuardClient, InstrumentSpec
from guard.client.admin import AdminClient, AdminTimeoutError
from guard.client.options import check_endpoint

BTC = InstrumentSpec("BTC-USD", tick_size="0.01", lot_size="1")
KEY = "a" * 40


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:7001",
        "tcp://localhost:1",
        "tcp://guard-1.desk_a.example.com.:65535",
        "tcp://1password:7001",
        "tcp://[::1]:7001",
        "ipc:///run/guard.sock",
        "ipc://@guard",
        "ipc://" + "p" * 107,
    ],
)
def test_endpoints_that_a_client_can_connect_to(endpoint: str) -> None:
    assert check_endpoint(endpoint) == endpoint
    GuardClient(endpoint).close()


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        ("nowhere", "tcp://HOST:PORT or ipc://PATH"),
        ("", "tcp://HOST:PORT or ipc://PATH"),
        ("http://127.0.0.1:7001", "tcp://HOST:PORT or ipc://PATH"),
        ("inproc://guard", "tcp://HOST:PORT or ipc://PATH"),
        ("tcp://127.0.0.1", "a port from 1 to 65535"),
        ("tcp://127.0.0.1:", "a port from 1 to 65535"),
        ("tcp://127.0.0.1:99999", "a port from 1 to 65535"),
        ("tcp://127.0.0.1:0", "a port from 1 to 65535"),
        ("tcp://127.0.0.1:*", "a port from 1 to 65535"),
        ("tcp://127.0.0.1:70x", "a port from 1 to 65535"),
        ("tcp://127.0.0.1:\u0667\u0660\u0660\u0661", "a port from 1 to 65535"),
        ("tcp://127.999.0.1:7001", "a host's name, an IPv4 address"),
        ("tcp://127.1:7001", "a host's name, an IPv4 address"),
        ("tcp://:7001", "a host's name, an IPv4 address"),
        ("tcp://*:7001", "a host's name, an IPv4 address"),
        ("tcp://no such host:7001", "a host's name, an IPv4 address"),
        ("tcp://-guard:7001", "a host's name, an IPv4 address"),
        ("tcp://::1:7001", "a host's name, an IPv4 address"),
        ("tcp://[::g]:7001", "a host's name, an IPv4 address"),
        ("tcp://" + "h" * 254 + ":7001", "a host's name, an IPv4 address"),
        ("ipc://", "a path of 1 to 107 bytes"),
        ("ipc://" + "p" * 108, "a path of 1 to 107 bytes"),
        ("ipc://a\0b", "a path of 1 to 107 bytes"),
    ],
)
def test_a_bad_endpoint_is_refused_at_once(endpoint: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=r"^endpoint: ") as caught:
        GuardClient(endpoint)
    assert f"endpoint: {endpoint!r} is not allowed; allowed: {allowed}" in str(caught.value)


SECONDS = "a number of seconds above 0, at most 3600"


@pytest.mark.parametrize(
    ("option", "value", "kind", "said"),
    [
        ("timeout_s", "5", TypeError, f"timeout_s: '5' is a str; allowed: {SECONDS}"),
        ("timeout_s", Decimal(5), TypeError, "timeout_s: Decimal('5') is a Decimal"),
        ("timeout_s", True, TypeError, "timeout_s: True is a bool"),
        ("timeout_s", 0, ValueError, f"timeout_s: 0 is not allowed; allowed: {SECONDS}"),
        ("timeout_s", 3600.5, ValueError, "timeout_s: 3600.5 is not allowed"),
        ("timeout_s", float("nan"), ValueError, "timeout_s: nan is not allowed"),
        ("resend_after_s", -1, ValueError, "resend_after_s: -1 is not allowed"),
        ("resend_after_s", None, TypeError, "resend_after_s: None is a NoneType"),
        ("linger_s", "x", TypeError, "linger_s: 'x' is a str"),
        (
            "linger_s",
            -0.5,
            ValueError,
            "linger_s: -0.5 is not allowed; allowed: a number",
        ),
        ("in_flight_max", "5", TypeError, "in_flight_max: '5' is a str; allowed: an int from 1 to"),
        ("in_flight_max", 1.5, TypeError, "in_flight_max: 1.5 is a float"),
        ("in_flight_max", 0, ValueError, "in_flight_max: 0 is not allowed; allowed: 1 to 1000"),
        ("in_flight_max", 1001, ValueError, "in_flight_max: 1001 is not allowed"),
        ("instruments", BTC, TypeError, "instruments: InstrumentSpec("),
        ("instruments", ["BTC"], TypeError, "instruments: 'BTC' in it is a str; allowed: a list"),
        ("instruments", [BTC, BTC], ValueError, "instruments: 'BTC-USD' stands twice"),
        ("encoding", "xml", ValueError, "encoding: 'xml' is not allowed; allowed: msgpack, json"),
        ("stamp_orders", 1, TypeError, "stamp_orders: 1 is a int; allowed: True or False"),
        ("curve", "key", TypeError, "curve: 'key' is a str; allowed: CurveKeys, or None"),
        ("context", 5, TypeError, "context: 5 is a int; allowed: a zmq.Context, or None"),
    ],
)
def test_a_bad_option_is_named(option: str, value: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        GuardClient("tcp://127.0.0.1:7001", **{option: value})
    assert said in str(caught.value)


def test_a_bad_linger_at_the_close_leaves_the_client_open() -> None:
    client = GuardClient("tcp://127.0.0.1:9", timeout_s=0.01)
    with pytest.raises(ValueError, match="linger_s: -1 is not allowed"):
        client.close(linger_s=-1)
    client.new_order(
        client_order_id="A", desk="d", symbol="s", side="buy", quantity=1, price=1, venue=1,
        risk_bps=1, confidence_bps=1,
    )  # fmt: skip
    client.close(linger_s=0)
    client.close(linger_s=-1)


@pytest.mark.parametrize("at", range(3))
def test_a_bad_key_is_named_and_not_shown(at: int) -> None:
    keys = [KEY, KEY, KEY]
    keys[at] = "hunter2"
    name = ("server_public", "client_public", "client_secret")[at]
    with pytest.raises(ValueError, match=f"curve: {name} is not allowed; allowed: a key") as caught:
        CurveKeys(*keys)
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def newer_family() -> Iterator[tuple[zmq.Socket[bytes], str]]:
    """A server at an address of IPv6, and that address."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    server = context.socket(zmq.ROUTER)
    server.set(zmq.IPV6, 1)
    server.set(zmq.RCVTIMEO, 10_000)
    try:
        server.bind("tcp://[::1]:*")
    except zmq.ZMQError:
        pytest.skip("this machine has no IPv6 loopback")
    else:
        yield server, server.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
    finally:
        server.close(linger=0)
        context.term()


def test_a_guard_at_an_ipv6_address_is_reached(
    newer_family: tuple[zmq.Socket[bytes], str],
) -> None:
    server, endpoint = newer_family
    client = GuardClient(endpoint)
    client.send(client.new_fill(
        desk="d", client_order_id="A", fill_id="F", quantity=1, fee_microcents=0,
    ))  # fmt: skip
    assert b"fill_id" in server.recv_multipart()[-1]
    client.close()


def test_an_admin_endpoint_at_an_ipv6_address_is_reached(
    newer_family: tuple[zmq.Socket[bytes], str],
) -> None:
    server, endpoint = newer_family
    with AdminClient(endpoint, timeout_s=0.5) as admin, pytest.raises(AdminTimeoutError):
        admin.ask(Health())
    assert b"health" in server.recv_multipart()[-1]
