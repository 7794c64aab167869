"""The lane of fills: a fill that goes its way leaves what the engine leaves."""

import pytest

from guard.engine.engine import Engine
from guard.record.codec import decode_data, encode_data
from guard.outcomes import Decided
from guard.replay_lane import ReplayLane
from guard.replay_parts import FILLED
from guard_support import LoggedEngine, cancel, describe, fill, order
from replay_support import row_of


def lived(day: LoggedEngine, count: int) -> Engine:
    """The engine after so many of the day's records."""
    engine = Engine()
    for sequence, data in enumerate(day.records[:count], 1):
        engine.apply(sequence, decode_data(data).outcome)
    return engine


def taken(day: LoggedEngine) -> bool:
    """Whether the lane takes the day's last record; what it leaves and tells is then right."""
    count = len(day.records)
    engine = lived(day, count - 1)
    kind, row = row_of(day.records[-1], count)
    assert kind == FILLED
    rows = bytes([kind]) + len(row).to_bytes(4, "little") + row
    told: list[Decided] = []
    lane = ReplayLane(engine.state)
    before = describe(engine.state)
    end = lane.fold(rows, 0, told.append, None)
    if end == 0:
        assert (describe(engine.state), told, lane.fills.record_count) == (before, [], 0)
        return False
    assert (end, lane.fills.record_count) == (len(rows), 1)
    assert describe(engine.state) == describe(day.state)
    assert [encode_data(decided) for decided in told] == [day.records[-1]]
    return True


@pytest.mark.parametrize("quantities", [(100,), (1,), (40, 60), (33, 33, 34), (99, 1)])
def test_parts_and_the_rest(quantities: tuple[int, ...]) -> None:
    day = LoggedEngine()
    day.admit(order(currency=None, sent_at_ns=day.now_ns + 7))
    for number, quantity in enumerate(quantities):
        day.submit(fill(f"F-{number}", quantity))
        assert taken(day)


def test_a_hold_beyond_32_bits_of_lots_and_64_of_product() -> None:
    day = LoggedEngine()
    day.admit(order(quantity=7_777, price=19_001))
    for number in range(5):
        day.submit(fill(f"F-{number}", 1_111, fee=0, price=1, executed_at_ns=2))
        assert taken(day)


def test_what_is_not_the_lanes() -> None:
    """Records that say what the state does not: chained anew they would be lies."""
    day = LoggedEngine()
    day.admit(order())
    day.submit(fill("F-1", 40))
    good = day.records[-1]
    for old, new in (
        (b'"quantity":40', b'"quantity":41'),
        (b'"open_quantity":60', b'"open_quantity":61'),
        (b'"released_microcents":', b'"released_microcents":1'),
        (b'"hold_microcents":1', b'"hold_microcents":2'),
        (b'"client_order_id":"A-1"', b'"client_order_id":"A-2"'),
        (b'"desk":"desk-alpha"', b'"desk":"desk-beta"'),
        (b'"fee_microcents":5000', b'"fee_microcents":9000000000000000000'),
        (b'"quantity":40', b'"quantity":101'),
    ):
        assert old in good
        day.records[-1] = good.replace(old, new)
        assert not taken(day), new


def test_a_fill_of_a_closed_order_and_one_that_is_known() -> None:
    for close in (lambda day: day.submit(cancel()), lambda day: day.submit(fill("F-0", 100))):
        day = LoggedEngine()
        day.admit(order())
        close(day)
        late = LoggedEngine()
        late.admit(order())
        late.submit(fill("F-1", 40))
        sequence = len(day.records) + 1
        said = b'"wal_sequence":%d' % len(late.records)
        day.records.append(late.records[-1].replace(said, b'"wal_sequence":%d' % sequence))
        assert not taken(day)
    day = LoggedEngine()
    day.admit(order())
    day.submit(fill("F-1", 40))
    again = day.records[-1].replace(b'"wal_sequence":9', b'"wal_sequence":10')
    day.records.append(again.replace(b'"open_quantity":60', b'"open_quantity":20'))
    assert not taken(day)
