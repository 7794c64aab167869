"""A daemon whose log a clock wrote that was ahead: it serves, tells, and can be led back."""

import time
from pathlib import Path

import pytest

from daemon_support import Site, config_text
from guard.config.file import parse_config
from guard.engine.events import SessionClosed
from guard_support import KEY, LoggedEngine, actor, order, write_log
from protocol_client import ProtocolClient
from protocol_client import order as an_order

pytestmark = pytest.mark.slow

DAY_NS = 86_400_000_000_000
WHY = ("--why", "the clock was three days ahead")


def ahead_site(root: Path) -> tuple[Site, int]:
    """A log whose one session ran three days from now; when."""
    site = Site(root, key=KEY)
    ahead_ns = time.time_ns() + 3 * DAY_NS
    engine = LoggedEngine(parse_config(config_text()), ahead_ns)
    engine.admit(order("A-1"))
    engine.log(actor(ahead_ns, engine.engine.next_sequence).event(SessionClosed))
    write_log(site.log, engine.records, KEY)
    return site, ahead_ns


def test_it_serves_tells_and_is_led_back(tmp_path: Path) -> None:
    site, ahead_ns = ahead_site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        now_ns = time.time_ns()
        assert client.ask(an_order("B-1", sent_at_ns=now_ns))["type"] == "admit"
        stale = client.ask(an_order("B-2", sent_at_ns=ahead_ns))
        assert (stale["reason"], stale["detail"]["used"] < ahead_ns) == ("stale_order", True)
        assert daemon.stop() == 0
        assert "s behind the log's time: a clock has been ahead" in daemon.stderr
    started, first, *_ = site.records()[9:]
    assert started["received_at_ns"] == ahead_ns
    assert now_ns - DAY_NS < started["clock_ns"] <= now_ns
    order_event = first["metadata"]
    assert order_event["received_at_ns"] == ahead_ns
    assert abs(order_event["clock_ns"] - now_ns) < DAY_NS
    with (
        site.running("--accept-clock", *WHY) as daemon,
        ProtocolClient(daemon.endpoint) as client,
    ):
        assert client.ask(an_order("B-3", sent_at_ns=time.time_ns()))["type"] == "admit"
        assert client.ask(an_order("B-1", sent_at_ns=now_ns))["repeat"] is True
        assert daemon.stop() == 0
        assert "behind the log's time" not in daemon.stderr
    events = [record.get("metadata", record) for record in site.records()]
    names = [event["event"] for event in events]
    accepted = events[names.index("clock_accepted")]
    assert (accepted["previous_ns"], accepted["why"]) == (ahead_ns, WHY[1])
    assert accepted["received_at_ns"] < ahead_ns
    assert "clock_ns" not in events[-2]
    with site.running() as daemon:
        assert daemon.stop() == 0
    site.replay()
    site.verify()


def test_an_option_that_nothing_calls_for_is_refused(tmp_path: Path) -> None:
    site, _ = ahead_site(tmp_path)
    done = site.refused("--accept-clock")
    assert (done.returncode, "need --why TEXT" in done.stderr) == (2, True)
    with site.running("--accept-clock", *WHY) as daemon:
        assert daemon.stop() == 0
    done = site.refused("--accept-clock", *WHY)
    assert done.returncode == 2
    assert "--accept-clock: the clock is not behind the log's time" in done.stderr
