"""Replacements: who arrives with no cancel before it takes the place of the oldest that waits."""

from guard.audit.replacements import GAP_NS, Kind, Replacements

KIND: Kind = ("", "AAPL", 0, 100)
OTHER: Kind = ("", "AAPL", 1, 100)


def test_an_arrival_replaces_the_oldest_of_its_kind() -> None:
    found = Replacements()
    found.wait(KIND, 10, "first")
    found.wait(KIND, 20, "second")
    found.wait(OTHER, 5, "other")
    assert found.arrived(KIND, 30) == (10, "first")
    assert found.arrived(KIND, 40) == (20, "second")
    assert found.arrived(KIND, 50) is None
    assert found.arrived(OTHER, 60) == (5, "other")


def test_an_arrival_behind_a_cancel_replaces_what_was_canceled() -> None:
    found = Replacements()
    found.wait(KIND, 0, "waits")
    found.canceled(KIND, 100)
    found.canceled(KIND, 110)
    assert found.arrived(KIND, 100 + GAP_NS) is None
    # The second cancel is too long ago by one nanosecond.
    assert found.arrived(KIND, 111 + GAP_NS) == (0, "waits")


def test_a_cancel_that_was_followed_is_not_forgotten_twice() -> None:
    found = Replacements()
    found.wait(KIND, 0, "waits")
    found.canceled(KIND, 100)
    assert found.arrived(KIND, 150) is None
    found.canceled(KIND, 150 + GAP_NS)
    assert found.arrived(KIND, 160 + GAP_NS) is None
    assert found.arrived(KIND, 170 + GAP_NS) == (0, "waits")


def test_cancels_of_another_kind_explain_nothing() -> None:
    found = Replacements()
    found.wait(KIND, 0, "waits")
    found.canceled(OTHER, 1)
    assert found.arrived(KIND, 2) == (0, "waits")


def test_few_wait() -> None:
    found = Replacements(waiting_max=2)
    for number in range(4):
        found.wait(KIND, number, number)
    assert found.arrived(KIND, 9) == (2, 2)
    assert found.arrived(KIND, 9) == (3, 3)
    assert found.arrived(KIND, 9) is None
    # What was taken counts as waiting until it is the oldest: it then makes room for another.
    for number in range(4, 6):
        found.wait(KIND, number, number)
    assert found.arrived(KIND, 9) == (4, 4)
