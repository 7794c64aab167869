"""What is remembered of executions beside the fills of their order. Pure; reads the state.

Owns the identity of an execution (its desk, venue and id), the form in which it stands in a row
beside its order's fills, and which of them counts in a fill's place though it says another symbol
or side (`guard.engine.execution` has the rule).

How it fails: it does not.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from guard.engine import remembered_rows
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import EXECUTION_CONFIRMS, REFUSED, UNKNOWN
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

# Of an execution's content: what its identity does not say, in the protocol's order.
CONTENT: Final = ("client_order_id", "symbol", "side", "quantity", "price", "executed_at_ns")


class Answered(NamedTuple):
    """An execution as it is remembered: its content, and what was answered."""

    client_order_id: str
    symbol: str
    side: int
    quantity: int
    price: int
    executed_at_ns: int
    sequence: int
    open_quantity: int
    hold_microcents: int
    released_microcents: int
    collected_microcents: int
    flags: int


decode: Final = msgspec.msgpack.Decoder(Answered).decode


def executions_of(state: GuardState, row: int) -> Iterator[tuple[str, int, Answered]]:
    """Id, venue and content of each execution of the order in that row, the newest first."""
    for beside_row in remembered_rows.beside_of(state.orders, row):
        yield read(state, beside_row)


def read(state: GuardState, beside_row: int) -> tuple[str, int, Answered]:
    """Id, venue and content of the execution in that row."""
    orders = state.orders
    named = remembered_rows.key_of_fill(orders, beside_row).decode().rpartition("\0")[2]
    venue, _, execution_id = named.partition("/")
    return execution_id, int(venue), decode(remembered_rows.payload_beside(orders, beside_row))


def lots_moved(state: GuardState, beside_row: int, order_key: bytes) -> int:
    """How many lots of its order the execution in that row has filled: what its fill had not."""
    execution_id, _, said = read(state, beside_row)
    fill_row = remembered_rows.find_fill(state.orders, order_key + b"\0" + execution_id.encode())
    if not said.flags & EXECUTION_CONFIRMS or fill_row == NO_ROW:
        return said.quantity
    fill, answer = Request(), Outcome()
    state.orders.read_fill(fill_row, fill, answer)
    if answer.flags & UNKNOWN and not answer.flags & REFUSED:  # it has counted nothing
        return said.quantity
    return max(0, said.quantity - fill.quantity)


def other_leg(state: GuardState, row: int, fill_key: bytes) -> Answered | None:
    """The execution that counts in the place of a fill of the order in that row, of another symbol
    or side than the order's; None where there is none. The order is read then."""
    orders = state.orders
    orders.read(row)
    order, venue = orders.known, orders.known_outcome.venue
    is_admitted = orders.phase(row) != OrderPhase.REFUSED
    fill_id = fill_key.decode().rpartition("\0")[2]
    for execution_id, at_venue, said in executions_of(state, row):
        is_of_fill = execution_id == fill_id and (not is_admitted or at_venue == venue)
        if is_of_fill and (said.symbol, said.side) != (order.symbol, order.side):
            return said
    return None
