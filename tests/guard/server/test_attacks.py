"""Attacks on the doors, from outside and from a desk: each is met by a defence of its own.

That each fails when its defence is taken out, `tests/attacks/taken_out.py` shows: it takes them out
one by one, and runs these.
"""

import ast
import inspect
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curve_support import (
    ALPHA,
    BETA,
    GREETING,
    STRANGER,
    CurveWire,
    KeyPair,
    client_text,
    curve_door,
    curve_keys,
    open_curve_listener,
    secured_config,
    secured_site,
)
from daemon_support import Daemon, Site, event_of
from guard.admin.messages import (
    Approve,
    Halt,
    Health,
    ListDesks,
    ListPending,
    PendingApproval,
    TopUp,
)
from guard.client import Admit, Cancel, ErrorReply, Fill, GuardClient, GuardTimeout, Order, Status
from guard.client.admin import AdminClient, AdminRefusedError, AdminTimeoutError
from guard.client.securing import secure
from guard.server import curve
from guard.server.commands import command, metadata_from
from guard.server.zmtp import COMMAND_BYTES_MAX
from patience_support import PATIENCE_S
from protocol_client import ORDER
from server_support import HELLO, Door, Wire, open_listener, pump, ready, take


@pytest.fixture
def door() -> Iterator[Door]:
    door = open_curve_listener(ALPHA)
    yield door
    door.close()


def ended(door: Door, why: str, count: int = 1) -> None:
    """So many connections have ended for this, and no message of theirs was taken."""
    pump(door, lambda: door.gone.get(why, 0) >= count)
    assert (door.gone[why], list(door.taken)) == (count, [])


# From outside.


def test_an_unknown_key(door: Door) -> None:
    with CurveWire(door, STRANGER).welcomed() as wire:
        wire.send(wire.peer.initiate())
        assert wire.command() == b"\x05ERROR\x03400"
        assert wire.command() == b""
    ended(door, "denied")


def test_a_peer_without_a_key(door: Door) -> None:
    for said in (HELLO, GREETING + ready()):
        with Wire(door, said) as wire:
            assert b"READY" not in wire.until_closed()
    ended(door, "mechanism")
    ended(door, "forged")


def test_a_key_that_is_claimed_and_not_had(door: Door) -> None:
    """A's public key, without the secret one: the vouch is another's."""
    with CurveWire(door, STRANGER).welcomed() as wire:
        boxes = wire.peer._boxes
        real = boxes.crypto_scalarmult_base
        try:
            boxes.crypto_scalarmult_base = lambda _secret: ALPHA.public
            said = wire.peer.initiate()
        finally:
            boxes.crypto_scalarmult_base = real
        wire.send(said)
        assert wire.command() == b""
    ended(door, "forged")


def test_a_vouch_that_was_made_for_another_server(door: Door) -> None:
    """Whom A connects to cannot pass A's word on to us."""
    with CurveWire(door, ALPHA).welcomed() as wire:
        wire.peer._server_key = STRANGER.public
        wire.send(wire.peer.initiate())
        assert wire.command() == b""
    ended(door, "forged")


def test_a_handshake_sent_again_word_for_word(door: Door) -> None:
    with CurveWire(door, ALPHA) as first:
        hello = first.peer.hello()
        first.send(hello)
        first.peer.welcomed(first.command()[8:])
        initiate = first.peer.initiate()
        first.send(initiate)
        answer = first.command()
        first.sealer = first.peer.ready(answer[6:])
        message = first.sealed(b"an order")
        with CurveWire(door, ALPHA) as again:
            again.send(hello)
            assert again.command().startswith(b"\x07WELCOME")
            again.send(initiate + message)
            assert again.command() == b""
    ended(door, "forged")


@pytest.mark.parametrize("first", ["initiate", "ready", "message"])
def test_a_handshake_out_of_order(door: Door, first: str) -> None:
    with CurveWire(door, ALPHA) as wire:
        said = {
            "initiate": command(b"\x08INITIATE" + bytes(248)),
            "ready": ready(),
            "message": command(b"\x07MESSAGE" + bytes(40)),
        }[first]
        wire.send(said + wire.peer.hello())
        answer = wire.command()
        assert not answer.startswith((b"\x07WELCOME", b"\x05READY"))
    ended(door, "forged")


def test_a_second_hello(door: Door) -> None:
    with CurveWire(door, ALPHA).welcomed() as wire:
        wire.send(wire.peer.hello(nonce=2))
        assert not wire.command().startswith(b"\x07WELCOME")
    ended(door, "forged")


def test_another_connection_s_cookie(door: Door) -> None:
    with CurveWire(door, ALPHA).welcomed() as one, CurveWire(door, ALPHA).welcomed() as two:
        two.peer.cookie = one.peer.cookie
        two.send(two.peer.initiate())
        assert two.command() == b""
        ended(door, "forged")
        one.send(one.peer.initiate())  # which is still good where it was given
        assert one.command().startswith(b"\x05READY")


@pytest.mark.parametrize("nonce", [0, 1])
def test_a_nonce_of_the_handshake_used_again(door: Door, nonce: int) -> None:
    with CurveWire(door, ALPHA).welcomed() as wire:
        wire.send(wire.peer.initiate(nonce=nonce))
        assert wire.command() == b""
    ended(door, "forged")


def test_a_message_sent_again(door: Door) -> None:
    with CurveWire(door, ALPHA).secured() as wire:
        message = wire.sealed(b"an order")
        wire.send(message)
        assert take(door)[2] == b"an order"
        wire.send(message)
        assert wire.command() == b""
    ended(door, "forged")


def test_messages_in_another_order(door: Door) -> None:
    with CurveWire(door, ALPHA).secured() as wire:
        first, second = wire.sealed(b"first"), wire.sealed(b"second")
        wire.send(second + first)
        assert take(door)[2] == b"second"
        assert wire.command() == b""
    ended(door, "forged")


def test_one_connection_s_message_on_another(door: Door) -> None:
    with CurveWire(door, ALPHA).secured() as one, CurveWire(door, ALPHA).secured() as two:
        two.send(one.sealed(b"an order"))
        assert two.command() == b""
    ended(door, "forged")


def test_plain_frames_behind_a_handshake(door: Door) -> None:
    for plain in (b"\x00\x05order", command(b"\x04PING\x00\x00"), b"\x01\x00\x00\x05order"):
        with CurveWire(door, ALPHA).secured() as wire:
            wire.send(plain)
            wire.until_closed()
    pump(door, lambda: not door.peers())
    assert (sum(door.gone.values()), list(door.taken)) == (3, [])


def test_a_command_without_end_in_the_handshake(door: Door) -> None:
    with Wire(door, GREETING + b"\x06" + (COMMAND_BYTES_MAX + 1).to_bytes(8, "big")) as wire:
        wire.until_closed()
    ended(door, "protocol")
    with CurveWire(door, ALPHA).welcomed() as wire:
        wire.send(wire.peer.initiate(metadata=metadata_from(b"DEALER") + bytes(COMMAND_BYTES_MAX)))
        wire.until_closed()
    ended(door, "protocol", 2)


def test_a_sealed_frame_longer_than_a_message_may_be() -> None:
    door = open_curve_listener(ALPHA)
    with CurveWire(door, ALPHA).secured() as wire:
        wire.send(b"\x02" + (4_194_304 + 34).to_bytes(8, "big"))
        wire.until_closed()
    ended(door, "message_bytes")
    door.close()


def test_bytes_of_a_sealed_frame_that_never_end_are_bounded_for_all() -> None:
    door = open_curve_listener(ALPHA, partial_bytes_max=100_000)
    with CurveWire(door, ALPHA).secured() as one, CurveWire(door, ALPHA).secured() as two:
        for wire in (one, two):
            wire.send(b"\x02" + (300_000).to_bytes(8, "big") + bytes(40_000))
        pump(door, lambda: door.gone)
    assert door.gone == {"partial_bytes": 1}
    door.close()


def test_slow_handshakes(door: Door) -> None:
    wires = [CurveWire(door, ALPHA), CurveWire(door, ALPHA).welcomed()]
    wires[0].send(wires[0].peer.hello()[:50])
    pump(door, lambda: len(door.peers()) == 2)
    for _ in range(12):
        door.tick()
    assert door.gone == {"handshake_time": 2}
    for wire in wires:
        wire.socket.close()


def test_handshakes_without_end_make_room_for_others() -> None:
    door = open_curve_listener(ALPHA, half_open_max=3)
    idle = [Wire(door, GREETING) for _ in range(5)]
    pump(door, lambda: door.gone.get("half_open") == 2)
    with CurveWire(door, ALPHA).secured() as wire:
        assert wire.sealer is not None
    for each in idle:
        each.socket.close()
    door.close()


def test_a_flood_of_handshakes_costs_no_more_than_its_rate() -> None:
    worked: list[bytes] = []
    mechanism = curve_door(ALPHA, per_s=4)
    shared = mechanism.shared

    def counted(public_key: bytes, secret_key: bytes) -> bytes:
        worked.append(public_key)
        return shared(public_key, secret_key)

    mechanism.shared = counted  # type: ignore[method-assign]
    door = open_listener(mechanism=mechanism)
    wires = [CurveWire(door, STRANGER) for _ in range(20)]
    for wire in wires:
        wire.send(wire.peer.hello())
    pump(door, lambda: sum(door.gone.values()) >= 8)
    assert (door.gone["handshake_rate"] >= 8, len(worked) <= 8) == (
        True,
        True,
    )  # two seconds' at most
    for wire in wires:
        wire.socket.close()
    door.close()


def test_what_is_compared_with_a_secret_is_compared_in_constant_time() -> None:
    """MACs are the library's, which compares so; the vouch is ours."""
    for function in (curve.CurveMechanism._take_initiate, curve.CurveMechanism._take_hello):
        source = inspect.getsource(function)
        tree = ast.parse("if True:\n" + source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                compared = [node.left, *node.comparators]
                names = {each.id for each in compared if isinstance(each, ast.Name)}
                assert not names & {"vouched", "peer_key", "shared"}, ast.unparse(node)
    assert "hmac.compare_digest(vouched" in inspect.getsource(curve.CurveMechanism._take_initiate)


# From a desk, and by a key of another kind.

OPERATOR, VIEWER = KeyPair(), KeyPair()
CLIENTS = (
    client_text("a", ALPHA, 'desks = ["desk-alpha"]', 'may = ["orders", "facts", "status"]')
    + client_text("b", BETA, 'desks = ["desk-beta"]', 'may = ["orders", "facts", "status"]')
    + client_text("ada", OPERATOR, 'person = "Ada"', 'roles = ["view", "operate"]')
    + client_text("val", VIEWER, 'roles = ["view"]')
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return secured_site(Site(tmp_path_factory.mktemp("site"), secured_config(CLIENTS)))


@pytest.fixture(scope="module")
def daemon(site: Site) -> Iterator[Daemon]:
    with site.running() as daemon:
        yield daemon
        assert daemon.stop() == 0


@pytest.fixture
def b(daemon: Daemon, site: Site) -> Iterator[GuardClient]:
    """B, behind an order of A's that it is after."""
    with GuardClient(daemon.endpoint, curve=curve_keys(ALPHA), stamp_orders=False) as client:
        assert isinstance(client.send(an_order("A-1")).result(), Admit)
    until(lambda: decided(site))  # readers are told behind the replies
    with GuardClient(daemon.endpoint, curve=curve_keys(BETA)) as client:
        yield client


def an_order(name: str, **changes: Any) -> Order:
    fields = {**ORDER, "client_order_id": name, **changes}
    return Order(**{key: value for key, value in fields.items() if key != "type"})


def denied(reply: Any) -> ErrorReply:
    assert isinstance(reply, ErrorReply), reply
    assert reply.code == "not_permitted"
    return reply


def test_an_order_for_another_s_desk(site: Site, b: GuardClient) -> None:
    before = len(decided(site))
    error = denied(b.send(an_order("B-1")).result())
    assert error.field == "desk"
    assert len(decided(site)) == before


def test_facts_of_another_s_order(site: Site, b: GuardClient) -> None:
    """A false cancel or fill would free what it holds."""
    before = len(decided(site))
    denied(b.send(Cancel(desk="desk-alpha", client_order_id="A-1")).result())
    a_fill = Fill(
        desk="desk-alpha", client_order_id="A-1", fill_id="F", quantity=100, fee_microcents=0
    )
    denied(b.send(a_fill).result())
    assert len(decided(site)) == before


def test_another_s_status_tells_nothing_of_what_is_there(b: GuardClient) -> None:
    """The same words, but for the names, of an order that is there, one that is not, no desk."""
    asked = [("desk-alpha", "A-1"), ("desk-alpha", "A-9"), ("desk-zulu", "A-1")]
    told = set()
    for desk, name in asked:
        error = denied(b.send(Status(desk=desk, client_order_id=name)).result())
        told.add((error.field, error.message.replace(desk, "DESK")))
    assert told == {("desk", "desk: status of desk 'DESK' is not granted to client 'b'")}


def test_b_under_a_s_routing_id(daemon: Daemon) -> None:
    with (
        GuardClient(daemon.endpoint, curve=curve_keys(ALPHA)) as a,
        GuardClient(daemon.endpoint, curve=curve_keys(BETA)) as b,
    ):
        for client in (a, b):
            client._socket.close(linger=0)
            client._socket = client._context.socket(5)
            client._socket.identity = b"a"
            secure(client._socket, curve_keys(ALPHA if client is a else BETA))
            client._socket.linger = 0
            client._socket.connect(daemon.endpoint)
        assert isinstance(a.send(an_order("I-1")).result(), Admit)
        denied(b.send(an_order("I-2")).result())
        denied(b.send(Status(desk="desk-alpha", client_order_id="I-1")).result())
        assert a.status(desk="desk-alpha", client_order_id="I-1").client_order_id == "I-1"


def test_admin_by_a_key_that_trades(site: Site, daemon: Daemon) -> None:
    for keys in (curve_keys(ALPHA), curve_keys(STRANGER), None):
        with (
            AdminClient(admin_of(site), timeout_s=0.3, curve=keys) as admin,
            pytest.raises(AdminTimeoutError),
        ):
            admin.ask(Health())


def test_trading_by_a_key_that_operates(daemon: Daemon) -> None:
    with (
        GuardClient(daemon.endpoint, curve=curve_keys(OPERATOR), timeout_s=0.3) as client,
        pytest.raises(GuardTimeout),
    ):
        client.ping()


def test_a_role_that_looks_does_not_act(site: Site, daemon: Daemon) -> None:
    halt = Halt(scope="desk", name="desk-beta", action_id="h-1", why="a test")
    with AdminClient(admin_of(site), curve=curve_keys(VIEWER)) as admin:
        assert admin.ask(Health()).desks_halted == []
        with pytest.raises(AdminRefusedError, match="halt needs the role 'operate'") as caught:
            admin.ask(halt)
        assert caught.value.code == "not_permitted"
    with AdminClient(admin_of(site), curve=curve_keys(OPERATOR)) as admin:
        assert admin.ask(halt).repeat is False
    halted = [event_of(each) for each in site.records() if "halted" in event_of(each)["event"]]
    assert [each["by"] for each in halted] == ["Ada"]


def test_a_revoked_key_is_out_at_once(tmp_path: Path) -> None:
    site = secured_site(Site(tmp_path, secured_config(CLIENTS)))
    with (
        site.running() as daemon,
        GuardClient(daemon.endpoint, curve=curve_keys(ALPHA), timeout_s=0.5) as a,
        GuardClient(daemon.endpoint, curve=curve_keys(BETA)) as b,
    ):
        a.ping()
        b.ping()
        only_b = client_text("b", BETA, 'desks = ["desk-beta"]', 'may = ["stats"]')
        operator = client_text("ada", OPERATOR, 'roles = ["operate"]')
        site.configure(secured_config(only_b + operator))
        daemon.signal(1)
        until(lambda: "client 'a' is revoked" in daemon.stderr)
        assert "client 'b' has another grant" in daemon.stderr
        with pytest.raises(GuardTimeout):
            a.ping()
        assert b.stats().counters["gone_revoked"] == 1
        denied(b.send(an_order("B-1", desk="desk-beta")).result())
        assert daemon.stop() == 0
    (noted,) = [event for each in site.records() if (event := event_of(each)).get("action")]
    assert (noted["event"], noted["action"]) == ("operator_acted", "clients")
    assert noted["why"].endswith(
        ": client 'a' is revoked; client 'ada' has another grant; client 'b' has another grant; "
        "client 'val' is revoked"
    )
    site.replay()


def test_asking_and_approving_under_two_keys_of_one_person(tmp_path: Path) -> None:
    again, other = KeyPair(), KeyPair()
    clients = (
        CLIENTS
        + client_text("ada-2", again, 'person = "Ada"', 'roles = ["operate", "approve"]')
        + client_text("bob", other, 'roles = ["approve"]')
        + "[approvals]\n"
    )
    site = secured_site(Site(tmp_path, secured_config(clients)))
    more = TopUp(desk="desk-beta", amount_microcents=10**8, action_id="m", why="t", lasts_s=1)
    yes = Approve(proposal="m", action_id="y", why="a test")
    with site.running() as daemon:
        with AdminClient(admin_of(site), curve=curve_keys(OPERATOR)) as admin:
            before = admin.ask(ListDesks(after="desk-alpha")).desks[0].granted_microcents
            first, repeated = admin.ask(more), admin.ask(more)
            assert isinstance(first, PendingApproval)
            assert (repeated.wal_sequence, repeated.repeat) == (first.wal_sequence, True)
        for keys, code in (
            (OPERATOR, "not_permitted"),
            (VIEWER, "not_permitted"),
            (again, "same_person"),
        ):
            with (
                AdminClient(admin_of(site), curve=curve_keys(keys)) as admin,
                pytest.raises(AdminRefusedError) as caught,
            ):
                admin.ask(yes)
            assert caught.value.code == code
        with AdminClient(admin_of(site), curve=curve_keys(other)) as admin:
            assert admin.ask(yes).repeat is False
            assert admin.ask(yes).repeat is True
        with AdminClient(admin_of(site), curve=curve_keys(VIEWER)) as admin:
            # Lent for a second, and taken back with nobody's doing.
            until(lambda: not admin.ask(ListPending()).loosened)
            assert admin.ask(ListDesks(after="desk-alpha")).desks[0].granted_microcents == before
        assert daemon.stop() == 0
    said = {event_of(each)["event"]: event_of(each) for each in site.records()}
    approval = said["desk_topped_up"]["approval"]
    assert (said["desk_topped_up"]["by"], approval["person"]) == ("Ada", "bob")
    assert said["loosening_reverted"]["lowered_microcents"] == 10**8
    site.replay()


def until(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def admin_of(site: Site) -> str:
    return f"ipc://{site.log}.admin"


def decided(site: Site) -> list[Any]:
    """The records of requests, once those of the last replies are told to readers."""
    return [each for each in site.records() if event_of(each)["client"] != "local"]
