"""What an operator is told for as long as it lasts: a clock that is wrong, fills without room.

Owns when such a thing is told (at once, again every `AGAIN_NS`, and when it is over) and the words
for each. Decides nothing. How it fails: it does not.
"""

from collections.abc import Callable, Sequence
from typing import Final

from guard.engine.shares import FILLS_PER_ORDER_MAX
from guard.engine.state import GuardState
from guard.engine.suspects import SuspectSweep
from guard.process.line_forms import told
from guard.protocol.instruments import counted
from guard.protocol.ranges import CLOCK_TOLERANCE_NS, NANOSECONDS_PER_SECOND
from guard.server.marks import Marks

AGAIN_NS: Final = 600 * NANOSECONDS_PER_SECOND
DESKS_NAMED_MAX: Final = 5
SUSPECTS_LOOKED_AT: Final = 512  # at a time: no request waits longer for it

# What is to be told now, and what it is called where it is over; None where all is well.
Words = tuple[str, str]
Look = Callable[[], Words | None]


class StandingAlarms:
    """Looks again and again, and tells."""

    def __init__(
        self,
        monotonic_ns: Callable[[], int],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
        looks: Sequence[Look] = (),
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._say = say
        self._alarm = alarm
        self._looks = looks
        # Of each that lasts: what it is called, and when it is told next; what is to be told of it.
        self._standing: dict[int, tuple[str, int]] = {}
        self._words: dict[int, str] = {}

    def watch(self, looks: Sequence[Look]) -> None:
        """Looks at these from now on."""
        self._looks = looks

    def lines(self) -> list[str]:
        """What stands, in words, as it was at the last look."""
        return [self._words[index] for index in sorted(self._words)]

    def look(self) -> None:
        """Looks at each of them once."""
        now_ns = self._monotonic_ns()
        for index, look in enumerate(self._looks):
            words, known = look(), self._standing.get(index)
            if words is None:
                self._words.pop(index, None)
                if known is not None:
                    del self._standing[index]
                    self._say(told("over", f"over: {known[0]}", what=known[0]))
                continue
            self._words[index] = words[0]
            if known is None or now_ns >= known[1]:
                self._standing[index] = (words[1], now_ns + AGAIN_NS)
                self._alarm(told("standing", words[0], what=words[1]))


def words_of_clock(wall_ns: int, system_ns: int, state: GuardState) -> Words | None:
    """Where the time that records get is not the system's."""
    log_ns = max(wall_ns, state.last_received_at_ns)
    ahead_ns = log_ns - system_ns
    if abs(ahead_ns) <= CLOCK_TOLERANCE_NS:
        return None
    seconds = abs(ahead_ns) // NANOSECONDS_PER_SECOND
    if ahead_ns < 0:
        return (
            f"the system's clock is {seconds} s ahead of the time that records get, which was set "
            "when the process started: orders' ages are judged by the system's clock; a restart "
            "takes it for the records too",
            "the system's clock was ahead of the records' time",
        )
    return (
        f"the system's clock is {seconds} s behind the log's time: a clock has been ahead. Orders "
        "are served and their ages judged by the system's clock; every record gets one time, and "
        "no id is forgotten, until it has caught up. If the system's clock is right, start once "
        "with --accept-clock --why TEXT",
        "the system's clock was behind the log's time",
    )


def words_of_fills(state: GuardState) -> Words | None:
    """Where a desk has nearly as many fills as can be remembered, and may enter no orders."""
    shares = state.orders.shares
    if not shares.is_split:
        return None
    desks = [
        name
        for name, desk in state.desks.items()
        if shares.of(desk.share).fills >= shares.fills_near or shares.of(desk.share).crowded
    ]
    if not desks:
        return None
    named = ", ".join(desks[:DESKS_NAMED_MAX]) + (", ..." if len(desks) > DESKS_NAMED_MAX else "")
    return (
        f"desks that may enter no orders (fill_window_full): {named}: seven eighths of the fills "
        f"that can be remembered are, {shares.fills_max} for a desk and {FILLS_PER_ORDER_MAX} for "
        "an order that is open",
        f"no room for fills of {named}",
    )


def words_of_jumps(marks: Marks, wall_ns: int) -> Words | None:
    """Where a symbol's mark has jumped to what nothing confirms, so that entries are refused."""
    symbols = [
        symbol.decode()
        for symbol, mark in sorted(marks.waiting.items())
        if mark.is_denied or wall_ns - mark.stands_since_ns < mark.confirm_ns
    ]
    if not symbols:
        return None
    named = ", ".join(symbols[:DESKS_NAMED_MAX]) + (
        ", ..." if len(symbols) > DESKS_NAMED_MAX else ""
    )
    return (
        f"marks have jumped to what nothing confirms yet: {named}: entries there are refused "
        "(reference_unconfirmed) until another source confirms it or mark_confirm_ms have passed",
        f"marks of {named} had jumped and were not confirmed",
    )


class SuspectOrders:
    """Open orders that should not be open any more, as `guard.engine.suspects` counts them."""

    def __init__(self, state: GuardState, now_ns: Callable[[], int]) -> None:
        self._state, self._now_ns = state, now_ns
        self._sweep = SuspectSweep(state, SUSPECTS_LOOKED_AT)

    def words(self) -> Words | None:
        """Where the last sweep over all of them found any."""
        self._sweep.step(self._now_ns())
        count = self._sweep.count
        if not count:
            return None
        verb, whose = ("is", "its") if count == 1 else ("are", "their")
        return (
            f"{counted(count, 'order')} {verb} open that {whose} venue has ended by now (ioc and "
            "fok beyond immediate_order_s, day beyond its session's end), or whose replace it has "
            "answered: "
            "what they hold stays held until its word or a cancel comes, or a person frees it "
            "(`pretrade-guard admin orders --suspect` lists them)",
            "orders were open that their venue had ended",
        )


class FullFills:
    """Fills that could not be recorded: no room is left for their ids."""

    def __init__(self, count: Callable[[], int]) -> None:
        self._count = count
        self._told = 0

    def words(self) -> Words | None:
        """Where there are more of them than at the last look."""
        count = self._count()
        if count == self._told:
            return None
        more, self._told = count - self._told, count
        return (
            f"{more} fills were refused (fill_window_full) and change nothing: book them by hand, "
            "or send them again when the desk's older orders are forgotten",
            "fills were refused (fill_window_full)",
        )
