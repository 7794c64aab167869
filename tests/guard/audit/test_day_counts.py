"""The counts of a day: exact beyond 64 bits, and the histogram that one value at a time gives."""

from hypothesis import given
from hypothesis import strategies as st

from guard.audit.day_counts import LATENCY_SHOWN_NS_MAX, DayCounts, Latencies
from guard.audit.histogram import Histogram
from guard_support import LoggedEngine

I64_MAX, U64_MAX = 2**63 - 1, 2**64 - 1


@given(
    st.lists(
        st.one_of(
            st.integers(-I64_MAX, I64_MAX),
            st.integers(-3, 200),
            st.integers(LATENCY_SHOWN_NS_MAX - 3, LATENCY_SHOWN_NS_MAX + 3),
        )
    )
)
def test_latencies_are_counted_as_a_histogram_counts_them(latencies_ns: list[int]) -> None:
    counted, plain = Latencies(), Histogram()
    for latency_ns in latencies_ns:
        counted.add(latency_ns)
        if 0 <= latency_ns <= LATENCY_SHOWN_NS_MAX:
            plain.add(latency_ns)
    assert counted.as_histogram().as_fields("ns") == plain.as_fields("ns")
    assert counted.too_old_count == sum(each > LATENCY_SHOWN_NS_MAX for each in latencies_ns)
    assert counted.below_zero_count == sum(latency_ns < 0 for latency_ns in latencies_ns)


def test_sums_of_money_are_exact_beyond_64_bits() -> None:
    state, counts = LoggedEngine().state, DayCounts()
    for sequence in range(1, 6):
        at_ns = counts.begin_record(sequence, sequence, 1, state)
        alike = counts.alike("desk-alpha", "AAPL", 10, "", "requested", 20, state)
        counts.note_order(alike, I64_MAX, U64_MAX, sequence, at_ns, state)
        counts.note_fill("desk-alpha", I64_MAX, sequence, at_ns, state)
    counts.finish(state)
    assert counts.answers.desks["desk-alpha"].admitted_notional_microcents == 5 * I64_MAX
    assert counts.answers.venues["20"].fees_microcents == 5 * U64_MAX
    assert counts.answers.venues["10"].substituted == 5
    assert counts.fill_fees_microcents == 5 * I64_MAX
    assert counts.timeline() == (1_000_000, [[0, 5, 0, 0, 0, 5, 0]])
    assert counts.batch_records.as_fields()["max"] == 5


def test_gates_that_stopped_none_are_not_named() -> None:
    counts = DayCounts()
    assert counts.gates == {}
    counts.note_gate(0, 3)
    counts.note_gate(8, 65_535)
    assert list(counts.gates.values()) == [3, 65_535]
