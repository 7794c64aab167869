"""Both clients against a daemon that looks for self-match and short sales, killed in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, command, config_text
from guard.client import Admit, AsyncGuardClient, GuardClient, GuardRequestError, Reject

pytestmark = pytest.mark.slow

LIMITS = """[limits]
quantity_max = "none"
value_max = "none"
price_collar_bps = "none"
self_match = "refuse"
short_sales = "locate"
"""
ORDER: Any = {
    "desk": "desk-alpha",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": 100,
    "price": 19_000,
    "venue": 10,
    "risk_bps": 200,
    "confidence_bps": 9_000,
}
SELL: Any = {**ORDER, "side": "sell", "price": 19_100, "locate_id": "L-1"}
ACT = ("--yes", "--why", "lent")


def admin(site: Site, *arguments: str) -> str:
    done = command("admin", *arguments, "--log", str(site.log))
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_what_works_and_what_is_located_stay_so_over_a_crash(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(settings=LIMITS))
    with site.running() as daemon, GuardClient(daemon.endpoint) as guard:
        added = admin(site, "add-locate", "L-1", "desk-alpha", "AAPL", "60", *ACT)
        assert "desk desk-alpha may sell 60 lots of AAPL short" in added
        bought = guard.order(client_order_id="B-1", **{**ORDER, "desk": "desk-beta"})
        assert isinstance(bought, Admit)
        sold = guard.order(client_order_id="S-1", **{**SELL, "quantity": 40})
        assert isinstance(sold, Admit)
        assert sold.located_lots == 40
        daemon.kill()
    with site.running() as daemon, GuardClient(daemon.endpoint) as guard:
        meets = guard.order(client_order_id="S-2", **{**SELL, "price": 19_000, "quantity": 1})
        assert isinstance(meets, Reject)
        assert (meets.reason, meets.detail) == ("self_match", {"asked": 10, "scope": 1})
        beyond = guard.order(client_order_id="S-3", **{**SELL, "quantity": 21})
        assert isinstance(beyond, Reject)
        used = {"asked": 21, "limit": 60, "used": 40, "scope": 1}
        assert (beyond.reason, beyond.detail) == ("locate_exceeded", used)
        assert "L-1" in admin(site, "locates")

        async def end_all() -> None:
            async with AsyncGuardClient(daemon.endpoint) as another:
                scope = {"of_desk": "desk-alpha", "of_symbol": "AAPL"}
                head = (await another.ping()).head_sequence
                ended = await another.cancel_all(through_sequence=head, **scope)
                assert (ended.orders, ended.of_desk) == (1, "desk-alpha")
                with pytest.raises(GuardRequestError, match="unknown_record"):
                    await another.cancel_all(through_sequence=head + 100)
                unset: Any = None
                with pytest.raises(GuardRequestError, match="of_symbol: null is not allowed"):
                    await another.cancel_all(through_sequence=head, of_symbol=unset)

        asyncio.run(end_all())
        unset: Any = None
        with pytest.raises(GuardRequestError, match="of_desk: null is not allowed"):
            guard.cancel_all(through_sequence=guard.ping().head_sequence, of_desk=unset)
        ended = guard.cancel_all(through_sequence=guard.ping().head_sequence)
        assert (ended.orders, ended.of_desk, ended.of_venue) == (1, None, None)
        again = guard.order(client_order_id="S-4", **{**SELL, "price": 19_000, "quantity": 60})
        assert isinstance(again, Admit)
        removed = admin(site, "remove-locate", "L-1", *ACT)
        assert "60 of 60 lots used" in removed
        assert daemon.stop() == 0
    assert site.events().count("cancel_all") == 2
    site.replay()
