"""Like orders: the nearest in size, price and time of the same kind, however many there are."""

import math

import pytest

from guard.audit.like_orders import ONE, Life, LikeOrders, Stratum, scaled_log2

SECOND_NS = 1_000_000_000
ALPHA: Stratum = ("desk-alpha", "AAPL", 0, 1, 0)
BETA: Stratum = ("desk-beta", "AAPL", 0, 1, 0)
SELL: Stratum = ("desk-alpha", "AAPL", 1, 1, 0)


def life(
    sequence: int, quantity: int = 100, at_s: int = 0, away: int = 0, stratum: Stratum = ALPHA
) -> Life:
    return Life(stratum, sequence, at_s * SECOND_NS, quantity, away)


def likest(
    lives: list[Life],
    quantity: int = 100,
    at_s: int = 0,
    away: int = 0,
    *,
    stratum: Stratum = ALPHA,
    of_any_desk: bool = False,
    but: Life | None = None,
) -> int | None:
    found = LikeOrders(lives).likest(
        stratum, at_s * SECOND_NS, quantity, away, of_any_desk=of_any_desk, but=but
    )
    return None if found is None else found.sequence


@pytest.mark.parametrize("number", [1, 2, 3, 100, 4_294_967_295, 2**63])
def test_the_logarithm_is_close_and_exact_at_powers(number: int) -> None:
    exact = math.log2(number) * ONE
    assert exact - 0.09 * ONE <= scaled_log2(number) <= exact + 1e-6
    assert scaled_log2(2**40) == 40 * ONE


def test_nearest_in_size_in_price_and_in_time() -> None:
    assert likest([life(1, 50), life(2, 90), life(3, 1_000)]) == 2
    assert likest([life(1, away=9_000), life(2, away=-500)]) == 2
    assert likest([life(1, at_s=0), life(2, at_s=80)], at_s=60) == 2
    # A tenth of the size weighs more than a minute.
    assert likest([life(1, 10, at_s=60), life(2, 100, at_s=0)], at_s=60) == 2
    # Equally near: the earlier record.
    assert likest([life(1, at_s=0), life(2, at_s=2)], at_s=1) == 1


def test_of_the_same_desk_where_it_has_one() -> None:
    lives = [life(1, 1_000), life(2, stratum=BETA), life(3, stratum=SELL)]
    assert likest(lives) == 1
    assert likest(lives, of_any_desk=True) == 2
    assert likest(lives, stratum=("desk-gamma", *ALPHA[1:])) == 2
    assert likest(lives, stratum=("desk-gamma", "MSFT", *ALPHA[2:])) is None
    assert likest([]) is None


def test_an_order_is_not_its_own_like() -> None:
    first, second = life(1), life(2, 7)
    assert likest([first, second], but=first) == 2
    assert likest([first], but=first) is None


def test_sizes_far_away_are_found_and_many_of_one_size_do_not_slow() -> None:
    assert likest([life(1, 4_294_967_295)], 1) == 1
    many = [life(number, at_s=number) for number in range(1, 5_000)]
    near = LikeOrders(many)._near(ALPHA, 2_000 * SECOND_NS, 100)
    assert [each.sequence for each in near] == list(range(1_984, 2_016))
