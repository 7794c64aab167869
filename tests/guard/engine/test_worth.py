"""What lots are worth, rounded down, against integers of any size."""

from hypothesis import example, given
from hypothesis import strategies as st

from guard.engine.worth import Worth
from guard.protocol.instruments import Instrument

I64_MAX, U64_MAX = 2**63 - 1, 2**64 - 1
RATIOS = st.integers(1, 10**20)


@example(100, I64_MAX, 1, 100)  # 100 lots times the price is beyond 64 bits, what they cost is not
@example(U64_MAX, U64_MAX, 1, U64_MAX)
@example(3, 1, 1, 2)
@given(st.integers(0, U64_MAX), st.integers(0, U64_MAX), RATIOS, RATIOS)
def test_what_was_sold_is_rounded_down(
    lots: int, ticks: int, numerator: int, denominator: int
) -> None:
    worth = Worth(instrument := Instrument("X", "1", "1", "1", numerator, denominator))
    size = lots * ticks * instrument.numerator
    up = -(-size // instrument.denominator)
    down = size // instrument.denominator
    assert worth.traded_microcents(lots, ticks, True) == min(up, I64_MAX)
    assert worth.traded_microcents(lots, ticks, False) == (I64_MAX if up > I64_MAX else down)
