"""SIGHUP to a real daemon: the file's changes, all or none, beside what operators have changed."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_support import (
    DESKS,
    INSTRUMENTS,
    OPENING_RECORDS,
    VENUES,
    Daemon,
    Site,
    config_text,
    event_of,
)
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from guard.config.last_read import LAST_READ_NAME, read_last
from patience_support import PATIENCE_S
from protocol_client import PING, ProtocolClient, order

pytestmark = pytest.mark.slow

AGAIN = "SIGHUP: the configuration was read again: "
NOT_TAKEN = "SIGHUP: the configuration is not taken, nothing has changed: "


def door(site: Site) -> ProtocolClient:
    return ProtocolClient(admin_endpoint(BESIDE_LOG, str(site.log)) or "")


def hang_up(daemon: Daemon, ends: str) -> list[str]:
    """What is said of it, to the line that begins with `ends`, without the times."""
    before = len(daemon.stderr)
    daemon.signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE_S
    while not (lines := _said(daemon, before)) or not any(ends in line for line in lines):
        assert time.monotonic() < deadline, daemon.stderr
        assert daemon.process.poll() is None
        time.sleep(0.002)
    return [line.split(" ", 1)[1] for line in lines]


def _said(daemon: Daemon, before: int) -> list[str]:
    return daemon.stderr[before:].splitlines()


def top_up(site: Site, action_id: str, microcents: int, desk: str = "desk-alpha") -> None:
    asked: dict[str, Any] = {"type": "top_up", "action_id": action_id, "why": "asked for"}
    with door(site) as admin:
        done = admin.ask(asked | {"desk": desk, "amount_microcents": microcents})
    assert done["type"] == "done", done


def granted(site: Site) -> dict[str, int]:
    with door(site) as admin:
        desks = admin.ask({"type": "desks"})["desks"]
    return {desk["desk"]: desk["granted_microcents"] for desk in desks}


CHANGED = config_text(
    desks={
        "desk-alpha": ("2000001.00", "1500000.00"),
        "desk-beta": ("499999.00", "1.00"),
        "desk-new": ("7.00", "none"),
    },
    instruments={**INSTRUMENTS, "NEW": ("1", "1")},
    settings="remembered_order_window_s = 50_000",
    policy_epoch=8,
    venues=VENUES.replace("9900", "9901"),
)


def test_each_change_of_the_file_is_shown_and_logged_between_two_orders(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        site.configure(CHANGED)
        said = hang_up(daemon, AGAIN)
        assert said == [
            f"INFO: SIGHUP: taken: {text}"
            for text in (
                "settings.remembered_order_window_s: the log says 86400, the configuration 50000",
                "policy.policy_epoch: the log says 7, the configuration 8",
                "policy.venues[10].quality_bps: the log says 9900, the configuration 9901",
                "instruments.NEW: the log lacks it, the configuration says tick 1, lot 1, "
                "multiplier 1",
                "desks.desk-alpha.budget: the log has granted 2000000.00, the configuration says "
                "2000001.00",
                "desks.desk-beta.budget: the log has granted 500000.00, the configuration says "
                "499999.00",
                "desks.desk-beta.exposure_cap: the log says none, the configuration 1.00",
                "desks.desk-new: the log lacks it, the configuration opens it",
            )
        ] + [f"INFO: {AGAIN}7 records, logged"]
        new = client.ask(order("A-2", desk="desk-new", symbol="NEW", quantity=1, price=7))
        assert new["notional_microcents"] == 700_000_000
        assert hang_up(daemon, AGAIN) == [f"INFO: {AGAIN}no record"]
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with site.running() as daemon:  # file and log agree
        assert daemon.stop() == 0
    events = [event_of(record) for record in site.records()][OPENING_RECORDS:]
    assert [event["event"] for event in events[:9]] == [
        "order", "settings_activated", "policy_activated", "instrument_defined", "desk_topped_up",
        "budget_lowered", "desk_capped", "desk_opened", "order",
    ]  # fmt: skip
    assert {event["why"] for event in events[1:8]} == {
        "SIGHUP: the configuration file was read again"
    }
    assert "action_id" not in events[4]
    site.replay()
    site.verify()


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("[endpoints", ["Expected ']' at the end of a table declaration"]),
        (
            config_text(settings="remembered_orders_max = 0"),
            ["not 0 - at `$.settings.remembered_orders_max`"],
        ),
        (CHANGED.replace('"7.00"', '"seven"'), ["desks[desk-new].budget", "seven"]),
        (
            CHANGED.replace("127.0.0.1:*", "127.0.0.1:7001"),
            ["endpoints.orders: it is 'tcp://127.0.0.1:*', the file says 'tcp://127.0.0.1:7001'"],
        ),
        (
            CHANGED.replace("[log]", "[log]\nsegment_bytes_max = 1_048_576"),
            ["log.segment_bytes_max: it is 67108864, the file says 1048576: it takes a restart"],
        ),
        (
            CHANGED.replace("[settings]", "[settings]\nremembered_orders_max = 5"),
            ["settings.remembered_orders_max: it is 1000000, the file says 5: it takes a restart"],
        ),
        (
            config_text(desks={"desk-alpha": ("2000001.00", "1500000.00")}),
            ["desks.desk-beta: the log has opened it, the configuration lacks it: no event can"],
        ),
        (
            CHANGED.replace("policy_epoch = 8", "policy_epoch = 7"),
            ["policy: it differs, under the epochs of the one in the log"],
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_taken_changes_nothing(
    site: tuple[Site, Daemon], text: str, reasons: list[str]
) -> None:
    place, daemon = site
    place.configure(text)
    said = hang_up(daemon, reasons[-1])
    assert all(line.startswith(f"ALARM: {NOT_TAKEN}") for line in said), said
    assert all(any(reason in line for line in said) for reason in reasons), said
    with ProtocolClient(daemon.endpoint) as client:
        assert client.ask(PING)["head_sequence"] == OPENING_RECORDS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = Site(tmp_path_factory.mktemp("rereading"))
    with place.running() as daemon:
        yield place, daemon
        place.config.unlink()
        assert "No such file" in hang_up(daemon, NOT_TAKEN)[0]
        place.configure(CHANGED)
        hang_up(daemon, f"{AGAIN}7 records")  # all that it could not say before, now
        assert daemon.stop() == 0


def test_what_an_operator_has_changed_stays_though_the_file_is_behind(tmp_path: Path) -> None:
    site = Site(tmp_path)
    kept = "kept as the log has it, by an operator's action: desks.desk-alpha.budget: "
    more = {**DESKS, "desk-beta": ("500001.00", "none")}
    with site.running() as daemon:
        top_up(site, "t-1", 5_00000000)
        assert kept in hang_up(daemon, AGAIN)[0]
        site.configure(config_text(desks=more))
        said = hang_up(daemon, AGAIN)
        assert (kept in said[0], "taken: desks.desk-beta.budget" in said[1]) == (True, True)
        assert granted(site) == {"desk-alpha": 200_000_500_000_000, "desk-beta": 50_000_100_000_000}
        assert daemon.stop() == 0
    with site.running() as daemon:  # not refused, and nothing is undone
        assert kept in daemon.stderr
        assert daemon.stop() == 0
    site.configure(config_text(desks={**more, "desk-beta": ("500002.00", "none")}))
    refused = site.refused()
    assert refused.returncode == 2
    assert "desk-beta.budget" in refused.stderr
    assert "desk-alpha" not in refused.stderr
    with site.running("--apply-config", "--why", "quarterly") as daemon:
        assert granted(site) == {"desk-alpha": 200_000_500_000_000, "desk-beta": 50_000_200_000_000}
        # Both have changed it: nobody can know which is wanted.
        site.configure(config_text(desks={**more, "desk-alpha": ("2000001.00", "1500000.00")}))
        top_up(site, "t-2", 1, "desk-beta")
        said = hang_up(daemon, "desk-beta.budget")
        assert "an operator's action has changed it, too" in "".join(said)
        assert granted(site)["desk-alpha"] == 200_000_500_000_000
        # The file in line with the log: nothing differs, and from here on it is what is known.
        site.configure(
            config_text(
                desks={
                    "desk-alpha": ("2000005.00", "1500000.00"),
                    "desk-beta": ("500002.00000001", "none"),
                }
            )
        )
        assert hang_up(daemon, AGAIN) == [f"INFO: {AGAIN}no record"]
        assert daemon.stop() == 0
    site.replay()


def test_a_note_of_another_log_or_of_later_records_is_none(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon:
        top_up(site, "t-1", 1)
        assert daemon.stop() == 0
    log_id = event_of(site.records()[0])["log_id"]
    assert (read_last(site.log, log_id, OPENING_RECORDS) or {})["desks.desk-beta"] == "open"
    assert read_last(site.log, log_id, OPENING_RECORDS - 1) is None
    assert read_last(site.log, "another", 99) is None
    (site.log / LAST_READ_NAME).write_bytes(b"[" * 100_000)
    refused = site.refused()
    assert (refused.returncode, "desk-alpha.budget" in refused.stderr) == (2, True)
