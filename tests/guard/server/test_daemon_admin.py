"""The admin endpoint of a real daemon: actions that last, queries, strangers, floods, kills."""

import os
import pwd
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon_support import DESKS, Site, config_text, event_of
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from protocol_client import ProtocolClient, cancel, fill, order, status

pytestmark = pytest.mark.slow

ME = pwd.getpwuid(os.getuid()).pw_name
HEALTH: dict[str, Any] = {"type": "health"}


def door(site: Site, **options: Any) -> ProtocolClient:
    return ProtocolClient(admin_endpoint(BESIDE_LOG, str(site.log)) or "", **options)


def halt(action_id: str, name: str = "desk-alpha", **changes: Any) -> dict[str, Any]:
    scope = {"type": "halt", "scope": "desk", "name": name}
    return scope | {"action_id": action_id, "why": "runaway"} | changes


def resume(action_id: str, name: str = "desk-alpha") -> dict[str, Any]:
    return halt(action_id, name, type="resume", why="looked at")


def test_a_halt_works_at_once_is_recorded_with_its_person_and_survives_a_kill(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        with door(site) as admin:
            assert client.ask(order("A-1"))["type"] == "admit"
            done = admin.ask(halt("h-1") | {"request_id": "r"})
            assert done == {
                "type": "done",
                "action_id": "h-1",
                "wal_sequence": done["wal_sequence"],
                "repeat": False,
                "changes": ["desk desk-alpha: active -> halted"],
                "request_id": "r",
            }
            assert client.ask(order("A-2"))["reason"] == "desk_halted"
            assert client.ask(order("B-1", desk="desk-beta", quantity=1))["type"] == "admit"
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-3"))["reason"] == "desk_halted"
        with door(site) as admin:
            again = admin.ask(halt("h-1"))
            assert (again["repeat"], again["wal_sequence"]) == (True, done["wal_sequence"])
            assert admin.ask(resume("r-1"))["type"] == "done"
        assert client.ask(order("A-4"))["type"] == "admit"
        assert daemon.stop() == 0
    [event] = [
        event_of(record)
        for record in site.records()
        if event_of(record)["event"] == "trading_halted"
    ]
    assert (event["by"], event["why"], event["action_id"]) == (ME, "runaway", "h-1")
    assert event["scope"] == "desk"
    site.replay()
    site.verify()


def test_what_was_counted_is_told_as_at_the_orders_door(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        client.ask(order("A-1"))
        stats = admin.ask({"type": "stats", "request_id": 7})
        there = client.ask({"type": "stats"})
        assert (stats["type"], stats["request_id"]) == ("stats", 7)
        assert stats.keys() - {"request_id"} == there.keys()
        assert stats["counters"].keys() == there["counters"].keys()
        assert stats["counters"]["requests"] == 1
        assert daemon.stop() == 0


def test_the_socket_is_its_owner_s_alone_and_gone_behind_a_stop(tmp_path: Path) -> None:
    site = Site(tmp_path)
    path = Path(f"{site.log}.admin")
    with site.running() as daemon:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    assert path.exists()
    with site.running() as daemon, door(site) as admin:
        assert admin.ask(HEALTH)["is_serving"] is True
        assert daemon.stop() == 0
    assert not path.exists()


def test_a_health_that_is_well_and_one_that_is_not(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, door(site) as admin, ProtocolClient(daemon.endpoint) as client:
        well = admin.ask(HEALTH)
        assert (well["is_serving"], well["troubles"]) == (True, [])
        assert well["head_sequence"] == 7
        assert well["figures"]["disk_left_bytes"] > 0
        client.ask(order("A-1"))
        admin.ask(halt("h-1"))
        ill = admin.ask(HEALTH)
        assert ill["desks_halted"] == ["desk-alpha"]
        assert [sentence for sentence in ill["troubles"] if "desk-alpha" in sentence]
        assert (ill["head_sequence"], ill["figures"]["open_orders"]) == (9, 1)
        desks = admin.ask({"type": "desks"})["desks"]
        assert [(desk["desk"], desk["state"]) for desk in desks] == [
            ("desk-alpha", "halted"),
            ("desk-beta", "active"),
        ]


def test_money_and_holds_by_hand_and_what_is_left_of_them_behind_a_checkpoint(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, config_text(log="checkpoint_at_stop = true"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        assert client.ask(order("A-1"))["type"] == "admit"
        assert client.ask(fill("A-1", "F-1"))["type"] == "filled"
        common = {"why": "by hand", "desk": "desk-alpha"}
        assert admin.ask(common | {"type": "top_up", "action_id": "1", "amount_microcents": 5})[
            "changes"
        ] == ["desk desk-alpha: budget 2,000,000.00 -> 2,000,000.00000005"]
        lower = common | {"type": "lower_budget", "action_id": "2"}
        too_much = admin.ask(lower | {"amount_microcents": 2**63 - 1})
        assert (too_much["code"], too_much["field"]) == ("too_much", "amount_microcents")
        assert admin.ask(lower | {"amount_microcents": 5})["type"] == "done"
        dry = admin.ask(lower | {"action_id": "3", "amount_microcents": 1, "dry_run": True})
        assert dry["type"] == "planned"
        free = common | {"type": "free_hold", "action_id": "4", "client_order_id": "A-1"}
        assert admin.ask(free)["type"] == "done"
        assert client.ask(status("A-1"))["state"] == "closed"
        assert client.ask(cancel("A-1"))["repeat"] is True
        story = admin.ask({"type": "order", "desk": "desk-alpha", "client_order_id": "A-1"})
        assert [one["fill_id"] for one in story["fills"]] == ["F-1"]
        [desk, _] = admin.ask({"type": "desks"})["desks"]
        assert (desk["granted_microcents"], desk["held_microcents"]) == (200_000_000_000_000, 0)
        assert admin.ask({"type": "checkpoint", "action_id": "5", "why": "x"})["type"] == "done"
        rotated = admin.ask({"type": "rotate", "action_id": "6", "why": "x"})
        assert rotated["type"] == "done"
        assert daemon.stop() == 0
    assert len(site.segments) >= 2
    with site.running() as daemon, door(site) as admin:
        assert admin.ask(free)["repeat"] is True
        assert admin.ask(rotated | {"type": "rotate", "why": "x"})["type"] == "error"
    site.replay()


def test_a_policy_under_way_and_desks_and_symbols_that_are_new(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        policy = admin.ask({"type": "configuration"})["policy"]
        strict = {"type": "activate_policy", "action_id": "p", "why": "stress"}
        strict["policy"] = policy | {"hard_risk_limit_bps": 100, "policy_epoch": 8}
        done = admin.ask(strict)
        assert "policy.hard_risk_limit_bps: 9600 -> 100" in done["changes"]
        assert client.ask(order("A-1"))["reason"] == "risk_hard_limit"
        opened = {"type": "open_desk", "action_id": "d", "why": "new", "desk": "desk-new"}
        opened |= {"budget_microcents": 10**14, "max_reserved_microcents": "none"}
        assert admin.ask(opened)["type"] == "done"
        sizes = {"symbol": "MSFT", "tick_size": "0.01", "lot_size": "1"}
        define = {"type": "define_instrument", "action_id": "i", "why": "new"} | sizes
        assert admin.ask(define)["type"] == "done"
        new = order("N-1", desk="desk-new", symbol="MSFT", risk_bps=50, quantity=1)
        assert client.ask(new)["type"] == "admit"
        assert daemon.stop() == 0
    site.replay()
    with site.running() as daemon:  # the file does not say what the log says, which stays
        assert "kept as the log has it, by an operator's action: desks.desk-new" in daemon.stderr


def test_strangers_and_nonsense_change_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, door(site) as admin:
        before = admin.ask(HEALTH)["head_sequence"]
        for body in (b"", b"{", b"[]", b"nonsense", b'{"type":"halt"}', b"\xc1", b"{" * 10_000):
            admin.socket.send(body)
            answer = admin.socket.recv()
            decode: Any = (
                msgspec.json.decode if body[:1] in (b"{", b"[") else msgspec.msgpack.decode
            )
            assert decode(answer)["type"] == "error", body
        admin.socket.send_multipart([b"a", b"b", b"c"])
        assert msgspec.msgpack.decode(admin.socket.recv())["code"] == "malformed"
        bad = admin.ask(halt("h", scope="venue"))
        assert (bad["code"], bad["field"]) == ("invalid", "scope")
        assert admin.ask(halt("h", name="desk-none"))["code"] == "unknown_desk"
        assert admin.ask(halt("h", by="somebody"))["type"] == "done"
        assert admin.ask(HEALTH)["head_sequence"] == before + 1
        with ProtocolClient(daemon.endpoint) as client:
            assert client.ask(halt("h"))["type"] == "error"  # at the orders' door: no request
        assert daemon.stop() == 0
    last = event_of(site.records()[-2])
    assert last["by"] == f"somebody (as {ME})"


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("kind", ["DEALER", "REQ"])
def test_any_stock_client_in_either_encoding(tmp_path: Path, kind: str, encoding: str) -> None:
    site = Site(tmp_path)
    with site.running(), door(site, kind=kind, encoding=encoding) as admin:
        assert admin.ask(HEALTH | {"request_id": 9})["request_id"] == 9
        assert admin.ask(halt("h-1"))["type"] == "done"


def test_one_action_twice_at_once_is_done_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:

        def press(_: int) -> dict[str, Any]:
            with door(site) as admin:
                answer: dict[str, Any] = admin.ask(halt("h-1"))
                return answer

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(press, range(16)))
        assert sorted(answer["repeat"] for answer in answers) == [False] + 15 * [True]
        assert len({answer["wal_sequence"] for answer in answers}) == 1
        assert daemon.stop() == 0
    assert site.events().count("trading_halted") == 1


def test_a_desk_is_halted_in_the_middle_of_a_flood(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        count = 5_000
        for number in range(count):
            client.send(order(f"A-{number}", quantity=1))
        done = admin.ask(halt("h-1"))
        answers = [client.receive() for _ in range(count)]
        for answer in answers:
            refused = answer["wal_sequence"] > done["wal_sequence"]
            assert (answer.get("reason") == "desk_halted") == refused
        assert daemon.stop() == 0
    site.replay()


def test_a_stop_answers_what_has_arrived_and_then_ends(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        assert client.ask(order("A-1"))["type"] == "admit"
        stop = {"type": "stop", "action_id": "s", "why": "the end"}
        assert admin.ask(stop)["type"] == "done"
        assert daemon.wait() == 0
    assert site.events()[-2:] == ["operator_acted", "session_closed"]


def test_no_endpoint_where_none_is_wanted_and_a_refusal_where_one_cannot_be(
    tmp_path: Path,
) -> None:
    text = config_text()
    site = Site(tmp_path, text.replace("[endpoints]", '[endpoints]\nadmin = "none"'))
    with site.running() as daemon:
        assert not Path(f"{site.log}.admin").exists()
        assert daemon.stop() == 0
    other = f'[endpoints]\nadmin = "ipc://{tmp_path}/none/admin"'
    site.configure(text.replace("[endpoints]", other))
    done = site.refused()
    assert (done.returncode, "admin endpoint" in done.stderr) == (1, True)
    site.configure(text.replace("[endpoints]", '[endpoints]\nadmin = "tcp://0.0.0.0:7002"'))
    done = site.refused()
    assert (done.returncode, "endpoints.admin" in done.stderr) == (2, True)


def test_on_a_tcp_endpoint_who_acts_must_be_said(tmp_path: Path) -> None:
    text = config_text()
    address = "tcp://127.0.0.1:17467"
    site = Site(tmp_path, text.replace("[endpoints]", f'[endpoints]\nadmin = "{address}"'))
    with site.running(), ProtocolClient(address) as admin:
        unsaid = admin.ask(halt("h-1"))
        assert (unsaid["code"], unsaid["field"]) == ("missing", "by")
        assert admin.ask(halt("h-1", by="Ann Smith"))["type"] == "done"
    assert event_of(site.records()[-1])["by"] == "Ann Smith"


def test_a_path_that_is_too_long_for_a_socket_is_an_alarm_and_orders_are_served(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, config_text(desks=DESKS))
    site.log = tmp_path / ("l" * 110)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        assert "admin endpoint" in daemon.stderr
        assert daemon.stop() == 0


def test_a_strange_fill_is_accepted_and_busted_by_hand_and_the_log_replays(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        strange = client.ask(fill("X", "F-1", fee_microcents=5_000))
        assert "uncharged" in strange["flags"]
        name = {"desk": "desk-alpha", "client_order_id": "X", "fill_id": "F-1", "why": "checked"}
        accepted = admin.ask(name | {"type": "accept_fill", "action_id": "1"})
        assert accepted["type"] == "done"
        corrected = name | {"type": "correct_fill", "action_id": "2", "fee_microcents": 4_000}
        assert admin.ask(corrected)["type"] == "done"
        assert admin.ask(corrected)["repeat"] is True
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with site.running() as daemon, door(site) as admin:
        assert admin.ask(corrected)["repeat"] is True
        assert admin.ask(name | {"type": "bust_fill", "action_id": "3"})["type"] == "done"
        [desk, _] = admin.ask({"type": "desks"})["desks"]
        assert desk["remaining_microcents"] == 200_000_000_000_000
        assert daemon.stop() == 0
    site.replay()
    site.verify()
