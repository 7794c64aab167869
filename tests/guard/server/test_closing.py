"""The day's turn, of real daemons: what is released and certified; twice, killed, offline."""

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon_support import OPENING_RECORDS, Site, command, config_text, event_of
from guard.cli import main
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from protocol_client import ProtocolClient, cancel, fill, order, status

pytestmark = pytest.mark.slow

TODAY = datetime.now(UTC).date()
DAY, NEXT = TODAY.isoformat(), (TODAY + timedelta(days=1)).isoformat()
COUNT = 2_000
RELEASING = config_text() + "\n[close]\nrelease_day_orders = true\n"


def door(site: Site) -> ProtocolClient:
    return ProtocolClient(admin_endpoint(BESIDE_LOG, str(site.log)) or "")


def close_day(day: str = DAY, **changes: Any) -> dict[str, Any]:
    asked = {"type": "close_day", "action_id": f"close-{day}", "day": day, "why": "the day is over"}
    return asked | changes


def close(site: Site, *arguments: str, day: str = DAY) -> Any:
    place = ("--log", str(site.log), "--key-file", str(site.key_file))
    named = ("--day", day, "--why", "the day is over", "--yes")
    return command("close", *place, *named, *arguments)


def events(site: Site) -> list[dict[str, Any]]:
    return [event_of(record) for record in site.records()]


def test_a_day_ends_between_two_orders_with_what_is_configured(tmp_path: Path) -> None:
    site = Site(tmp_path, RELEASING)
    written = tmp_path / "day.json"
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        for number in range(1, 4):
            client.ask(order(f"A-{number}", quantity=1))
        client.ask(order("A-4", quantity=2, time_in_force="gtc"))
        client.ask(fill("A-1", "F-1", quantity=1, price=100, fee_microcents=7))
        client.ask(cancel("A-2"))
        client.ask(order("B-1", desk="desk-beta", symbol="NONE"))
        planned = admin.ask(close_day(dry_run=True))
        assert (planned["type"], planned["changes"]) == (
            "planned",
            ["1 day orders would be released", f"day {DAY}: would be closed, 1 holds stay"],
        )
        wrong = admin.ask(close_day(action_id="another"))
        assert (wrong["code"], wrong["field"]) == ("invalid", "action_id")
        assert admin.ask(close_day("2026-13-01"))["field"] == "day"
        done = admin.ask(close_day() | {"request_id": "r"})
        assert (done["type"], done["request_id"]) == ("done", "r")
        assert done["changes"] == [
            "1 day orders were released",
            f"day {DAY}: closed, 1 holds stay",
        ]
        assert client.ask(status("A-3"))["state"] == "closed"
        assert client.ask(status("A-4"))["state"] == "open"
        again = admin.ask(close_day())
        assert (again["repeat"], again["wal_sequence"]) == (True, done["wal_sequence"])
        assert "records since are not in it" in again["changes"][0]
        earlier = admin.ask(close_day("2020-01-01"))
        assert (earlier["field"], f"is not behind {DAY}" in earlier["message"]) == ("day", True)
        assert client.ask(order("C-1", quantity=1))["type"] == "admit"
        far = command("close", "--log", str(site.log), "--why", "x", "--day", "9999-12-31")
        assert (far.returncode, f"allowed: up to {NEXT}" in far.stderr) == (2, True)
        made = close(site, "--certificate", str(written), "--json")
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout.splitlines()[0])["repeat"] is True
        assert daemon.stop() == 0
    site.replay()
    site.verify()
    freed, closed, entered = events(site)[-5:-2]
    assert (freed["event"], freed["client_order_id"]) == ("hold_freed", "A-3")
    assert (closed["event"], closed["day"], entered["event"]) == ("day_closed", DAY, "order")
    assert closed["closes_sequence"] == done["wal_sequence"] - 1
    certificate = json.loads(written.read_bytes())["certificate"]
    assert certificate["head_sequence"] == done["wal_sequence"]
    assert certificate["statement_digest_hex"] == closed["statement_digest_hex"]
    assert certificate["first_sequence"] == 1
    assert certificate["counts"] == {
        "orders": 5, "admits": 4, "rejects": 1, "fills": 1, "cancels": 1,
    }  # fmt: skip
    [alpha, beta] = certificate["desks"]
    assert (alpha["spent_microcents"], alpha["spent_this_day_microcents"]) == (7, 7)
    assert alpha["granted_microcents"] == 200_000_000_000_000
    assert alpha["held_microcents"] == 2 * 190_00000000
    assert alpha["remaining_microcents"] == 200_000_000_000_000 - 7 - 2 * 190_00000000
    assert (alpha["orders"], beta["rejects"]) == (4, 1)
    assert certificate["ledger"]["conservation_balanced"] is True


def test_the_next_day_counts_from_there_and_certificates_are_checked(tmp_path: Path) -> None:
    site = Site(tmp_path)
    secret, written = tmp_path / "signing.key", tmp_path / "day.json"
    made = command("keygen", "--signing", str(secret), "--name", "guard.example/close")
    assert made.returncode == 0, made.stderr
    public = made.stdout.split()[-1]
    signed = ("--certificate", str(written), "--signing-key", str(secret))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        assert close(site).returncode == 0
        client.ask(fill("A-1", "F-1", quantity=1, price=100, fee_microcents=7))
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    # Of a log whose daemon is stopped: a start, the close, a checkpoint, a clean stop.
    offline = command(
        "close", "--config", str(site.config), "--offline", "--day", NEXT, "--why", "end",
        "--yes",
    )  # fmt: skip
    assert offline.returncode == 2  # its log is elsewhere
    site.configure(config_text().replace("no-such-place/log", str(site.log)))
    place = ("--config", str(site.config), "--key-file", str(site.key_file))
    day = ("--day", NEXT, "--why", "end")
    for _ in range(2):
        offline = command("close", *place, "--offline", "--yes", *day, *signed)
        assert offline.returncode == 0, offline.stderr
    assert "was closed before" in offline.stderr
    closed = [event["event"] for event in events(site)]
    assert closed.count("day_closed") == 2
    assert closed[-2:] == ["checkpoint", "session_closed"]
    certificate = json.loads(written.read_bytes())["certificate"]
    assert (certificate["day_before"], certificate["first_sequence"]) == (DAY, OPENING_RECORDS + 3)
    assert certificate["counts"]["fills"] == 1
    assert certificate["counts"]["orders"] == 0
    assert certificate["desks"][0]["spent_this_day_microcents"] == 7
    check = ("close", *place, "--verify", str(written), "--public-key", public)
    good = command("close", *place, "--dry-run", "--timeout-s", "0.1")  # which needs no reason
    assert (good.returncode, "no answer within" in good.stderr) == (1, True)  # nobody serves
    good = command(*check)
    assert (good.returncode, good.stderr) == (0, ""), good
    assert "its signature is good" in good.stdout
    text = written.read_text()
    for bad, said in (
        (text.replace('"fills": 1', '"fills": 2', 1), "signature is over another"),
        (text.replace(NEXT, "2020-01-01"), "is not over this text"),
        ("{}", "is no pretrade-guard day certificate"),
        (json.dumps({"certificate": certificate}), "is not signed"),
    ):
        written.write_text(bad)
        false = command(*check)
        assert (false.returncode, said in false.stderr) == (1, True), (bad, false)
    written.write_text(text.replace('"fills": 1', '"fills": 2', 1))
    false = command("close", *place, "--verify", str(written))
    assert (false.returncode, "counts: the certificate says" in false.stderr) == (1, True)
    site.replay()


def test_a_close_offline_shows_its_plan_and_asks_before_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, RELEASING)
    site.configure(RELEASING.replace("no-such-place/log", str(site.log)))
    place = ("close", "--config", str(site.config), "--key-file", str(site.key_file))
    offline = (*place, "--offline", "--day", DAY, "--why", "end")
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1", quantity=1))
        client.ask(order("A-2", quantity=1, time_in_force="gtc"))
        busy = command(*offline, "--dry-run")
        assert (busy.returncode, "a daemon writes it" in busy.stderr) == (2, True)
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    before = {path: path.read_bytes() for path in site.log.iterdir() if path.is_file()}
    (tmp_path / "notes").write_text("mine")
    (tmp_path / "loose").symlink_to(tmp_path / "nowhere")
    for name, said in (
        ("notes", "is not the certificate of day"),
        ("loose", "is not the certificate of day"),
        (".", "is not the certificate of day"),
        ("no/day.json", "there is no directory"),
        ("n" * 300, "cannot be written: File name too long"),
    ):
        assert main([*offline, "--yes", "--certificate", str(tmp_path / name)]) == 2
        assert said in capsys.readouterr().err
    assert (tmp_path / "notes").read_text() == "mine"
    planned = command(*offline, "--dry-run", "--certificate", str(tmp_path / "day.json"))
    assert (planned.returncode, planned.stderr) == (0, ""), planned
    assert planned.stdout.splitlines() == [
        "1 day orders would be released",
        f"day {DAY}: would be closed, 1 holds stay",
    ]
    assert main([*offline, "--dry-run", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert (as_json["action_id"], len(as_json["changes"])) == (f"close-{DAY}", 2)
    for wrong, said in (
        ((), "nobody is at a terminal"),
        (("--yes", "--by", "somebody"), "--by: not allowed with --offline"),
        (("--yes", "--timeout-s", "9"), "--timeout-s: not allowed with --offline"),
    ):
        assert main([*offline, *wrong]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "day.json").exists()
    assert {path: path.read_bytes() for path in site.log.iterdir() if path.is_file()} == before
    done = command(*offline, "--yes", "--json")
    assert (done.returncode, "day_closed" in done.stderr) == (0, True), done
    assert main([*offline, "--dry-run"]) == 0
    assert "was closed before" in capsys.readouterr().out
    before = site.segment.read_bytes()
    earlier = command(*place, "--offline", "--yes", "--why", "x", "--day", "2020-01-01")
    assert (earlier.returncode, f"not behind {DAY}" in earlier.stderr) == (2, True), earlier
    assert site.segment.read_bytes() == before
    site.replay()


def test_a_kill_in_the_middle_leaves_a_close_that_goes_on(tmp_path: Path) -> None:
    """What was durable stays, and the rest follows: each order is released once."""
    site = Site(tmp_path, RELEASING)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        for first in range(0, COUNT, 250):
            client.ask([order(f"A-{first + number}", quantity=1) for number in range(250)])
        admin.send(close_day())
        while b"hold_freed" not in site.segment.read_bytes():
            assert daemon.process.poll() is None
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with site.running() as daemon, door(site) as admin:
        assert admin.ask(close_day())["type"] == "done"
        desks = admin.ask({"type": "desks"})["desks"]
        assert [desk["held_microcents"] for desk in desks] == [0, 0]
        assert daemon.stop() == 0
    told = site.events()
    assert (told.count("hold_freed"), told.count("day_closed")) == (COUNT, 1)
    site.replay()


def test_orders_are_answered_while_thousands_are_released(tmp_path: Path) -> None:
    site = Site(tmp_path, RELEASING)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client, door(site) as admin:
        for first in range(0, COUNT, 250):
            client.ask([order(f"A-{first + number}", quantity=1) for number in range(250)])
        admin.send(close_day())
        admin.send(close_day())  # sent again, as a client does that has no answer
        admin.send(close_day(NEXT))
        entered = client.ask(order("N-1", quantity=1))
        assert entered["type"] == "admit"
        answers = [admin.receive() for _ in range(3)]
        assert [answer["type"] for answer in answers].count("done") == 2
        assert [answer["code"] for answer in answers if answer["type"] == "error"] == ["under_way"]
        assert daemon.stop() == 0
    told = site.events()
    assert (told.count("hold_freed") >= COUNT, told.count("day_closed")) == (True, 1)
    site.replay()
