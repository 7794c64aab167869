"""Both clients against a real daemon: what the protocol's page promises of a repeat."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site
from guard.client import Admit, AsyncGuardClient, GuardClient, GuardRequestError, Reject

pytestmark = pytest.mark.slow

ORDER: Any = {
    "client_order_id": "A-1",
    "desk": "desk-alpha",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": 100,
    "price": 19_000,
    "venue": 10,
    "risk_bps": 200,
    "confidence_bps": 9_000,
}


def test_the_same_call_again_is_a_repeat_and_another_content_is_named(tmp_path: Path) -> None:
    """`sent_at_ns` is the client's own: no caller can be told of its difference."""
    site = Site(tmp_path)
    with site.running() as daemon, GuardClient(daemon.endpoint) as guard:
        first = guard.order(**ORDER)
        assert isinstance(first, Admit)
        again = guard.order(**ORDER)
        assert isinstance(again, Admit)
        assert (first.repeat, again.repeat) == (False, True)
        assert again.wal_sequence == first.wal_sequence
        other = guard.order(**{**ORDER, "quantity": 101})
        assert isinstance(other, Reject)
        assert (other.reason, other.field) == ("client_order_id_reused", "quantity")
        with pytest.raises(GuardRequestError, match=r"^invalid_field: risk_bps: 10001 "):
            guard.order(**{**ORDER, "risk_bps": 10_001})

        async def once_more() -> None:
            async with AsyncGuardClient(daemon.endpoint) as another:
                mine = {**ORDER, "client_order_id": "A-2"}
                given_up = asyncio.create_task(another.order(**mine))
                while not another.in_flight_count:
                    await asyncio.sleep(0)
                given_up.cancel()
                answer = await another.order(**mine)
                assert isinstance(answer, Admit)
                assert (await another.status(desk="desk-alpha", client_order_id="A-2")).answer
                assert answer.repeat

        asyncio.run(once_more())
    assert site.events().count("order") == 2, "each was decided once"
