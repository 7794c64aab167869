"""Both clients against a real daemon: what the protocol's page promises of a repeat."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, config_text
from guard.client import (
    Admit,
    AsyncGuardClient,
    Execution,
    GuardClient,
    GuardRequestError,
    InstrumentSpec,
    Reject,
    Replace,
    SizeError,
)

pytestmark = pytest.mark.slow

LIMITS = """[limits]
quantity_max = "none"
value_max = "none"
price_collar_bps = 100
reference_age_max_ms = 60_000
"""
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


def test_marks_and_limits(tmp_path: Path) -> None:
    """Limits set while orders flow; a price that both clients send, and what counts."""
    site = Site(tmp_path, config_text(settings=LIMITS))
    with site.running() as daemon, GuardClient(daemon.endpoint) as guard:
        refused = guard.order(**ORDER)
        assert isinstance(refused, Reject)
        assert (refused.reason, refused.detail) == ("reference_missing", {"scope": 1})
        assert guard.mark("AAPL", 19_000, bid=18_999, ask=19_001).price == 19_000
        with pytest.raises(ValueError, match="a Decimal needs the sizes of 'AAPL'"):
            guard.mark("AAPL", Decimal("190.00"))
        assert isinstance(guard.order(**{**ORDER, "client_order_id": "A-2"}), Admit)
        outside = guard.order(**{**ORDER, "client_order_id": "A-3", "price": 19_191})
        assert isinstance(outside, Reject)
        assert outside.reason == "price_outside_collar"

        async def other() -> None:
            sizes = [InstrumentSpec("AAPL", "0.01", "1")]
            async with AsyncGuardClient(daemon.endpoint, instruments=sizes) as another:
                in_units = {"bid": Decimal("190.99"), "ask": Decimal("191.01")}
                assert (await another.mark("AAPL", Decimal("191.00"), **in_units)).price == 19_100
                with pytest.raises(SizeError, match="price"):
                    await another.mark("AAPL", Decimal("191.001"))
                shown = await another.limits("desk-alpha", "AAPL")
                assert [(line.limit, line.value) for line in shown.limits][:2] == [
                    ("quantity_max", None),
                    ("value_max", None),
                ]
                one = {"desk": "desk-alpha", "client_order_id": "A-2", "quantity": 1}
                reduced = await another.reduce(**one, reduce_id="R-1")
                assert (reduced.reduce_id, reduced.flags) == ("R-1", [])
                assert guard.reduce(**one, reduce_id="R-1").repeat
                asked = Replace(
                    "B-2", "desk-alpha", "A-2", ORDER["quantity"], 19_001, "limit", "day"
                )
                assert isinstance(await another.replace(asked), Admit)
                again = await another.replace(asked)
                assert isinstance(again, Admit)
                assert again.repeat
                assert isinstance(guard.replace(asked), Reject)  # stamped at another time
                name = {"desk": "desk-alpha", "client_order_id": "B-2"}
                assert guard.replaced(**name).open_quantity == ORDER["quantity"]
                assert (await another.replaced(**name)).repeat
                with pytest.raises(GuardRequestError, match="replace_settled"):
                    await another.replace_rejected(**name)
                with pytest.raises(GuardRequestError, match="replace_settled"):
                    guard.replace_rejected(**name)
                with pytest.raises(GuardRequestError, match="unknown_symbol"):
                    await another.mark("NONE", 1)
                shown_positions = await another.positions("desk-alpha")
                assert shown_positions.positions == guard.positions("desk-alpha").positions
                trade = Execution(
                    "desk-alpha", "A-2", "E-1", 10, "AAPL", "buy", ORDER["quantity"], 19_000
                )
                assert guard.execution(trade).open_quantity == 0
                assert (await another.execution(trade)).repeat
                assert [one.symbol for one in shown_positions.positions] == ["AAPL"]
                assert guard.positions("desk-alpha", from_symbol="AAPM").positions == []

        asyncio.run(other())
        assert isinstance(
            guard.order(**{**ORDER, "client_order_id": "A-4", "price": 19_191}), Admit
        )
    site.replay()
    with site.running() as daemon, GuardClient(daemon.endpoint) as guard:
        late = guard.order(**{**ORDER, "client_order_id": "A-5"})
        assert isinstance(late, Reject)
        assert late.reason == "reference_missing", "no mark outlives the process"


def test_orders_together_stand_or_fall_together(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, GuardClient(daemon.endpoint, encoding="json") as guard:
        orders = [guard.new_order(**{**ORDER, "client_order_id": name}) for name in ("G-1", "G-2")]
        answer = guard.all_or_none(orders)
        assert answer.admitted
        assert [each.client_order_id for each in answer.answers] == ["G-1", "G-2"]
        assert guard.all_or_none(orders).repeat, "stamped once and for all"
        with pytest.raises(GuardRequestError, match=r"orders\[1\]\.client_order_id: 'G-1'"):
            guard.all_or_none([orders[0], orders[0]])

        async def refused() -> None:
            async with AsyncGuardClient(daemon.endpoint) as another:
                asked = [
                    another.new_order(**{**ORDER, "client_order_id": f"H-{number}", **changes})
                    for number, changes in enumerate(({}, {"quantity": 10**6}))
                ]
                told = await another.all_or_none(asked)
                assert (told.admitted, told.refused_index) == (False, 1)
                assert isinstance(told.answers[0], Reject)
                assert told.answers[0].reason == "all_or_none_refused"
                given_up = asyncio.create_task(another.all_or_none(asked))
                while not another.in_flight_count:
                    await asyncio.sleep(0)
                given_up.cancel()
                assert (await another.all_or_none(asked)).repeat

        asyncio.run(refused())
    assert site.events().count("all_or_none") == 2
