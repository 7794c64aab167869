"""Huge pages: asked for where very many orders are to be remembered, and nowhere else."""

import os
from pathlib import Path

import pytest

from daemon_support import Site, config_text
from guard.process.huge_pages import (
    ORDERS_WITHOUT_MAX,
    SWITCH,
    TUNABLES,
    VARIABLE,
    wants_huge_pages,
)
from protocol_client import ProtocolClient, order

MANY = ORDERS_WITHOUT_MAX + 1


@pytest.mark.parametrize(
    ("orders_max", "environment", "c_library", "switch", "wanted"),
    [
        (MANY, {}, "glibc 2.36", "always [madvise] never", True),
        (MANY, {"PATH": "/bin"}, "glibc 2.41", "[always] madvise never", True),
        (MANY - 1, {}, "glibc 2.36", "always [madvise] never", False),
        (MANY, {VARIABLE: ""}, "glibc 2.36", "always [madvise] never", False),
        (MANY, {}, "", "always [madvise] never", False),
        (MANY, {}, "glibc 2.36", "always madvise [never]", False),
    ],
)
def test_when_they_are_wanted(
    orders_max: int, environment: dict[str, str], c_library: str, switch: str, wanted: bool
) -> None:
    assert wants_huge_pages(orders_max, environment, c_library, switch) is wanted


@pytest.mark.slow
@pytest.mark.parametrize("orders_max", [MANY, MANY - 1])
def test_a_daemon_has_them_under_the_same_process_id(orders_max: int, tmp_path: Path) -> None:
    if not (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc") or not SWITCH.exists():
        pytest.skip("no glibc, or no huge pages, on this system")
    site = Site(tmp_path, config_text(settings=f"remembered_orders_max = {orders_max}"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        # The C library cuts the text apart where it stands: its beginning is what is left.
        asked = f"{VARIABLE}={TUNABLES.partition(':')[0]}".encode()
        has_asked = asked in Path(f"/proc/{daemon.pid}/environ").read_bytes().split(b"\0")
        assert has_asked == (orders_max == MANY and "[never]" not in SWITCH.read_text())
        assert client.ask(order("A-1"))["type"] == "admit"
        assert daemon.stop() == 0
    assert site.events()[-1] == "session_closed"
