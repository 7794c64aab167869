"""The daemon's starts and stops: SIGTERM under load, two on one log, keys, configuration against
the log, halted desks.
"""

import gzip
import itertools
import json
import os
import pwd
import re
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from daemon_support import (
    DESKS,
    INSTRUMENTS,
    KEY,
    OPENING_RECORDS,
    VENUES,
    Daemon,
    Site,
    command,
    config_text,
    event_of,
)
from guard.server.session_records import user_name
from patience_support import PATIENCE_S
from protocol_client import PING, STATS, ProtocolClient, fill, order, status

pytestmark = pytest.mark.slow

UNDER_LOAD = 3_000


def _refusal(done: Any, code: int) -> str:
    """What a start that ended by itself said, which is one complaint and nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), done
    assert done.stderr.startswith("pretrade-guard: ")
    assert "Traceback" not in done.stderr
    return str(done.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_answers_what_was_decided(tmp_path: Path, number: int) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for index in range(UNDER_LOAD):
            client.send(order(f"A-{index}", quantity=1))
            if index == UNDER_LOAD // 2:
                assert client.receive()["client_order_id"] == "A-0"
                daemon.signal(number)
        assert daemon.wait() == 0
        answered = [client.receive() for _ in range(_order_count(site) - 1)]
        assert client.socket.poll(0) == 0
        assert [each["client_order_id"] for each in answered] == [
            f"A-{index}" for index in range(1, len(answered) + 1)
        ]
        assert daemon.stderr == ""
    assert site.events()[-1] == "session_closed"
    site.replay()
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        started = event_of(site.records()[-1])
        assert (started["event"], started["epoch"]) == ("session_started", 2)
        assert (started["after_clean_stop"], started["cuts"]) == (True, [])
        last = answered[-1]["client_order_id"]
        assert client.ask(status(last))["answer"] == answered[-1]


def test_a_flood_that_never_ends_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    """SIGTERM under full load: a clean stop in bounded time, and it says what it passed over."""
    site = Site(tmp_path)
    is_over = threading.Event()
    with site.running() as daemon:

        def flood() -> None:
            with ProtocolClient(daemon.endpoint) as client:
                for index in itertools.count():
                    if is_over.is_set():
                        return
                    client.send(order(f"A-{index}", quantity=1))

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            with ProtocolClient(daemon.endpoint) as client:
                while client.ask(STATS)["counters"]["records"] < UNDER_LOAD:
                    pass
            assert daemon.stop() == 0
        finally:
            is_over.set()
            thread.join(PATIENCE_S)
        said = re.fullmatch(
            r"pretrade-guard stopped: \d+ messages, \d+ requests, 0 errors, (\d+) records in "
            r"(\d+) batches; (\d+) replies dropped, (\d+) messages discarded after the stop\n",
            daemon.last_words(),
        )
        assert said is not None
        records, batches, _, discarded = map(int, said.groups())
        assert records >= _order_count(site) >= UNDER_LOAD  # a checkpoint is a record, too
        assert 0 < batches < records
        assert discarded > 0
        assert daemon.stderr == ""
    assert site.events()[-1] == "session_closed"
    site.replay()


def _order_count(site: Site) -> int:
    return site.events().count("order")


def test_a_kill_is_no_clean_stop(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for epoch in (1, 2, 3):
        with site.running() as daemon:
            daemon.kill()
        last = event_of(site.records()[-1])
        if epoch > 1:
            assert (last["epoch"], last["after_clean_stop"]) == (epoch, False)


def test_a_second_daemon_on_a_log_names_the_first(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        said = _refusal(site.refused(), 1)
        assert f"{site.log / 'lock'} is held by process {daemon.pid}" in said
        assert client.ask(PING)["head_sequence"] == OPENING_RECORDS


def test_an_endpoint_in_use(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        said = _refusal(site.refused("--orders", endpoint), 1)
    assert f"orders endpoint '{endpoint}' cannot be bound" in said
    assert not site.segment.exists()
    with site.running("--orders", endpoint) as daemon:
        assert daemon.endpoint == endpoint


def test_an_endpoint_that_the_network_reaches(tmp_path: Path) -> None:
    said = _refusal(Site(tmp_path).refused("--orders", "tcp://0.0.0.0:7001"), 2)
    assert "allowed: any with endpoints.curve_secret_key_file" in said


@pytest.mark.parametrize("switch", ["-O", "-OO"])
def test_optimized_python_is_refused(tmp_path: Path, switch: str) -> None:
    site = Site(tmp_path)
    done = command(*site.run_arguments(), interpreter=(switch,))
    assert "python -O" in _refusal(done, 2)
    assert "python -O" in _refusal(site.refused(environment={"PYTHONOPTIMIZE": "1"}), 2)
    assert not site.log.exists()


def test_an_ephemeral_key_is_found_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    arguments = ["run", "--config", str(site.config), "--log-dir", str(site.log)]
    for number in range(2):
        fresh = () if number else ("--new-log",)
        daemon = Daemon([*arguments, "--ephemeral-key", *fresh], tmp_path / f"stderr-{number}")
        try:
            daemon.wait_until_ready()
            assert daemon.stop() == 0
        finally:
            daemon.kill()
    key_file = site.log / "ephemeral.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert command("verify", str(site.log), "--key-file", str(key_file)).returncode == 0
    said = _refusal(command(*arguments), 2)
    assert "log.key_file" in said
    assert command(*arguments, "--ephemeral-key", "--key-file", "x").returncode == 2


def test_keys_that_are_refused(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    before = site.segment.read_bytes()
    for mode in (0o640, 0o604, 0o620, 0o611):
        site.key_file.chmod(mode)
        assert f"mode {mode:04o} lets others in" in _refusal(site.refused(), 2)
    site.key_file.chmod(0o600)
    site.key_file.write_bytes(KEY[:31])
    assert "31 bytes; allowed: 32 to 4096" in _refusal(site.refused(), 2)
    site.key_file.write_bytes(bytes(4_097))
    assert "more than 4096 bytes" in _refusal(site.refused(), 2)
    site.key_file.write_bytes(KEY[::-1])
    said = _refusal(site.refused(), 2)
    assert "00000001.jsonl, byte 0, record 1" in said
    assert "key" in said
    site.key_file.unlink()
    assert "cannot be read: No such file" in _refusal(site.refused(), 2)
    site.key_file.mkdir(mode=0o700)
    assert "no regular file" in _refusal(site.refused(), 2)
    assert site.segment.read_bytes() == before
    assert sorted(path.name for path in site.log.iterdir()) == [
        "00000001.jsonl", "configured", "head", "lock",
    ]  # fmt: skip


def test_a_service_credential_may_have_any_mode(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.key_file.chmod(0o440)
    with site.running(environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}) as daemon:
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[settings]", "[settings]\ncolour = 1", "colour"),
        ('budget = "2000000.00"', "budget = 2000000.00", "budget"),
        ('budget = "2000000.00"', 'budget = "2e6"', "desks[desk-alpha].budget"),
        ('exposure_cap = "none"', 'exposure_cap = "0"', "desks[desk-beta].exposure_cap"),
        ('tick_size = "0.01"', 'tick_size = "0"', "instruments[AAPL].tick_size"),
        ("hard_risk_limit_bps = 9600", "", "hard_risk_limit_bps"),
        ("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 10001", "hard_risk_limit_bps"),
        ("venue = 20", "venue = 10", "policy"),
        ("[settings]", "[settings", "line"),
    ],
)
def test_a_bad_configuration_names_the_place(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    text = config_text()
    assert old in text
    site = Site(tmp_path, text.replace(old, new, 1))
    said = _refusal(site.refused(), 2)
    assert str(site.config) in said
    assert named in said
    assert not site.log.exists()
    assert command("check-config", "--config", str(site.config)).returncode == 2


def test_a_log_of_others_is_refused(tmp_path: Path) -> None:
    vectors = Path(__file__).parent.parent.parent / "data" / "vectors" / "wal"
    key = bytes.fromhex(json.loads((vectors / "manifest.json").read_text())["hmac_key_hex"])
    site = Site(tmp_path, key=key)
    site.log.mkdir()
    content = gzip.decompress((vectors / "keyed.jsonl.gz").read_bytes())
    site.segment.write_bytes(content)
    said = _refusal(site.refused(), 1)
    assert "00000001.jsonl, byte 0, record 1" in said
    assert site.segment.read_bytes() == content
    # An empty segment is what a crash before the first batch leaves: a fresh log.
    site.segment.write_bytes(b"")
    with site.running() as daemon:
        assert daemon.stop() == 0


def test_differences_are_listed_and_nothing_is_logged(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    before = site.segment.read_bytes()
    site.configure(_CHANGED)
    said = _refusal(site.refused(), 2)
    for text in (
        "--apply-config",
        "settings.remembered_orders_max: the log says 1000000, the configuration 5",
        "policy.policy_epoch: the log says 7, the configuration 8",
        "policy.venues[10].quality_bps: the log says 9900, the configuration 9901",
        "instruments.AAPL: the log says tick 0.01, lot 1, multiplier 1, the configuration says",
        "instruments.NEW: the log lacks it",
        "desks.desk-alpha.budget: the log has granted 2000000.00",
        "desks.desk-beta.exposure_cap: the log says none, the configuration 1.00",
        "desks.desk-new: the log lacks it",
    ):
        assert text in said
    assert site.segment.read_bytes() == before
    assert "need --why" in _refusal(site.refused("--apply-config"), 2)
    assert site.segment.read_bytes() == before


_CHANGED = config_text(
    desks={
        "desk-alpha": ("2000001.00", "1500000.00"),
        "desk-beta": ("500000.00", "1.00"),
        "desk-new": ("7.00", "none"),
    },
    instruments={**INSTRUMENTS, "AAPL": ("0.02", "1"), "NEW": ("1", "1")},
    settings="remembered_orders_max = 5",
    policy_epoch=8,
    venues=VENUES.replace("9900", "9901"),
)


def test_apply_config_logs_each_difference(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    site.configure(_CHANGED)
    with site.running("--apply-config", "--why", "quarterly review") as daemon:
        with ProtocolClient(daemon.endpoint) as client:
            # 100 × 19,000 ticks of 0.02.
            assert client.ask(order("A-1"))["notional_microcents"] == 3_800_000_000_000
            new = client.ask(order("A-2", desk="desk-new", symbol="NEW", quantity=1, price=7))
            assert new["notional_microcents"] == 700_000_000
        assert daemon.stop() == 0
    events = [event_of(record) for record in site.records()][OPENING_RECORDS + 1 :]
    assert [event["event"] for event in events] == [
        "session_started", "settings_activated", "policy_activated", "instrument_defined",
        "instrument_defined", "desk_topped_up", "desk_capped", "desk_opened", "order", "order",
        "session_closed",
    ]  # fmt: skip
    assert {event["why"] for event in events[1:8]} == {"quarterly review"}
    assert len({event["by"] for event in events[1:8]}) == 1
    topped_up, capped, opened = events[5:8]
    assert topped_up["amount_microcents"] == 100_000_000
    assert capped["max_reserved_microcents"] == 100_000_000
    assert (opened["desk"], opened["budget_microcents"]) == ("desk-new", 700_000_000)
    site.verify()
    site.replay()
    with site.running() as daemon:  # now they agree
        assert daemon.stop() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (config_text(desks={"desk-alpha": DESKS["desk-alpha"]}), "desks.desk-beta"),
        (config_text(instruments={"AAPL": ("0.01", "1")}), "instruments.BTC-USD"),
        (config_text(settings='currency = "EUR"'), "settings.currency"),
    ],
)
def test_what_no_event_can_change_is_refused(tmp_path: Path, text: str, said: str) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    before = site.segment.read_bytes()
    site.configure(text)
    refusal = _refusal(site.refused("--apply-config", "--why", "w"), 2)
    assert said in refusal
    assert "correct the configuration" in refusal
    assert site.segment.read_bytes() == before


def test_a_desk_halted_by_an_unpaid_fee_resumes(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(desks={**DESKS, "desk-small": ("1.00", "none")}))
    small = {"desk": "desk-small"}
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("X", quantity=1, price=1, **small))["type"] == "admit"
        unpaid = client.ask(fill("X", "F-1", quantity=1, fee_microcents=100_000_007, **small))
        assert unpaid["unpaid_fee_microcents"] == 7
        assert client.ask(order("A-1", **small))["reason"] == "desk_reducing"
        assert daemon.stop() == 0
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-2", **small))["reason"] == "desk_reducing"
        assert daemon.stop() == 0
    site.configure(config_text(desks={**DESKS, "desk-small": ("20000.00", "none")}))
    assert "need --why" in _refusal(site.refused("--resume-desk", "desk-small"), 2)
    named = ("--apply-config", "--why", "paid up")
    assert "'desk-none'" in _refusal(site.refused("--resume-desk", "desk-none", *named), 2)
    with site.running("--resume-desk", "desk-small", *named) as daemon:
        with ProtocolClient(daemon.endpoint) as client:
            assert client.ask(order("A-3", **small))["type"] == "admit"
            assert client.ask(order("A-2", **small))["reason"] == "desk_reducing"
        assert daemon.stop() == 0
    resumed = [event_of(record) for record in site.records()]
    [event] = [each for each in resumed if each["event"] == "desk_resumed"]
    assert (event["desk"], event["why"]) == ("desk-small", "paid up")
    site.replay()


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number of its own."""
    assert user_name() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)
    assert user_name() == f"uid {2**31 - 5}"


def test_the_log_directory_cannot_be_made(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.log.write_text("a file")
    _refusal(site.refused(), 1)
    if os.geteuid() != 0:
        site.log.unlink()
        site.root.chmod(0o500)
        _refusal(site.refused(), 1)
