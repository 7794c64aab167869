"""What is told for as long as it lasts: at once, at intervals, and when it is over."""

from guard.server.standing_alarms import (
    AGAIN_NS,
    FullFills,
    StandingAlarms,
    Words,
    words_of_clock,
    words_of_fills,
)
from guard_support import SECOND_NS, T0, LoggedEngine, fill, order


class Operator:
    """One look, and the lines that come of it."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.words: Words | None = None
        self.lines: list[str] = []
        self.alarms = StandingAlarms(
            lambda: self.now_ns,
            lambda text: self.lines.append(f"say {text}"),
            lambda text: self.lines.append(f"alarm {text}"),
            [lambda: None, lambda: self.words],
        )

    def look(self, after_ns: int = SECOND_NS) -> list[str]:
        self.now_ns += after_ns
        self.lines = []
        self.alarms.look()
        return self.lines


def test_it_is_told_at_once_at_intervals_and_when_it_is_over() -> None:
    operator = Operator()
    assert operator.look() == []
    operator.words = ("all is lost", "all was lost")
    assert operator.look() == ["alarm all is lost"]
    assert operator.alarms.lines() == ["all is lost"]
    operator.words = ("more is lost", "all was lost")
    assert operator.look() == []
    assert operator.alarms.lines() == ["more is lost"]
    operator.words = ("all is lost", "all was lost")
    assert operator.look(AGAIN_NS - SECOND_NS - 1) == []
    assert operator.look(1) == ["alarm all is lost"]
    operator.words = None
    assert operator.look() == ["say over: all was lost"]
    assert operator.alarms.lines() == []
    assert operator.look() == []
    operator.words = ("again", "it")
    assert operator.look() == ["alarm again"]


def test_a_clock_is_another_one_beyond_a_second() -> None:
    state = LoggedEngine().state
    for by_ns in (0, SECOND_NS, -SECOND_NS):
        assert words_of_clock(T0, T0 + by_ns, state) is None
    behind = words_of_clock(T0 - 90 * SECOND_NS, T0 - 90 * SECOND_NS, state)
    assert behind is not None
    assert behind[0].startswith("the system's clock is 90 s behind the log's time")
    assert "--accept-clock --why TEXT" in behind[0]
    ahead = words_of_clock(T0, T0 + 7 * SECOND_NS, state)
    assert ahead is not None
    assert ahead[0].startswith("the system's clock is 7 s ahead of the time that records get")


def test_desks_without_room_for_fills_are_named() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    shares = engine.state.orders.shares
    assert words_of_fills(engine.state) is None
    shares.fills_near = 1
    engine.submit(fill("F-1", 1, 0))
    words = words_of_fills(engine.state)
    assert words is not None
    assert "(fill_window_full): desk-alpha: seven eighths" in words[0]
    assert words_of_fills(LoggedEngine(rules_version=1).state) is None


def test_fills_that_were_refused_are_told_by_their_number() -> None:
    counted = 0
    full = FullFills(lambda: counted)
    assert full.words() is None
    counted = 3
    words = full.words()
    assert words is not None
    assert words[0].startswith("3 fills were refused (fill_window_full)")
    assert full.words() is None
