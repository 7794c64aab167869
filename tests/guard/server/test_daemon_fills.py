"""Fees that are not charged, and what an operator says of fills: the service and its log."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, config_text, event_of
from patience_support import PATIENCE_S
from protocol_client import STATS, ProtocolClient, cancel, fill, order, status

pytestmark = pytest.mark.slow

BUDGET = 200_000_000_000_000  # the whole of desk-alpha's
WHY = ("--why", "as the venue says")


def said(site: Site) -> list[dict[str, Any]]:
    """What people said of fills, from the log."""
    names = ("fill_accepted", "fill_busted", "fill_corrected")
    events = [event_of(record) for record in site.records()]
    return [event for event in events if event["event"] in names]


def test_an_absurd_fee_charges_nothing_until_a_person_accepts_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        absurd = client.ask(fill("never-seen", "F-1", fee_microcents=BUDGET))
        assert absurd["flags"] == ["unknown", "uncharged"]
        assert client.ask(order("A-1"))["type"] == "admit"
        assert client.ask(STATS)["counters"]["uncharged_fees"] == 1
        words = "the fee of fill desk-alpha/never-seen/F-1 is recorded and not charged: 2000000.00"
        end = time.monotonic() + PATIENCE_S
        while words not in daemon.stderr:  # said at the next beat
            assert time.monotonic() < end
            time.sleep(0.01)
        assert daemon.stop() == 0
    before = site.segment.read_bytes()
    for option, text in (
        (("--accept-fill", "desk-alpha/never-seen/F-1"), "need --why TEXT"),
        (("--accept-fill", "desk-alpha/never-seen/F-2", *WHY), "no such fill is known"),
        (("--accept-fill", "never-seen", *WHY), "allowed: DESK/ORDER/FILL"),
        (("--correct-fill", "desk-alpha/never-seen/F-1", *WHY), "says no correction"),
        (("--correct-fill", "desk-alpha/never-seen/F-1 fee=x", *WHY), "fee: 'x' is not allowed"),
    ):
        done = site.refused(*option)
        assert (done.returncode, done.stdout) == (2, "")
        assert text in done.stderr
        assert site.segment.read_bytes() == before
    correct = ("--correct-fill", "desk-alpha/never-seen/F-1 fee=1.25 quantity=41")
    accept = ("--accept-fill", "desk-alpha/never-seen/F-1")
    for expected in (2, 2):  # the second time both are repeats
        with site.running(*correct, *accept, *WHY) as daemon:
            with ProtocolClient(daemon.endpoint) as client:
                again = client.ask(fill("never-seen", "F-1", fee_microcents=BUDGET))
                assert again["flags"] == ["unknown", "uncharged", "accepted", "corrected"]
            assert daemon.stop() == 0
        assert len(said(site)) == expected
    assert "was said before, nothing is logged" in daemon.stderr
    accepted, corrected = sorted(said(site), key=lambda event: event["event"])
    assert (accepted["fee_microcents"], accepted["why"]) == (125_000_000, "as the venue says")
    assert corrected["quantity"] == 41
    with site.running("--bust-fill", "desk-alpha/never-seen/F-1", *WHY) as daemon:
        assert daemon.stop() == 0
    assert said(site)[-1]["returned_microcents"] == 125_000_000
    with site.running() as daemon:  # what came back is no difference of the configuration
        assert daemon.stop() == 0
    site.replay()


def test_a_bound_of_fees_is_configured_and_changed(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        assert client.ask(fill("A-1", "F-1", quantity=1, fee_microcents=10**9))["flags"] == []
        assert daemon.stop() == 0
    text = config_text().replace(
        'exposure_cap = "1500000.00"',
        'exposure_cap = "1500000.00"\nfee_bound_bps = 10\nfee_minimum = "0.50"',
    )
    site.configure(text)
    done = site.refused()
    assert done.returncode == 2
    words = "desks.desk-alpha.fee_bound: the log says none, the configuration 10 bps and 0.50"
    assert words in done.stderr
    with site.running("--apply-config", *WHY) as daemon, ProtocolClient(daemon.endpoint) as client:
        # A lot is worth 190.00: ten basis points of it are 0.19.
        below = client.ask(fill("A-1", "F-2", quantity=1, fee_microcents=69_000_000))
        beyond = client.ask(fill("A-1", "F-3", quantity=1, fee_microcents=69_000_001))
        assert (below["flags"], beyond["flags"]) == ([], ["uncharged"])
        assert daemon.stop() == 0
    site.replay()
    site.configure(text.replace("fee_bound_bps = 10\n", ""))
    assert "fee_minimum: allowed only with fee_bound_bps" in site.refused().stderr


def test_what_overtakes_its_order_meets_it_across_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text())
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(fill("A-1", "F-1"))["flags"] == ["unknown", "uncharged"]
        assert client.ask(cancel("A-2"))["flags"] == ["early"]
        assert daemon.stop() == 0
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        assert client.ask(status("A-1"))["filled_quantity"] == 40
        assert client.ask(order("A-2"))["reason"] == "canceled_before_arrival"
        again = client.ask(fill("A-1", "F-1"))
        assert (again["flags"], again["repeat"]) == (["early"], True)
        assert client.ask(STATS)["counters"]["records"] == 3
        assert daemon.stop() == 0
    site.replay()
    assert json.loads(json.dumps(site.events()))[-1] == "session_closed"
