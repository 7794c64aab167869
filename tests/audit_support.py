"""What the tests of `guard.audit` share: days of random requests, and audits of a day's records."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from guard.audit.audit import Audit
from guard.engine.events import DeskCapped, DeskResumed, DeskToppedUp
from guard.replay.replay import replay_log
from guard_support import KEY, T0, LoggedEngine, actor, cancel, dev_config, fill, order, write_log
from wal import ChainHasher

HASHER = ChainHasher(KEY)
MINUTE_NS = 60_000_000_000

DESKS = ("desk-alpha", "desk-beta", "nobody")
IDS = tuple(f"A-{number}" for number in range(12))

_ORDERS = st.tuples(
    st.just("order"),
    st.sampled_from(IDS),
    st.sampled_from(DESKS),
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(("AAPL", "BTC-USD", "NONE")),
            "quantity": st.integers(1, 60_000),
            "price": st.integers(1, 40_000),
            "venue": st.sampled_from((10, 20, 30, 99)),
            "risk_bps": st.sampled_from((0, 200, 9_400, 9_600)),
            "confidence_bps": st.sampled_from((6_999, 7_000, 10_000)),
            "minimum_quality_bps": st.sampled_from((0, 9_000, 9_950)),
            "max_fee_microcents": st.sampled_from((5_000, 10**9)),
            "allow_substitute": st.booleans(),
            "sent_at_ns": st.none() | st.integers(T0 - MINUTE_NS, T0 + MINUTE_NS),
        }
    ),
)
_FILLS = st.tuples(
    st.just("fill"),
    st.sampled_from(IDS),
    st.sampled_from(DESKS),
    st.fixed_dictionaries(
        {
            "fill_id": st.sampled_from(("F-1", "F-2", "F-3")),
            "quantity": st.integers(1, 60_000),
            "fee": st.integers(-5, 10**12),
        }
    ),
)
_CANCELS = st.tuples(
    st.just("cancel"), st.sampled_from(IDS), st.sampled_from(DESKS[:2]), st.just({})
)
_CHANGES = st.tuples(
    st.sampled_from(("cap", "top-up", "resume", "close")),
    st.just(""),
    st.sampled_from(DESKS[:2]),
    st.just({}),
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 3 * MINUTE_NS), st.one_of(_ORDERS, _ORDERS, _FILLS, _CANCELS, _CHANGES)
    ),
    max_size=40,
)


def live(steps: list[Any]) -> LoggedEngine:
    """The day that the steps make."""
    # Room for few orders: a million take a tenth of a second to make room for.
    day = LoggedEngine(dev_config(remembered_orders_max=1_000))
    day.is_checked = False
    now_ns = T0
    for later_ns, (kind, client_order_id, desk, fields) in steps:
        now_ns += later_ns
        if kind == "order":
            day.submit(order(client_order_id, desk=desk, **fields), now_ns)
        elif kind == "fill":
            day.submit(fill(desk=desk, client_order_id=client_order_id, **fields), now_ns)
        elif kind == "cancel":
            day.submit(cancel(client_order_id, desk), now_ns)
        else:
            who = actor(now_ns, day.engine.next_sequence)
            if kind == "cap":
                day.log(who.event(DeskCapped, desk=desk, max_reserved_microcents=10**13))
            elif kind == "top-up":
                day.log(who.event(DeskToppedUp, desk=desk, amount_microcents=7))
            elif kind == "resume":
                day.log(who.event(DeskResumed, desk=desk))
            else:
                day.restart()
    return day


def audited(records: list[bytes], audit: Audit | None = None) -> dict[str, Any]:
    """The document of an audit of a log of these records."""
    audit = audit or Audit()
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        write_log(log, records)
        report = replay_log(log, HASHER, observe=audit.observe)
        if isinstance(audit, Audit):
            audit.live_again(lambda observe: replay_log(log, HASHER, observe=observe))
        return audit.document(report)
