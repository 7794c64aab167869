"""The exposure book: peaks survive every merge, and memory stays bounded."""

from hypothesis import given
from hypothesis import strategies as st

from guard.audit.exposure import COLUMNS, ExposureBook
from kernel import BudgetEngine

SECOND_NS = 10**9


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**15), st.sampled_from("abc"), st.booleans(), st.integers(1, 400)
        ),
        max_size=60,
    ),
    st.integers(3, 20),
)
def test_no_peak_is_lost_and_no_row_too_many(
    moves: list[tuple[int, str, bool, int]], rows_max: int
) -> None:
    ledger, book = BudgetEngine(), ExposureBook(rows_max)
    held: dict[str, list[int]] = {desk: [] for desk in "abc"}
    peaks: dict[str, list[tuple[int, int]]] = {desk: [] for desk in "abc"}
    for desk in "abc":
        ledger.ensure_tenant(desk, 10_000)
    ledger.set_max_reserved_microcents("a", 500)
    for sequence, (at_ns, desk, is_order, amount) in enumerate(sorted(moves), 1):
        if is_order:
            _, reservation_id = ledger.try_reserve(desk, amount)
            held[desk] += [] if reservation_id is None else [reservation_id]
        elif held[desk]:
            ledger.commit(held[desk].pop(), amount // 2)
        book.note(desk, ledger, sequence, at_ns)
        reserved = ledger.reserved_microcents(desk) or 0
        peaks[desk].append((reserved, reserved + (ledger.committed_microcents(desk) or 0)))
    assert sum(len(book.series(desk)) for desk in "abc") <= rows_max
    for desk, seen in peaks.items():
        rows = book.series(desk)
        assert [row[0] for row in rows] == sorted({row[0] for row in rows})
        assert all(row[0] % book.bucket_width_ns == 0 for row in rows)
        if seen:
            highest = (max(one for one, _ in seen), max(used for _, used in seen))
            assert (max(row[1] for row in rows), max(row[2] for row in rows)) == highest
            line = book.desks[desk]
            assert (line.held_peak_microcents, line.used_peak_microcents) == highest
            assert rows[-1][3:] == [
                ledger.reserved_microcents(desk),
                ledger.committed_microcents(desk),
                10_000,
                500 if desk == "a" else None,
            ]


def test_a_bucket_keeps_its_peaks_and_its_end() -> None:
    ledger, book = BudgetEngine(), ExposureBook()
    ledger.ensure_tenant("d", 1_000)
    book.note("d", ledger, 1, 0)
    _, reservation_id = ledger.try_reserve("d", 600)
    book.note("d", ledger, 2, 1)
    assert reservation_id is not None
    ledger.commit(reservation_id, 100)
    ledger.set_max_reserved_microcents("d", 50)
    book.note("d", ledger, 3, 2)
    assert len(COLUMNS) == 6
    assert book.series("d") == [[0, 600, 600, 0, 100, 1_000, 50]]
    line = book.desks["d"]
    assert (line.held_peak_sequence, line.used_peak_sequence) == (2, 2)
    book.note("stranger", ledger, 4, 3)
    assert book.series("stranger") == []
    assert "stranger" not in book.desks
