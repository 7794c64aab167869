"""What counts for a desk in a symbol: which pairs share it, and which venues it allows."""

from typing import Any

import pytest

from guard.engine.limits import Effective, Limits
from guard.protocol.limits import LimitScope, RateLimit, normalized

ONE_A_SECOND = [RateLimit("orders", 1_000, 1)]


def limits(*tree: LimitScope) -> Limits:
    made = Limits()
    made.set(normalized(list(tree)), "")
    return made


def of(known: Limits, desk: str, symbol: str) -> Effective:
    return known.effective(known.desk_class(desk), known.symbol_class(symbol))


# What one desk is told, and whether what counts for it then is the same as for one told of 5 lots.
TOLD: list[tuple[dict[str, Any], bool]] = [
    ({"quantity_max": 5}, True),
    ({"quantity_max": 6}, False),
    ({"quantity_min": 1}, False),
    ({"venues": [10]}, False),
    ({"drop_copy_venues": [10], "reconcile_s": 1}, False),
    ({"restricted_symbols": ["AAPL"]}, False),
    ({"symbols": ["BTC-USD"]}, False),
    ({"rates": ONE_A_SECOND}, False),
]


@pytest.mark.parametrize(("told", "is_shared"), TOLD)
def test_what_counts_is_one_where_the_same_counts(told: dict[str, Any], is_shared: bool) -> None:
    known = limits(
        LimitScope(quantity_max=9, value_max_microcents=7, rates=ONE_A_SECOND, reconcile_s=1),
        LimitScope("d1", quantity_max=5),
        LimitScope("d2", **({"quantity_max": 5} | told)),
    )
    one, other = of(known, "d1", "AAPL"), of(known, "d2", "AAPL")
    assert (one is other) == is_shared
    assert (one.content() == other.content()) == is_shared
    assert of(known, "d1", "AAPL") is one
    assert of(known, "d3", "AAPL") is of(known, "d4", "BTC-USD") is not one


def test_a_scope_tells_them_apart() -> None:
    """The same number of another scope is another one: a reject says whose it is."""
    known = limits(
        LimitScope(quantity_max=9),
        LimitScope("d1", quantity_max=5),
        LimitScope("", "AAPL", quantity_max=5),
    )
    assert of(known, "d1", "BTC-USD").content() != of(known, "d2", "AAPL").content()
    assert of(known, "d1", "BTC-USD") is not of(known, "d2", "AAPL")


def test_desks_with_rates_of_their_own_share_nothing() -> None:
    known = limits(*(LimitScope(desk, rates=ONE_A_SECOND) for desk in ("d1", "d2")))
    one, other = of(known, "d1", "AAPL"), of(known, "d2", "AAPL")
    assert one is not other
    one.order_buckets[0].take(1, 1)
    assert (one.order_buckets[0].used(1), other.order_buckets[0].used(1)) == (1, 0)


def test_another_tree_begins_anew() -> None:
    known = limits(LimitScope("d1", quantity_max=5, rates=ONE_A_SECOND))
    before = of(known, "d1", "AAPL")
    before.order_buckets[0].take(1, 1)
    known.set(normalized([LimitScope("d1", quantity_max=6, rates=ONE_A_SECOND)]), "")
    after = of(known, "d1", "AAPL")
    assert after is not before
    assert after.order_buckets == before.order_buckets, "what is used of a rate stays"


def test_rates_stand_by_their_kind_too() -> None:
    kinds = ("orders", "replaces", "notional", "cancels")
    both = [RateLimit(kind, window, 3) for kind in kinds for window in (1_000, 2_000)]
    known = limits(LimitScope(rates=both), LimitScope("d1", rates=both[:6]))
    found = of(known, "d1", "AAPL")
    assert len(found.buckets) == 14
    by_kind = (found.order_buckets, found.replace_buckets, found.notional_buckets)
    for number, buckets in zip((0, 4, 1), by_kind, strict=True):
        assert [bucket for bucket in found.buckets if bucket.kind == number] == buckets
        assert [bucket.scope for bucket in buckets] == [1, 1, 2, 2], "the widest scope's first"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 100])
def test_those_venues_and_no_others(count: int) -> None:
    """Of any number of them, the least and the greatest that a venue can be included."""
    most = 2**32 - 1
    venues = frozenset([*range(10, 10 + 3 * count, 3)][: max(0, count - 2)] + [0, most][:count])
    found = Effective()
    assert found.allows(0)
    assert found.allows(most), "where nothing is said"
    found.allow(venues, 2)
    for venue in {0, 1, most - 1, most, *range(5, 320)}:
        assert found.allows(venue) == (venue in venues)
