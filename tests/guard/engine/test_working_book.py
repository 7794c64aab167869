"""The book of prices at which orders work, beside a list of the orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.engine.working_book import WorkingBook
from guard.protocol.messages import I64_MAX
from guard.protocol.request import Request
from kernel import InvariantError

BUY, SELL, LIMIT, MARKET = 0, 1, 0, 1
PRICES = st.sampled_from((1, 2, 3, 99, 100, I64_MAX - 1, I64_MAX))
ORDERS = st.tuples(
    st.sampled_from((1, 2)), st.sampled_from((10, 2**32 - 1)), st.sampled_from((BUY, SELL)),
    st.sampled_from((LIMIT, LIMIT, MARKET)), PRICES,
)  # fmt: skip
Placed = tuple[int, int, int, int, int]


def request(order: Placed) -> Request:
    made = Request()
    _, _, made.side, made.order_type, made.price = order
    return made


def meets(one: Placed, other: Placed) -> bool:
    """Said a second time: the same symbol and venue, the other side, prices that cross."""
    if one[:2] != other[:2] or one[2] == other[2]:
        return False
    buy, sell = (one, other) if one[2] == BUY else (other, one)
    return MARKET in (one[3], other[3]) or buy[4] >= sell[4]


@given(st.lists(st.tuples(ORDERS, st.booleans()), max_size=60), st.lists(ORDERS, max_size=8))
def test_it_says_what_the_list_of_orders_says(
    steps: list[tuple[Placed, bool]], asked: list[Placed]
) -> None:
    book, orders = WorkingBook(), []
    book.begin(True)
    for order, is_added in steps:
        if is_added or not orders:
            orders.append(order)
            book.add(*order[:2], request(order))
        else:
            ended = orders.pop(order[4] % len(orders))
            book.take(*ended[:2], request(ended))
        for each in (order, *asked):
            wanted = any(meets(each, other) for other in orders)
            assert book.meets(*each[:2], request(each)) == wanted
    assert sum(count for *_, count in book.dump()) == len(orders)
    again = WorkingBook()
    again.begin(True)
    for order in reversed(orders):
        again.add(*order[:2], request(order))
    assert again.dump() == book.dump()
    for order in orders:
        book.take(*order[:2], request(order))
    assert book.dump() == []


def test_prices_that_no_order_has_any_more_do_not_pile_up() -> None:
    book = WorkingBook()
    book.begin(True)
    best: Placed = (1, 10, BUY, LIMIT, 10**6)
    book.add(1, 10, request(best))
    for price in range(1, 2_000):
        order: Placed = (1, 10, BUY, LIMIT, price)
        book.add(1, 10, request(order))
        book.take(1, 10, request(order))
    assert book.prices_kept() <= 70
    assert book.meets(1, 10, request((1, 10, SELL, LIMIT, 10**6)))
    assert not book.meets(1, 10, request((1, 10, SELL, LIMIT, 10**6 + 1)))


def test_what_was_never_put_in_cannot_be_taken_out() -> None:
    book = WorkingBook()
    book.begin(True)
    order: Placed = (1, 10, BUY, LIMIT, 5)
    with pytest.raises(InvariantError, match="no order works at venue 10"):
        book.take(1, 10, request(order))
    book.add(1, 10, request(order))
    with pytest.raises(InvariantError, match="no order works at place -6"):
        book.take(1, 10, request((1, 10, BUY, LIMIT, 6)))
    book.begin(True)
    assert book.dump() == []
