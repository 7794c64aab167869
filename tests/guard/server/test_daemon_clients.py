"""A real daemon with clients: who is served, what is recorded of whom, what a start refuses."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curve_support import (
    ALPHA,
    BETA,
    SERVER,
    STRANGER,
    client_text,
    curve_keys,
    secured_config,
    secured_site,
)
from daemon_support import Daemon, Site, command, event_of
from guard.cli import main
from guard.client import (
    ErrorReply,
    GuardClient,
    GuardTimeout,
    Hello,
    Order,
    Reply,
    Stats,
    Status,
)
from guard.config.z85 import key_from, text_of
from patience_support import PATIENCE_S
from protocol_client import ORDER, ProtocolClient, order

pytestmark = pytest.mark.slow

CLIENTS_OF_BETA = client_text(
    "beta-algo", BETA, 'person = "Bea"', 'desks = ["desk-beta"]', 'may = ["orders", "stats"]'
)
CLIENTS = (
    client_text(
        "alpha-algo", ALPHA, 'desks = ["desk-alpha"]', 'may = ["orders", "facts", "status"]'
    )
    + CLIENTS_OF_BETA
)


def an_order(name: str, **changes: Any) -> Order:
    fields = {**ORDER, "client_order_id": name, **changes}
    return Order(**{key: value for key, value in fields.items() if key != "type"})


def ask(client: GuardClient, request: Any) -> Reply:
    return client.send(request).result()


def refused(client: GuardClient, request: Any) -> tuple[str, str]:
    reply = ask(client, request)
    assert isinstance(reply, ErrorReply), reply
    return reply.code, reply.message


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return secured_site(Site(tmp_path_factory.mktemp("site"), secured_config(CLIENTS)))


@pytest.fixture(scope="module")
def daemon(site: Site) -> Iterator[Daemon]:
    with site.running() as daemon:
        yield daemon
        assert daemon.stop() == 0


@pytest.fixture
def alpha(daemon: Daemon) -> Iterator[GuardClient]:
    with GuardClient(daemon.endpoint, curve=curve_keys(ALPHA)) as client:
        yield client


@pytest.fixture
def beta(daemon: Daemon) -> Iterator[GuardClient]:
    with GuardClient(daemon.endpoint, curve=curve_keys(BETA)) as client:
        yield client


def test_records_name_the_client_by_its_key(
    site: Site, alpha: GuardClient, beta: GuardClient
) -> None:
    for number in range(3):
        ask(alpha, an_order(f"R-{number}"))
        ask(beta, an_order(f"R-{number}", desk="desk-beta"))
    alpha.fill(
        desk="desk-alpha", client_order_id="R-0", fill_id="F-1", quantity=1, fee_microcents=1
    )
    alpha.cancel(desk="desk-alpha", client_order_id="R-0")
    deadline = time.monotonic() + PATIENCE_S
    while len(records := site.records()) < 15:  # readers are told behind the replies
        assert time.monotonic() < deadline
    clients = [(event_of(each)["event"], event_of(each)["client"]) for each in records]
    assert clients[7:13] == [("order", "alpha-algo"), ("order", "beta-algo")] * 3
    assert clients[13:15] == [("fill", "alpha-algo"), ("release", "alpha-algo")]
    assert {client for _, client in clients[:7]} == {"local"}


def test_a_replay_decides_it_all_again(site: Site, alpha: GuardClient) -> None:
    ask(alpha, an_order("P-1"))
    assert site.replay()["ok"] is True


def test_who_asks_an_operators_door_without_a_key_is_told_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    operator = client_text("ann", ALPHA, 'person = "Ann"', 'roles = ["view", "operate"]')
    text = secured_config(CLIENTS_OF_BETA + operator)
    site = secured_site(Site(tmp_path, text))
    site.configure(text.replace("no-such-place/log", str(site.log)))
    own = site.root / "ann.key"
    own.write_text(ALPHA.secret_text + "\n")
    own.chmod(0o600)
    place = ("--config", str(site.config), "--timeout-s", "1")
    with site.running() as daemon:
        for question in (("status",), ("admin", "health")):
            assert main([*question, *place]) == 1
            assert "it asks for a key: --curve-key-file" in capsys.readouterr().err
        keys = ("--curve-key-file", str(own), "--server-key", SERVER.text)
        assert main(["status", "--config", str(site.config), *keys]) == 0
        (site.root / "curve.key").chmod(0o644)  # which the next start refuses
        daemon.signal(signal.SIGHUP)
        deadline = time.monotonic() + PATIENCE_S
        while "the configuration was read again" not in daemon.stderr:
            assert time.monotonic() < deadline
        [alarm] = [line for line in daemon.stderr.splitlines() if "SIGHUP: the key in use" in line]
        assert ("ALARM" in alarm, "mode 0644 lets others in" in alarm) == (True, True)
        assert daemon.stop() == 0
    assert main(["status", *place, *keys]) == 1
    assert "the daemon does not run" in capsys.readouterr().err


def test_hello_lists_the_client_s_own_desks(alpha: GuardClient, beta: GuardClient) -> None:
    assert ask(alpha, Hello()).desks == ["desk-alpha"]  # type: ignore[union-attr]
    assert ask(beta, Hello()).desks == ["desk-beta"]  # type: ignore[union-attr]


def test_what_is_denied_is_said_to_the_operator(daemon: Daemon, alpha: GuardClient) -> None:
    code, message = refused(alpha, Stats())
    assert (code, message) == (
        "not_permitted",
        "type: stats is not granted to client 'alpha-algo'",
    )
    deadline = time.monotonic() + PATIENCE_S
    while "not permitted: client 'alpha-algo' (alpha-algo): type: stats" not in daemon.stderr:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_request_of_an_array_is_judged_by_itself(daemon: Daemon, site: Site) -> None:
    with GuardClient(daemon.endpoint, curve=curve_keys(ALPHA)) as client:
        requests = [an_order("M-1"), an_order("M-2", desk="desk-beta"), Stats(), an_order("M-3")]
        replies = client.submit(requests)
    kinds = [reply.code if isinstance(reply, ErrorReply) else "admit" for reply in replies]
    assert kinds == ["admit", "not_permitted", "not_permitted", "admit"]


def test_orders_under_way_are_bounded_and_come_free_with_their_answers(tmp_path: Path) -> None:
    bounded = client_text("a", ALPHA, 'desks = "all"', 'may = ["orders"]', "in_flight_max = 3")
    site = secured_site(Site(tmp_path, secured_config(bounded)))
    with (
        site.running() as daemon,
        GuardClient(daemon.endpoint, curve=curve_keys(ALPHA)) as client,
    ):
        for turn in range(3):  # each array is under way as a whole
            replies = client.submit([an_order(f"T{turn}-{number}") for number in range(5)])
            said = [reply.code if isinstance(reply, ErrorReply) else "admit" for reply in replies]
            assert said == ["admit"] * 3 + ["rate_exceeded"] * 2
        assert daemon.stop() == 0


def test_a_client_by_its_user(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/orders"
    sections = (
        f'[clients.me]\nuser = {os.getuid()}\ndesks = ["desk-alpha"]\nmay = ["orders"]\n'
        "[clients.other]\nuser = 4000000000\nmay = []\n"
    )
    site = Site(tmp_path, secured_config(sections, orders=endpoint, endpoints=""))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("U-1"))["type"] == "admit"
        assert client.ask(order("U-2", desk="desk-beta"))["code"] == "not_permitted"
        assert daemon.stop() == 0
    assert [event_of(r).get("client") for r in site.records() if "metadata" in r] == ["me"]


def test_who_is_in_no_section_may_do_nothing(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/orders"
    sections = '[clients.other]\nuser = 4000000000\nmay = ["orders"]\ndesks = "all"\n'
    site = Site(tmp_path, secured_config(sections, orders=endpoint, endpoints=""))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("U-1"))["code"] == "not_permitted"
        assert client.ask({"type": "hello"})["desks"] == []
        assert daemon.stop() == 0
    assert [r for r in site.records() if "metadata" in r] == []


def test_without_a_key_that_is_admitted_nothing_is_answered(daemon: Daemon) -> None:
    for keys in (curve_keys(STRANGER), None):
        with (
            GuardClient(daemon.endpoint, curve=keys, timeout_s=0.3) as client,
            pytest.raises(GuardTimeout),
        ):
            ask(client, Status(desk="desk-alpha", client_order_id="A-1"))


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    site = secured_site(Site(tmp_path, secured_config(CLIENTS)))
    key = tmp_path / "curve.key"
    key.chmod(0o640)
    said = site.refused()
    assert said.returncode == 2
    assert f"key file {key}: mode 0640 lets others in" in said.stderr


def test_a_systemd_credential_is_taken_whatever_its_mode(tmp_path: Path) -> None:
    site = secured_site(Site(tmp_path, secured_config(CLIENTS)))
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    key = credentials / "curve-key"
    (tmp_path / "curve.key").rename(key)
    key.chmod(0o440)
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    with (
        site.running("--curve-key-file", str(key), environment=environment) as daemon,
        GuardClient(daemon.endpoint, curve=curve_keys(ALPHA)) as client,
    ):
        assert client.ping().head_sequence >= 7
        assert daemon.stop() == 0


def test_a_key_by_hand_needs_the_configuration_to_ask_for_keys(tmp_path: Path) -> None:
    said = Site(tmp_path).refused("--curve-key-file", str(tmp_path / "k"))
    assert said.returncode == 2
    assert "--curve-key-file: allowed only with endpoints.curve_secret_key_file" in said.stderr


def test_keygen_makes_a_pair_that_works(tmp_path: Path) -> None:
    path = tmp_path / "client.key"
    made = command("keygen", "--curve", str(path))
    assert made.returncode == 0, made
    public, secret = made.stdout.strip(), path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    from nacl.bindings import crypto_scalarmult_base

    assert text_of(crypto_scalarmult_base(key_from(secret))) == public
    assert command("keygen", "--curve", str(path)).returncode == 2  # never over another
    assert path.read_text().strip() == secret


def test_the_secret_is_nowhere_to_be_seen(daemon: Daemon) -> None:
    secret = SERVER.secret_text.encode()
    for name in ("cmdline", "environ"):
        assert secret not in Path(f"/proc/{daemon.pid}/{name}").read_bytes()
    assert secret.decode() not in daemon.stderr
