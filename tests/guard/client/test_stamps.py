"""When an order was first sent: kept for whoever sends it again, and bounded."""

import msgspec

from guard.client.stamps import Stamps
from guard.protocol.messages import Order

ORDER = Order("A-1", "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000)


def named(name: str, desk: str = "desk-alpha") -> Order:
    return msgspec.structs.replace(ORDER, client_order_id=name, desk=desk)


def test_an_order_has_one_stamp_by_desk_and_id() -> None:
    stamps = Stamps()
    assert stamps.first_ns(named("A"), 10) == 10
    assert stamps.first_ns(named("A"), 11) == 10
    assert stamps.first_ns(named("A", "desk-beta"), 12) == 12
    assert stamps.first_ns(named("B"), 13) == 13
    assert stamps.first_ns(named("A"), 14) == 10


def test_the_last_generation_at_least_is_kept_and_two_at_most() -> None:
    stamps = Stamps(generation_max=100)
    for at in range(1, 1_001):
        assert stamps.first_ns(named(f"A-{at}"), at) == at
        assert len(stamps._young) + len(stamps._old) <= 200
        oldest = max(1, at - 99)
        assert stamps.first_ns(named(f"A-{oldest}"), 5_000) == oldest
    assert stamps.first_ns(named("A-1"), 5_000) == 5_000, "forgotten"


def test_what_is_no_name_is_not_kept() -> None:
    stamps = Stamps()
    bad = named("A")
    bad.desk = ["desk"]  # type: ignore[assignment]
    assert (stamps.first_ns(bad, 1), stamps.first_ns(bad, 2)) == (1, 2)
