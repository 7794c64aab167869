"""A daemon whose window was made shorter: what is sent again is answered, start after start.

(What is remembered for how long, at every instant: `tests/guard/engine/test_windows.py`.)
"""

import time
from pathlib import Path

import pytest

from daemon_support import Site, config_text
from protocol_client import ProtocolClient, fill

pytestmark = pytest.mark.slow

LONG = config_text(settings="remembered_order_window_s = 3600")
SHORT = config_text(settings="remembered_order_window_s = 1")
BEYOND_SHORT_S = 1.3


def test_a_fill_of_no_order_is_answered_again_behind_a_shorter_window(tmp_path: Path) -> None:
    site = Site(tmp_path, LONG)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        first = client.ask(fill("nobody-1", "F-1"))
        assert daemon.stop() == 0
    site.configure(SHORT)
    apply = ("--apply-config", "--why", "a shorter window")
    with site.running(*apply) as daemon, ProtocolClient(daemon.endpoint) as client:
        second = client.ask(fill("nobody-2", "F-1"))
        time.sleep(BEYOND_SHORT_S)
        for answer, order_id in ((second, "nobody-2"), (first, "nobody-1")):
            assert client.ask(fill(order_id, "F-1")) == {**answer, "repeat": True}
        daemon.kill()
    for _ in range(2):
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            assert client.ask(fill("nobody-2", "F-1")) == {**second, "repeat": True}
            daemon.kill()
    assert site.events().count("fill") == 2
    site.replay()
