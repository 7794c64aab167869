"""A day's loss beyond its limit, on a real daemon: said, told, kept over a kill, and lifted."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, config_text, event_of
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from guard_limits_support import WAIVED
from protocol_client import ProtocolClient, fill, order

pytestmark = pytest.mark.slow

LIMITS = f"""[limits]
{WAIVED}revalue_bps = 0
mark_jump_bps = 2_000
mark_confirm_ms = 60_000
[limits.desk.desk-alpha]
day_loss_max = "9.99"
warn_percent = 50

"""
HEALTH = {"type": "health"}
CHECKPOINT = {"type": "checkpoint", "action_id": "c-1", "why": "test"}


def admin_of(site: Site) -> ProtocolClient:
    return ProtocolClient(admin_endpoint(BESIDE_LOG, str(site.log)) or "")


def mark(price: int) -> dict[str, Any]:
    return {"type": "mark", "symbol": "AAPL", "price": price}


def lift(action_id: str) -> dict[str, Any]:
    return {
        "type": "lift_latch", "action_id": action_id, "why": "looked at", "desk": "desk-alpha",
        "symbol": "", "latch": "loss",
    }  # fmt: skip


@pytest.mark.parametrize("with_checkpoint", [True, False])
def test_a_loss_outlasts_a_kill_until_a_person_lifts_it(
    tmp_path: Path, with_checkpoint: bool
) -> None:
    site = Site(tmp_path, config_text().replace("[settings]", f"{LIMITS}[settings]"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(mark(19_000))
        assert client.ask(order("A-1", price=19_000))["type"] == "admit"
        client.ask(fill("A-1", "F-1", quantity=100, price=19_000))
        client.ask(mark(18_990))
        assert client.ask(order("A-2", price=19_000))["reason"] == "day_loss_above_max"
        with admin_of(site) as admin:
            health = admin.ask(HEALTH)
            assert health["latches"] == ["loss desk desk-alpha"]
            assert health["figures"]["limits_nearly_used"] == len(health["limits_nearly_used"])
            assert (health["figures"]["latches"], health["figures"]["desks_reducing"]) == (1, 1)
            deadline = time.monotonic() + 20
            while not (used := admin.ask(HEALTH)["limits_used"]):
                assert time.monotonic() < deadline, "no limit was looked at"
            assert "day_loss_max" in [line["limit"] for line in used]
            if with_checkpoint:
                assert admin.ask(CHECKPOINT)["type"] == "done"
        daemon.signal(signal.SIGKILL)
        daemon.wait()
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(mark(18_990))
        assert client.ask(order("A-3", price=19_000))["reason"] == "day_loss_above_max"
        assert client.ask(order("B-1", desk="desk-beta", price=19_000))["type"] == "admit"
        assert client.ask(order("S-1", side="sell", quantity=50, price=18_990))["reducing"] is True
        with admin_of(site) as admin:
            assert admin.ask(lift("l-1"))["code"] == "not_over"
            client.ask(mark(19_000))
            assert client.ask(order("A-4", price=19_000))["reason"] == "day_loss_above_max"
            assert admin.ask(lift("l-2"))["type"] == "done"
        assert client.ask(order("A-5", price=19_000))["type"] == "admit"
        client.ask(mark(30_000))  # one client alone says so
        assert client.ask(order("A-6", price=19_000))["reason"] == "reference_unconfirmed"
        daemon.stop()
    said = [event_of(record)["event"] for record in site.records()]
    assert said.count("loss_breached") == 1
    assert said[said.index("loss_breached") - 1] == "revalued"
    assert site.verify()["ok"]
    assert site.replay()["ok"]
