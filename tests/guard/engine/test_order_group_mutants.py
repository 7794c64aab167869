"""Planted bugs of orders that stand or fall together: live and in replay, each is found.

One day has all of it. Played with a bug it says something else, deciding changes the state, or
nothing goes on; and the log of the day as it was, replayed with the bug, does not hold, or leaves
another state.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.engine import apply as applying
from guard.engine import order_group
from guard.engine.order_group import NONE_REFUSED, OrderGroup
from guard.engine.order_trial import OrderTrial
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.replay.replay import ReplayMismatch, replay_log
from guard_limits_support import WAIVED, limits_config
from guard_support import (
    KEY,
    SECOND_NS,
    T0,
    WINDOW_NS,
    LoggedEngine,
    cancel,
    fill,
    order,
    write_log,
)
from kernel import InvariantError
from kernel.ledger_trial import LedgerTrial
from order_group_support import together
from wal import ChainHasher

HASHER = ChainHasher(KEY)
LIMITS = f"""{WAIVED}
[limits.desk.desk-alpha]
duplicate_window_ms = 1000
open_orders_max = 9
position_long_max = 700
self_match = "refuse"
rates = [{{ kind = "orders", max = 4, window_ms = 2000 }}]
"""
CAP_LOTS = 400  # of AAPL at 19,000


def played() -> tuple[list[bytes], str]:
    """The day's records, and the digest of its state."""
    day = LoggedEngine(limits_config(LIMITS, ('"1500000.00"', '"76000.00"')))
    day.is_checked = False
    turn = iter(range(1, 1_000))

    def ask(*lots: int, price: int = 19_000, **changes: Any) -> None:
        """So many orders together, each at another price, three seconds after those before."""
        at_ns = T0 + 3 * SECOND_NS * next(turn)
        name = f"G-{len(day.records)}"
        asked = [
            order(f"{name}-{place}", quantity=quantity, price=price - place, **changes)
            for place, quantity in enumerate(lots)
        ]
        together(day, *asked, at_ns=at_ns)

    ask(100, 200)
    ask(1, 100, 1, symbol="NONE")
    ask(50, 51)  # beyond the cap, with what there is: the second alone
    ask(50, 40)
    ask(1, 1, 1, 1, 1)  # one more than the rate lets in
    day.submit(order("W-1", quantity=1, price=10_000), day.now_ns + SECOND_NS)
    day.submit(order("W-2", quantity=1, price=10_001))
    ask(1, 1)  # more than are left of the rate, had what was refused been counted
    day.submit(cancel("G-8-0"))
    day.submit(fill("F-1", 200, fee=0, client_order_id="G-8-1"))
    ask(90, 90, 90, side="sell", price=25_000)  # two reduce, the third is an entry
    day.submit(cancel("W-1"))
    ask(1, 1)  # of open orders there would be one too many
    for name in ("G-11-0", "G-11-1", "W-2", "G-15-0", "G-15-1"):
        day.submit(cancel(name))
    same = [order(f"D-{place}", quantity=3, price=18_000) for place in range(2)]
    together(day, *same, at_ns=T0 + 3 * SECOND_NS * next(turn))
    meeting = [order("M-1", quantity=2, price=19_500), order("M-2", quantity=2, side="sell")]
    together(day, *meeting, at_ns=T0 + 3 * SECOND_NS * next(turn))
    together(day, order("N-1"), order("M-1", quantity=2, price=19_500))
    together(day, *meeting)
    day.submit(order("N-1", quantity=1, price=17_000), T0 + 3 * SECOND_NS * next(turn))
    btc = {"symbol": "BTC-USD", "price": 6_000_000, "quantity": 10}
    together(day, order("P-1", **btc), order("P-2", risk_bps=9_700), at_ns=day.now_ns + SECOND_NS)
    for number in range(3):  # stale ones are not remembered
        together(day, order("Q-1", quantity=1), order(f"Q-{number + 2}", sent_at_ns=1))
    day.submit(order("R-1", quantity=1, price=16_000), T0 + WINDOW_NS + 2 * SECOND_NS)
    together(day, order("D-0", quantity=1, price=15_000), order("D-1", quantity=1, price=15_001))
    return day.records, state_digest_hex(day.state)


RECORDS, DIGEST = played()
REAL_HOLD, REAL_TAKE = LedgerTrial.hold, OrderTrial.take
REAL_REFUSE, REAL_KNOWN, REAL_BEGIN = (
    order_group._refuse_others, order_group._decide_known, order_group._begin
)  # fmt: skip


def _nothing(*_: Any) -> None:
    """It is not done."""


def _moves_nothing(self: LedgerTrial, amount_microcents: int) -> int:
    number = REAL_HOLD(self, amount_microcents)
    self._line.remaining, self._line.reserved = self._before[:2]
    return number


def _takes_no_number(self: LedgerTrial, amount_microcents: int) -> int:
    number = REAL_HOLD(self, amount_microcents)
    self._ledger._next_id = self._before[2]
    return number


def _works_not(self: OrderTrial, request: Any, outcome: Any) -> None:
    REAL_TAKE(self, request, outcome)
    applying.uncount_working(self._state, *self._taken.pop())


def _undone_but_for(part: str) -> Callable[[OrderTrial], None]:
    real = OrderTrial.undo

    def undo(self: OrderTrial) -> None:
        if part == "ledger":
            self._ledger.undo = _nothing  # type: ignore[method-assign]
        elif part == "rates":
            self._buckets = []
        elif part == "rows":
            self._position_count = self._state.positions.count
        elif part == "orders":
            self._taken = self._taken[1:]
        elif part == "ids":
            share = self._share
            self._ids = (share.ids, share.closed_first, share.open_count)
        real(self)
        if part == "recent":
            self._state.limits.recent.begin_trial()

    return undo


def _others_stand(group: OrderGroup) -> None:
    """Those that were admitted before the one that is refused stay so."""
    kept = [(outcome.kind, outcome.reason) for _, outcome in group.pairs]
    REAL_REFUSE(group)
    for (_, outcome), (kind, reason) in zip(group.pairs[: group.refused_index], kept, strict=False):
        outcome.kind, outcome.reason = kind, reason


def _any_repeat(state: Any, group: OrderGroup, known: list[bool]) -> bool:
    """Ids that some records know are a repeat, whichever."""
    group.is_repeat = all(known) or REAL_KNOWN(state, group, known)
    return False


def _none_known(state: Any, request: Any, outcome: Any) -> bool:
    REAL_BEGIN(state, request, outcome)
    return False


def _always(_group: OrderGroup) -> bool:
    return True


def _never(group: OrderGroup) -> bool:
    return bool(group.refused_index == NONE_REFUSED)


BUGS: dict[str, tuple[Any, str, Any]] = {
    "money is not counted together": (LedgerTrial, "hold", _moves_nothing),
    "each gets the same reservation": (LedgerTrial, "hold", _takes_no_number),
    "rates are not counted together": (OrderTrial, "_take_rates", _nothing),
    "ids and open orders are not counted together": (OrderTrial, "_take_id", _nothing),
    "what works is not counted together": (OrderTrial, "take", _works_not),
    "money stays held": (OrderTrial, "undo", _undone_but_for("ledger")),
    "rates stay used": (OrderTrial, "undo", _undone_but_for("rates")),
    "what was tried is a duplicate": (OrderTrial, "undo", _undone_but_for("recent")),
    "a position stays": (OrderTrial, "undo", _undone_but_for("rows")),
    "an order works on": (OrderTrial, "undo", _undone_but_for("orders")),
    "ids stay used": (OrderTrial, "undo", _undone_but_for("ids")),
    "those before the refused one stand": (order_group, "_refuse_others", _others_stand),
    "known ids are a repeat, whichever": (order_group, "_decide_known", _any_repeat),
    "known ids are decided anew": (order_group, "_begin", _none_known),
    "what is not remembered is": (OrderGroup, "is_remembered", property(_always)),
    "what is refused is not remembered": (OrderGroup, "is_remembered", property(_never)),
}  # fmt: skip


def is_found(play: Callable[[], tuple[list[bytes], str]]) -> bool:
    try:
        return play() != (RECORDS, DIGEST)
    except (InvariantError, AssertionError, ReplayMismatch, KeyError, ValueError):
        return True


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS)

    def replayed() -> tuple[list[bytes], str]:
        return RECORDS, state_digest_hex(replay_log(tmp_path, HASHER).engine.state)

    assert replayed() == (RECORDS, DIGEST)
    monkeypatch.setattr(*BUGS[name])
    assert is_found(played), "played with it, the day is the same"
    assert is_found(replayed), "replayed with it, the day is the same"


def test_the_day_has_all_of_it() -> None:
    said = b"".join(RECORDS)
    for word in (
        *("all_or_none_refused", "exposure_limit_exceeded", "open_orders_above_max"),
        *("order_rate_exceeded", "duplicate_order", "self_match", "client_order_id_reused"),
        *("risk_hard_limit", "stale_order"),
    ):
        assert b'"reason":"%b"' % word.encode() in said, word
    assert b'"reducing":true' in said
