"""What a duplicate is held against, beside a memory that keeps everything in a dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from guard.engine.recent import NEVER, RECENT_MAX, Recent
from guard.protocol.request import Request

WINDOW_NS = 100


def order(number: int, elapsed_ns: int, desk: str = "d1", symbol: str = "AAPL") -> Request:
    made = Request()
    made.set_text("desk", desk.encode())
    made.set_text("symbol", symbol.encode())
    made.side, made.price, made.quantity, made.elapsed_ns = number % 2, number + 1, 7, elapsed_ns
    return made


def memory(window_ns: int = WINDOW_NS) -> Recent:
    made = Recent()
    made.window_ns = window_ns
    return made


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 33, 99, 100, 101]), st.booleans()),
        max_size=60,
    )
)
def test_it_knows_the_last_time_within_its_window(steps: list[tuple[int, int, bool]]) -> None:
    recent, known = memory(), dict[int, int]()
    now_ns = 1
    for number, step_ns, is_restarted in steps:
        now_ns += step_ns
        since_ns = recent.since(order(number, now_ns))
        told = now_ns - known[number] if number in known else NEVER
        if told < WINDOW_NS:
            assert since_ns == told
        else:
            assert since_ns in (NEVER, told), "what is too old may be kept a while"
        recent.note(order(number, now_ns))
        known[number] = now_ns
        assert recent.since(order(number, now_ns)) == 0
        if is_restarted:
            dumped, recent = recent.dump(), memory()
            recent.load(dumped)
            assert recent.dump() == dumped
    kept = [at_ns for at_ns, _ in recent.dump()]
    assert kept == sorted(kept)
    assert all(now_ns - at_ns < WINDOW_NS for at_ns in kept), "no more than the window is kept"


def test_what_differs_in_anything_is_another() -> None:
    recent = memory()
    recent.note(order(2, 5))
    assert recent.since(order(2, 7)) == 2
    others = [order(1, 7), order(4, 7), order(2, 7, desk="d2"), order(2, 7, symbol="AAP")]
    others.append(order(2, 7, desk="d1A", symbol="APL"))  # the names' bytes in a row are the same
    other = order(2, 7)
    other.quantity = 8
    assert [recent.since(each) for each in [*others, other]] == [NEVER] * 6


def test_beyond_its_number_the_oldest_goes() -> None:
    """As many as it keeps, of which many share a chain, and then some more, past its end."""
    recent, more = memory(2**62), 100
    for number in range(RECENT_MAX):
        recent.note(order(number, 1 + number))
    now_ns = RECENT_MAX
    for number in range(RECENT_MAX):
        assert recent.since(order(number, now_ns)) == now_ns - number - 1
    for number in range(RECENT_MAX, RECENT_MAX + more):
        assert recent.since(order(number, now_ns)) == NEVER
        recent.note(order(number, 1 + number))
    assert len(recent.dump()) == RECENT_MAX
    now_ns += more
    for number in range(RECENT_MAX + more):
        told = now_ns - number - 1 if number >= more else NEVER
        assert recent.since(order(number, now_ns)) == told


def test_forgotten_it_begins_anew() -> None:
    recent = memory()
    recent.note(order(1, 5))
    recent.forget()
    assert (recent.since(order(1, 5)), recent.dump()) == (NEVER, [])
    recent.note(order(1, 6))
    assert (recent.since(order(1, 8)), len(recent.dump())) == (2, 1)


def test_a_trial_leaves_no_trace() -> None:
    recent = memory()
    recent.note(order(1, 5))
    before = recent.dump()
    recent.begin_trial()
    recent.note(order(2, 6))
    assert (recent.since(order(2, 6)), recent.since(order(1, 6))) == (0, 1)
    recent.end_trial()
    assert (recent.since(order(2, 6)), recent.dump()) == (NEVER, before)
