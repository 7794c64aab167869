"""Planted bugs of self-match, short sales and `cancel_all`: live and in replay, each is found.

One day has all of it. Played with a bug it says something else, or nothing goes on; and the log of
the day as it was, replayed with the bug, does not hold.
"""

from pathlib import Path
from typing import Any

import pytest

from cancel_all_support import cancel_all
from guard.admin import messages as asked
from guard.admin.actions import plan
from guard.engine import cancel_all as ending
from guard.engine import locating, self_match, short_sales, working_book
from guard.engine.locates import Locates
from guard.engine.working_book import WorkingBook
from guard.protocol.messages import Reduce
from guard.replay.replay import ReplayMismatch
from guard_limits_support import WAIVED, limited
from guard_support import KEY, LoggedEngine, actor, cancel, fill, order, status
from kernel import InvariantError
from planted_support import check_found, interpreted
from wal import ChainHasher

HASHER = ChainHasher(KEY)
LIMITS = f"""{WAIVED}market_buffer_bps = 0
self_match = "flag"
[limits.symbol.AAPL]
short_sales = "locate"
[limits.desk.desk-beta]
self_match = "refuse"
"""
MARK = {"AAPL": (19_000, 1)}


def lend(day: LoggedEngine, locate_id: str, desk: str, lots: int) -> None:
    named = {"locate_id": locate_id, "desk": desk, "symbol": "AAPL", "quantity_lots": lots}
    action = asked.AddLocate(**named, action_id=locate_id, why="lent")
    day.log(plan(day.state, action, actor(day.now_ns)).event)


def played() -> list[bytes]:
    """The day's records."""
    day = limited(LIMITS, MARK)
    lend(day, "L-1", "desk-alpha", 100)
    lend(day, "L-2", "desk-beta", 50)
    beta = {"desk": "desk-beta"}
    sell = {"side": "sell", "locate_id": "L-1"}
    day.submit(order("A-1"))
    day.submit(fill("F-1", 150, fee=0))  # of which 100 may be reduced
    day.submit(order("E-1", side="sell", price=20_000))
    day.submit(order("S-1", quantity=30, price=19_500, **sell))
    for name, price in (("B-1", 19_501), ("B-2", 19_500), ("B-3", 19_499)):
        day.submit(order(name, price=price, **beta))
    day.submit(order("S-2", quantity=5, price=19_499, **sell))  # is flagged
    day.submit(order("S-3", side="sell", quantity=5, locate_id="L-2"))  # another desk's
    day.submit(Reduce("desk-alpha", "S-1", "R-1", 10))
    day.submit(order("S-4", quantity=76, price=20_000, **sell))  # one more than is left
    day.submit(fill("F-2", 5, fee=0, client_order_id="S-1"))
    day.submit(cancel("S-1"))
    day.submit(fill("F-3", 3, fee=0, client_order_id="S-1"))  # late
    day.submit(cancel("E-1"))
    day.submit(order("S-5", quantity=175, price=20_000, **sell))  # one more than is left
    day.submit(order("E-2", side="sell", quantity=10, price=19_400))  # flagged, and passes
    day.submit(order("A-2", price=1_000))
    market = {"side": "sell", "order_type": "market", "quantity": 5, "locate_id": "L-2"}
    day.submit(cancel("B-3", "desk-beta"))
    day.submit(order("B-4", **market, **beta))
    day.submit(order("E-3", side="sell", quantity=10, price=19_400))  # meets nothing now
    day.submit(order("D-1", quantity=5_000, price=18_000))
    through = day.submit(status("D-1")).answer.wal_sequence
    day.submit(fill("F-4", 1, fee=3 * 10**14, client_order_id="A-2"))
    day.submit(order("E-4", side="sell", quantity=10, price=21_000))  # behind the named record
    cancel_all(day, through, of_desk="desk-alpha", of_venue=20)
    cancel_all(day, through, of_desk="desk-alpha", of_symbol="AAPL")
    day.submit(order("S-6", quantity=101, price=20_000, **beta | sell))
    day.submit(order("E-5", side="sell", quantity=1, price=21_000, locate_id="L-1"))
    cancel_all(day, through)
    cancel_all(day)
    return day.records


RECORDS = played()
REAL_USED, REAL_MEANT = locating.used_by, ending._is_meant


def _whatever_was_bought_covers(state: Any, request: Any, found: Any) -> int:
    row = state.positions.find(found.desk.share, found.worth.number)
    there = 0 if row < 0 else state.positions.position(row) - state.positions.working(row, 1)
    return max(0, min(request.quantity, request.quantity - there))


def _working_sells_cover(state: Any, request: Any, found: Any) -> int:
    row = state.positions.find(found.desk.share, found.worth.number)
    there = 0 if row < 0 else state.positions.reducible(row, 1)
    return max(0, request.quantity - there)


def _used_while_open(state: Any, row: int) -> int:
    used = REAL_USED(state, row)
    return used if used and state.orders.phase(row) == 1 else 0


def _used_for_good(state: Any, row: int) -> int:
    if row == -1 or not REAL_USED(state, row):
        return 0
    return int(state.orders.known_outcome.located_lots)


def _of_any_record(state: Any, row: int, scope: Any) -> bool:
    scope.through_sequence, named = 2**62, scope.through_sequence
    try:
        return REAL_MEANT(state, row, scope)
    finally:
        scope.through_sequence = named


def _of_any_venue(state: Any, row: int, scope: Any) -> bool:
    scope.of_venue, named = None, scope.of_venue
    try:
        return REAL_MEANT(state, row, scope)
    finally:
        scope.of_venue = named


def _short_of_it(self: WorkingBook, symbol: int, venue: int, one: Any) -> bool:
    side = self._sides.get(symbol * (1 << 33) + venue * 2 + 1 - one.side)
    if side is None:
        return False
    return side.best() + working_book.place_of(one.side, one.order_type, one.price) < 0


def _market_at_its_price(side: int, _order_type: int, price: int) -> int:
    return -price if side == 0 else price


BUGS: dict[str, tuple[Any, str, Any]] = {
    "lots beyond what was ordered cover a sell": (
        short_sales, "_short_lots", _whatever_was_bought_covers,
    ),
    "what is being sold covers another sell": (short_sales, "_short_lots", _working_sells_cover),
    "another desk's locate will do": (
        short_sales, "locate_of", lambda state, request: state.locates.get(request.locate_id),
    ),
    "no locate counts down": (Locates, "use", lambda *_: None),
    "a closed order uses nothing of its locate": (locating, "used_by", _used_while_open),
    "nothing comes back to a locate": (locating, "used_by", _used_for_good),
    "equal prices do not meet": (WorkingBook, "meets", _short_of_it),
    "closed orders are met": (WorkingBook, "take", lambda *_: 0),
    "a market order works at its price": (working_book, "place_of", _market_at_its_price),
    "nothing is flagged": (self_match, "is_flagged", lambda *_: False),
    "cancel_all closes what came behind its record": (ending, "_is_meant", _of_any_record),
    "cancel_all asks for no venue": (ending, "_is_meant", _of_any_venue),
    "cancel_all pays no debt": (ending, "_owing", lambda *_: []),
    "cancel_all gives nothing back to locates": (locating, "note_change", lambda *_: None),
}  # fmt: skip


@interpreted
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ends = (InvariantError,)
    caught = check_found(BUGS[name], played, RECORDS, tmp_path, monkeypatch, ends)
    assert isinstance(caught.value, ReplayMismatch | InvariantError)


def test_the_day_has_all_of_it() -> None:
    said = b"".join(RECORDS)
    for word in ("self_match", "locate_unknown", "locate_exceeded"):
        assert b'"reason":"%b"' % word.encode() in said, word
    for word in (b'"self_match":true', b'"located_lots":30', b'"reducing":true', b'"orders":0'):
        assert word in said, word
    assert b'"collected_microcents"' in said
