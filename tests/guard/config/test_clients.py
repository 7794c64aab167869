"""`[clients.NAME]`: what a section says, and what is refused in it."""

import re
from typing import Any

import pytest

from daemon_support import VENUES
from guard.config.clients import ClientSection, ClientTerms, client_terms
from guard.config.errors import ConfigError
from guard.config.file import check_orders_endpoint, parse_config
from guard.config.z85 import text_of

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
TEXT = text_of(KEY)
DESKS = {"desk-alpha": None, "desk-beta": None}


def terms(name: str = "algo", *, has_curve: bool = True, **fields: Any) -> ClientTerms:
    fields.setdefault("public_key", TEXT)
    (found,) = client_terms({name: ClientSection(**fields)}, DESKS, has_curve=has_curve)
    return found


def test_a_client_with_little_may_little() -> None:
    assert terms() == ClientTerms("algo", "algo", KEY, None, frozenset(), frozenset())


def test_a_client_with_everything() -> None:
    found = terms(
        person="Ada", desks="all", may=["orders", "facts"], orders_per_s=7, in_flight_max=9
    )
    may = frozenset({"orders", "facts"})
    assert found == ClientTerms("algo", "Ada", KEY, None, None, may, frozenset(), 7, 9)


def test_a_user_instead_of_a_key() -> None:
    found = terms(has_curve=False, public_key=None, user=1001, desks=["desk-beta"])
    assert (found.public_key, found.user, found.desks) == (None, 1001, frozenset({"desk-beta"}))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": "a b"}, "name: 'a b' is not allowed; allowed: 1 to 32 characters"),
        ({"name": "local"}, "name: 'local' is not allowed"),
        ({"name": "x" * 33}, "name: 'x+' is not allowed; allowed: 1 to 32 characters"),
        ({"person": ""}, "person: '' is not allowed; allowed: 1 to 64"),
        ({"person": "a\nb"}, r"person: 'a\\nb' is not allowed"),
        ({"may": ["order"]}, "may: 'order' is not allowed; allowed: drop_copy, executions, fa"),
        ({"desks": ["desk-gamma"]}, "desks: 'desk-gamma' is no desk; allowed: desk-alpha, desk-b"),
        ({"public_key": "short"}, "public_key: 'short' is not allowed; allowed: a key as Z85"),
        ({"public_key": None}, "public_key: give it, or `user`, and not both"),
        ({"user": 7}, "public_key: give it, or `user`, and not both"),
        ({"public_key": None, "user": 7}, "user: 7 is not allowed with endpoints.curve_secret_key"),
        ({"has_curve": False}, "public_key: .* is not allowed without endpoints.curve_secret_key"),
        ({"roles": ["view"], "may": ["orders"]}, "roles: .* a key that trades does not operate"),
    ],
)
def test_what_is_refused_in_a_section(fields: dict[str, Any], told: str) -> None:
    name = fields.get("name", "algo")
    with pytest.raises(ValueError, match=f"^clients.{re.escape(name)}.{told}"):
        terms(**fields)


def test_two_clients_with_one_key() -> None:
    sections = {name: ClientSection(public_key=TEXT) for name in ("a", "b")}
    with pytest.raises(ValueError, match=r"^clients.b.public_key: is that of client 'a'"):
        client_terms(sections, DESKS, has_curve=True)


def test_more_clients_than_may_be() -> None:
    sections = {f"c{number}": ClientSection(user=number) for number in range(10_001)}
    with pytest.raises(ValueError, match=r"^clients: 10001 of them; allowed: at most 10000$"):
        client_terms(sections, DESKS, has_curve=False)


ENDPOINTS = """
[endpoints]
orders = "{orders}"
{curve}
[log]
directory = "log"
[policy]
policy_epoch = 1
catalog_epoch = 1
hard_risk_limit_bps = 9600
minimum_confidence_bps = 7000
risk_penalty_multiplier_bps = 4000
latency_penalty_microcents_per_ms = 4
{venues}
"""
CURVE = 'curve_secret_key_file = "curve.key"'
DESK = '\n[[desks]]\ndesk = "d"\nbudget = "1"\nexposure_cap = "none"\n'
LISTS = "instruments = []\n"


def parsed(orders: str, curve: str, clients: str) -> Any:
    return parse_config(
        LISTS + ENDPOINTS.format(orders=orders, curve=curve, venues=VENUES) + DESK + clients
    )


def test_with_a_key_any_address_may_be_listened_on() -> None:
    client = f'[clients.a]\npublic_key = "{TEXT}"\ndesks = ["d"]\n'
    config = parsed("tcp://0.0.0.0:7001", CURVE, client)
    assert [each.name for each in config.clients] == ["a"]
    assert parsed("tcp://127.0.0.1:7001", "", "").clients is None


@pytest.mark.parametrize(
    ("orders", "curve", "clients", "told"),
    [
        ("tcp://127.0.0.1:1", CURVE, "", "clients: is missing: with endpoints.curve_secret_key_"),
        (
            "tcp://127.0.0.1:1",
            "",
            "[clients.a]\nuser = 7\n",
            "clients: allowed with endpoints.",
        ),
        (
            "tcp://0.0.0.0:1",
            "",
            "[clients.a]\nuser = 7\n",
            "endpoints.orders: 'tcp://0.0.0.0:1'",
        ),
        (
            "ipc://s",
            "",
            "[clients.a]\nuser = -1\n",
            "clients.a.user: -1 is not allowed; allowed: a whole number from 0 to 4294967294",
        ),
        (
            "ipc://s",
            "",
            "[clients.a]\nuzer = 1\n",
            "clients.a.uzer: is not known; allowed: public_key, ",
        ),
    ],
)
def test_endpoints_and_clients_go_together(
    orders: str, curve: str, clients: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        parsed(orders, curve, clients)


def test_beside_the_orders_endpoint_keys_are_asked_for_too_or_nobody_gets_there() -> None:
    far, client = "tcp://0.0.0.0:7002", f'[clients.a]\npublic_key = "{TEXT}"\n'
    role = 'roles = ["view"]\n'
    here = "tcp://127.0.0.1:1"
    assert parsed(here, f'{CURVE}\nfeed = "{far}"', client).endpoints.feed == far
    assert parsed(here, f'{CURVE}\nadmin = "{far}"', client + role).endpoints.admin == far
    for name, curve, clients in (("feed", "", ""), ("admin", "", ""), ("admin", CURVE, client)):
        told = (
            f"^endpoints.{name}: '{far}' is not allowed; it can be reached from the network, and "
        )
        with pytest.raises(ConfigError, match=told):
            parsed(here, f'{curve}\n{name} = "{far}"', clients)


def test_an_endpoint_given_by_hand_tells_users_apart_too() -> None:
    endpoints = parsed("ipc://s", "", "[clients.a]\nuser = 7\n").endpoints
    check_orders_endpoint("ipc://other", endpoints, has_clients=True)
    with pytest.raises(ConfigError, match=r"^clients: allowed with endpoints.curve_sec"):
        check_orders_endpoint("tcp://127.0.0.1:1", endpoints, has_clients=True)
