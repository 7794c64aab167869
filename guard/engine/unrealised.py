"""What a position would make at the price that the log holds of its symbol. Pure."""

from guard.engine.positions import POSITION_ROW
from guard.engine.prices import NO_PRICE
from guard.engine.state import GuardState
from guard.protocol.instruments import Instrument

_COST = POSITION_ROW.index("cost_microcents")


def unrealised_microcents(state: GuardState, instrument: Instrument, row: int) -> int | None:
    """Beyond its cost, rounded down; None where it has no price.

    `row`: of the positions (`guard.engine.positions`), in that instrument.
    """
    lots = state.positions.position(row)
    if lots == 0:
        return 0
    price = state.prices.price(state.positions.number_of(instrument.symbol))
    if price == NO_PRICE:
        return None
    cost = state.positions.value(row, _COST)
    # Rounded down of a long position, and, since it is below zero, away from zero of a short one.
    worth = lots * price * instrument.numerator // instrument.denominator
    return worth - cost if lots > 0 else cost + worth
